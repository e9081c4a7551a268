#include "targets.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/nsfs.h>

#include "../confine/confine.h"

void targets_close(const struct targets *targets) {
  if (targets->userns >= 0) close(targets->userns);
  if (targets->netns >= 0) close(targets->netns);
}

/* ENOTTY: not a namespace at all; EINVAL: one of another type. */
static int check_type(int fd, int type) {
  int found = ioctl(fd, NS_GET_NSTYPE);
  if (found < 0) return -errno;
  return found == type ? 0 : -EINVAL;
}

struct namespace_steps {
  int type;
  enum step open;
  enum step check;
};

static const struct namespace_steps netns_steps = {CLONE_NEWNET, STEP_OPEN_NETNS, STEP_CHECK_NETNS};
static const struct namespace_steps userns_steps = {CLONE_NEWUSER, STEP_OPEN_USERNS,
                                                    STEP_CHECK_USERNS};

static int open_namespace(const char *path, const struct namespace_steps *steps, enum step *step) {
  *step = steps->open;
  /* O_NONBLOCK: the path may be a FIFO, O_NOCTTY: or a terminal; that is only known later. */
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return -errno;
  *step = steps->check;
  int error = check_type(fd, steps->type);
  if (error == 0) return fd;
  close(fd);
  return error;
}

static int open_owner(int netns, enum step *step) {
  *step = STEP_GET_USERNS;
  int userns = ioctl(netns, NS_GET_USERNS);
  return userns < 0 ? -errno : userns;
}

/* setns(2) to our own user namespace fails with EINVAL, and is not needed. */
static bool is_our_userns(int userns) {
  struct stat theirs;
  struct stat ours;
  if (fstat(userns, &theirs) < 0 || stat("/proc/self/ns/user", &ours) < 0) return false;
  return theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino;
}

int targets_open(const char *userns, const char *netns, struct targets *targets, enum step *step) {
  *targets = (struct targets){-1, -1};
  targets->netns = open_namespace(netns, &netns_steps, step);
  if (targets->netns < 0) return targets->netns;
  targets->userns = userns[0] == '\0' ? open_owner(targets->netns, step)
                                      : open_namespace(userns, &userns_steps, step);
  if (targets->userns < 0) {
    close(targets->netns);
    return targets->userns;
  }
  if (is_our_userns(targets->userns)) {
    close(targets->userns);
    targets->userns = -1;
  }
  return 0;
}

/* Root of the target's user namespace could trace us and read our memory, a copy of our parent's. */
enum step targets_enter(const struct targets *targets) {
  confine_memory();
  if (targets->userns >= 0 && setns(targets->userns, CLONE_NEWUSER) < 0) return STEP_SETNS_USER;
  /* New capabilities make it fs.suid_dumpable again (commit_creds of kernel/cred.c), which may be 1. */
  confine_memory();
  if (setns(targets->netns, CLONE_NEWNET) < 0) return STEP_SETNS_NET;
  return STEP_NONE;
}

const char *targets_subject(enum step step, const char *userns, const char *netns) {
  switch (step) {
    case STEP_OPEN_USERNS:
    case STEP_CHECK_USERNS:
      return userns;
    case STEP_SETNS_USER:
      return userns[0] == '\0' ? netns : userns;
    default:
      return netns;
  }
}
