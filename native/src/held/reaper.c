/* Async-signal-safe calls only: held.c. */
#include "reaper.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Not sys/mount.h: os/mount.c. */
#include <linux/mount.h>

#include "../confine/confine.h"
#include "../os/idmap.h"
#include "../os/mount.h"
#include "../os/process.h"
#include "mapper.h"

/* What the reaper sends, in this order, each with an errno or a descriptor. */
enum gift { GIFT_PROC, GIFT_USER_NAMESPACE, GIFT_PID_NAMESPACE, GIFT_COUNT };

static int make_gift(enum gift which) {
  switch (which) {
    case GIFT_PROC: /* EPERM where parts of /proc are masked (mount_too_revealing() in fs/namespace.c) */
      return mount_make("proc", NULL, 0);
    case GIFT_USER_NAMESPACE:
      return open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC);
    default:
      return open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
  }
}

/* With more ids than one, the process that forked us has mapped them when it says so. */
static enum step wait_for_ids(int socket, const struct held_plan *plan) {
  char mapped;
  if (!plan_has_more_ids(plan)) return idmap_write(plan->uid_map, plan->gid_map);
  return process_recv(socket, &mapped, 1) == 1 ? STEP_NONE : STEP_UID_MAP;
}

static void give(int socket, const struct held_plan *plan) {
  int32_t error = wait_for_ids(socket, plan) == STEP_NONE ? 0 : -errno;
  /* Our memory is a copy of our parent's, and the guest is root here: it must not read that. */
  confine_memory();
  for (int which = 0; which < GIFT_COUNT && error == 0; which++) {
    int fd = make_gift((enum gift)which);
    if (fd < 0) error = -errno;
    if (process_send_fd(socket, &error, sizeof(error), 0, fd) < 0) _exit(0);
    close(fd);
  }
  if (error < 0) _exit(0);
}

/*
 * `mounts` is the caller's mount namespace, which is empty once the caller has left it. The last to hold it waits
 * for an RCU grace period while the kernel frees it, several ms of a start on a busy machine; nobody waits for the
 * reaper.
 */
static _Noreturn void run(int inherited, int mounts, const struct held_plan *plan) {
  enum { SOCKET, MOUNTS, FIRST_FREE };
  char confirmation;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_SET_NAME, "slipway-init");
  if (dup2(inherited, SOCKET) < 0 || dup2(mounts, MOUNTS) < 0) _exit(0);
  syscall(SYS_close_range, FIRST_FREE, UINT_MAX, 0);
  if (chdir("/") < 0) _exit(0);
  /* The kernel then reaps (do_notify_parent() in kernel/signal.c). */
  signal(SIGCHLD, SIG_IGN);
  give(SOCKET, plan);
  /* If the parent died before PR_SET_PDEATHSIG, it cannot have released the child, which confirms. */
  if (process_recv(SOCKET, &confirmation, 1) != 1) _exit(0);
  syscall(SYS_close_range, 0, UINT_MAX, 0);
  /* From inside, signals with a default action do not arrive; from outside only SIGKILL and SIGSTOP do. */
  for (;;) pause();
}

/* Only from outside of the reaper's user namespace, as mapper.h explains. */
static int map_ids(pid_t pid, int socket, const struct held_plan *plan) {
  if (!plan_has_more_ids(plan)) return 0;
  if (mapper_write_maps(plan, pid) != STEP_NONE) return -errno;
  return process_send(socket, "", 1) < 0 ? -errno : 0;
}

static int receive(int socket, int gifts[GIFT_COUNT]) {
  for (int which = 0; which < GIFT_COUNT; which++) {
    int32_t error = 0;
    if (process_recv_fd(socket, &error, sizeof(error), 0, &gifts[which]) != sizeof(error)) return -EPIPE;
    if (error < 0) return error;
    if (gifts[which] < 0) return -EMFILE;
  }
  return 0;
}

/* /proc first: for that we must be in the user namespace that owns our mounts. */
static enum step accept_gifts(const int gifts[GIFT_COUNT]) {
  int flags = MOVE_MOUNT_F_EMPTY_PATH;
  if (syscall(SYS_move_mount, gifts[GIFT_PROC], "", AT_FDCWD, "/proc", flags) < 0) return STEP_MOUNT;
  if (setns(gifts[GIFT_PID_NAMESPACE], CLONE_NEWPID) < 0) return STEP_UNSHARE;
  return setns(gifts[GIFT_USER_NAMESPACE], CLONE_NEWUSER) < 0 ? STEP_UNSHARE : STEP_NONE;
}

static void close_all(const int *descriptors, size_t count) {
  int error = errno;
  for (size_t i = 0; i < count; i++) {
    if (descriptors[i] >= 0) close(descriptors[i]);
  }
  errno = error;
}

static pid_t fork_reaper(const int pair[2], const struct held_plan *plan) {
  int mounts = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
  if (mounts < 0) return -1;
  unsigned long flags = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_PARENT | SIGCHLD;
  pid_t pid = (pid_t)syscall(SYS_clone, flags, 0, 0, 0, 0);
  if (pid == 0) run(pair[1], mounts, plan);
  close_all(&mounts, 1);
  return pid;
}

enum step reaper_start(const struct held_plan *plan, struct reaper *reaper) {
  int pair[2];
  int gifts[GIFT_COUNT] = {-1, -1, -1};
  if (process_socketpair(pair) < 0) return STEP_SOCKETPAIR;
  pid_t pid = fork_reaper(pair, plan);
  int error = pid < 0 ? -errno : 0;
  close(pair[1]);
  if (error == 0) error = map_ids(pid, pair[0], plan);
  if (error == 0) error = receive(pair[0], gifts);
  *reaper = (struct reaper){.pid = pid < 0 ? 0 : pid, .socket = error < 0 ? -1 : pair[0], .error = error};
  enum step step = error < 0 ? STEP_NONE : accept_gifts(gifts);
  close_all(gifts, GIFT_COUNT);
  if (error < 0) close_all(pair, 1);
  return step;
}

void reaper_confirm(const struct reaper *reaper) {
  process_send(reaper->socket, "", 1);
}
