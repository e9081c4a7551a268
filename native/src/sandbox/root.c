#include "root.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Not sys/mount.h: os/mount.c. */
#include <linux/mount.h>

#include "../os/mount.h"

/* Read-only, with room for nothing. */
static int make_empty_tmpfs(void) {
  static const struct mount_option options[] = {
      {"size", "4k"}, {"nr_inodes", "1"}, {"mode", "0555"}, {NULL, NULL}};
  return mount_make("tmpfs", options, MOUNT_ATTR_RDONLY);
}

/*
 * pivot_root changes the root, and a working directory that is the root, of every thread. The old root then lies
 * over the new one, so no directory is needed for it, and is unmounted (pivot_root(2), "pivot_root(".", ".")").
 */
static int change_root(int tmpfs) {
  if (syscall(SYS_move_mount, tmpfs, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0) return -1;
  if (fchdir(tmpfs) < 0 || syscall(SYS_pivot_root, ".", ".") < 0) return -1;
  if (syscall(SYS_umount2, ".", 2 /* MNT_DETACH */) < 0) return -1;
  return chdir("/");
}

int root_empty(void) {
  int tmpfs = make_empty_tmpfs();
  if (tmpfs < 0) return -errno;
  int result = change_root(tmpfs) < 0 ? -errno : 0;
  close(tmpfs);
  return result;
}
