/* Async-signal-safe calls only: held.c. */
#include "covers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Not sys/mount.h: os/mount.c. */
#include <linux/mount.h>

#include "../os/mount.h"

/* `attributes` in addition to those of mount_make(). */
static int make_tmpfs(unsigned attributes) {
  static const struct mount_option options[] = {{"size", "256k"}, {"mode", "0555"}, {NULL, NULL}};
  return mount_make("tmpfs", options, attributes);
}

static const char *const file_names[HELD_FILE_COUNT] = {
    [HELD_RESOLV_CONF] = "resolv.conf",
    [HELD_HOSTS] = "hosts",
    [HELD_HOSTNAME] = "hostname",
};

static int write_file(int directory, const char *name, const char *text) {
  int file = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (file < 0 || fchmod(file, 0644) < 0) return -1; /* whatever the umask */
  ssize_t length = (ssize_t)strlen(text);
  ssize_t written = write(file, text, (size_t)length);
  close(file);
  return written == length ? 0 : -1;
}

static int write_files(int directory, const struct held_plan *plan) {
  for (int i = 0; i < HELD_FILE_COUNT; i++) {
    if (plan->files[i] == NULL) continue;
    if (write_file(directory, file_names[i], plan->files[i]) < 0) return -1;
  }
  return 0;
}

/*
 * A mount of each file, or -1 where there is none. Before Linux 6.15 a mount can only be cloned out of
 * a mount namespace, so the tmpfs is put over "/" for a moment: in this namespace there is no one to
 * notice, and our own root directory stays below it. It is taken off by way of the working directory,
 * as its path now leads to what is below.
 */
static int clone_file_mounts(int tmpfs, const struct held_plan *plan, int mounts[HELD_FILE_COUNT]) {
  if (syscall(SYS_move_mount, tmpfs, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0) return -1;
  int flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;
  for (int i = 0; i < HELD_FILE_COUNT; i++) {
    if (plan->files[i] == NULL) continue;
    mounts[i] = (int)syscall(SYS_open_tree, tmpfs, file_names[i], flags);
    if (mounts[i] < 0) return -1;
  }
  return fchdir(tmpfs) < 0 ? -1 : (int)syscall(SYS_umount2, ".", 2 /* MNT_DETACH */);
}

/* A system may have no hosts or hostname; its programs do without. */
static int cover(int mount, enum held_file which) {
  char path[sizeof("/etc/resolv.conf")] = "/etc/";
  strcat(path, file_names[which]);
  int flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS;
  int result = (int)syscall(SYS_move_mount, mount, "", AT_FDCWD, path, flags);
  return result < 0 && errno == ENOENT && which != HELD_RESOLV_CONF ? 0 : result;
}

static bool has_files(const struct held_plan *plan) {
  for (int i = 0; i < HELD_FILE_COUNT; i++) {
    if (plan->files[i] != NULL) return true;
  }
  return false;
}

int covers_place_files(const struct held_plan *plan) {
  if (!has_files(plan)) return 0;
  int mounts[HELD_FILE_COUNT] = {-1, -1, -1};
  int working_directory = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
  int tmpfs = make_tmpfs(0);
  if (working_directory < 0 || tmpfs < 0 || write_files(tmpfs, plan) < 0) return -1;
  if (clone_file_mounts(tmpfs, plan, mounts) < 0 || fchdir(working_directory) < 0) return -1;
  for (int i = 0; i < HELD_FILE_COUNT; i++) {
    if (mounts[i] >= 0 && cover(mounts[i], (enum held_file)i) < 0) return -1;
  }
  return 0;
}

static int hide_directory(const char *path) {
  int tmpfs = make_tmpfs(MOUNT_ATTR_RDONLY);
  if (tmpfs < 0) return -1;
  int flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS;
  int result = (int)syscall(SYS_move_mount, tmpfs, "", AT_FDCWD, path, flags);
  int error = errno;
  close(tmpfs);
  errno = error;
  return result;
}

static int hide(const char *path) {
  struct stat status;
  /* The child cannot reach what we cannot reach. */
  if (stat(path, &status) < 0) return 0;
  if (S_ISDIR(status.st_mode)) return hide_directory(path);
  return (int)syscall(SYS_mount, "/dev/null", path, NULL, MS_BIND, NULL);
}

int covers_hide(char *const *paths) {
  for (; *paths != NULL; paths++) {
    if (hide(*paths) < 0) return -1;
  }
  return 0;
}
