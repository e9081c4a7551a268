#include "mount.h"

#include <errno.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Not sys/mount.h: glibc's declares what the kernel's declares, and before 2.36 not the new calls. */
#include <linux/mount.h>

static int configure(int context, const struct mount_option *options) {
  for (; options != NULL && options->key != NULL; options++) {
    const char *key = options->key;
    if (syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, key, options->value, 0) < 0) return -1;
  }
  return (int)syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
}

int mount_make(const char *type, const struct mount_option *options, unsigned attributes) {
  int context = (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);
  if (context < 0) return -1;
  int mount = -1;
  attributes |= MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
  if (configure(context, options) == 0) {
    mount = (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, attributes);
  }
  int error = errno;
  close(context);
  errno = error;
  return mount;
}
