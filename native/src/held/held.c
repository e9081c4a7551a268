/* The child's side. It is forked from a process with threads: async-signal-safe calls only. */
#include "held.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Not sys/mount.h: os/mount.c. */
#include <linux/mount.h>

#include "../os/idmap.h"
#include "../os/process.h"
#include "../os/step.h"
#include "covers.h"
#include "reaper.h"

/*
 * A user namespace around the child's own, and mounts that belong to it: the child's are a copy with another
 * owner, in which the kernel lets nobody take off what is mounted here, or see what is below
 * (mount_namespaces(7), "Restrictions on mount namespaces").
 */
static enum step enter_outer(const struct held_plan *plan) {
  if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0) return STEP_UNSHARE;
  /*
   * As after exec: our maps would belong to root while we are not dumpable, like the process that forked us, and
   * nobody could open our namespaces. The new user namespace keeps others out (ptrace(2), "access mode").
   */
  prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
  /* After unshare, which clears it. A parent that died before ends the socket. */
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  enum step step = idmap_write(plan->outer_uid_map, plan->outer_gid_map);
  if (step != STEP_NONE) return step;
  if (syscall(SYS_mount, NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) return STEP_MOUNT;
  return covers_hide(plan->hidden) < 0 ? STEP_HIDE : STEP_NONE;
}

/*
 * The child's own namespaces. It may unmount what covers files of /etc: otherwise a directory with a locked mount
 * could not be bound elsewhere without it (mount --bind).
 */
static enum step enter_inner(const struct held_plan *plan, const struct reaper *reaper) {
  bool has_reaper = reaper->socket >= 0;
  int namespaces = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC;
  if (unshare(namespaces | (has_reaper ? 0 : CLONE_NEWUSER)) < 0) return STEP_UNSHARE;
  enum step step = has_reaper ? STEP_NONE : idmap_write(plan->uid_map, plan->gid_map);
  if (step != STEP_NONE) return step;
  if (covers_place_files(plan) < 0) return STEP_RESOLV_CONF;
  if (plan->hostname[0] == '\0') return STEP_NONE;
  return sethostname(plan->hostname, strlen(plan->hostname)) < 0 ? STEP_UNSHARE : STEP_NONE;
}

static enum step join(const struct held_plan *plan) {
  int pidfd = (int)syscall(SYS_pidfd_open, plan->joined, 0);
  if (pidfd < 0) return STEP_OPEN_NETNS;
  int result = setns(pidfd, plan->joined_namespaces);
  int error = errno;
  close(pidfd);
  errno = error;
  return result < 0 ? STEP_SETNS_NET : STEP_NONE;
}

static enum step set_up(const struct held_plan *plan, struct reaper *reaper) {
  if (plan->joined > 0) return join(plan);
  enum step step = enter_outer(plan);
  if (step == STEP_NONE && plan->own_pids) step = reaper_start(plan, reaper);
  return step == STEP_NONE ? enter_inner(plan, reaper) : step;
}

/* Node ignores SIGPIPE, and ignored signals stay ignored over exec. */
static void reset_signals(const struct held_plan *plan) {
  struct sigaction action = {.sa_handler = SIG_DFL};
  for (int signal = 1; signal < NSIG; signal++) sigaction(signal, &action, NULL);
  action.sa_handler = SIG_IGN;
  for (const int *signal = plan->ignore; *signal >= 0; signal++) sigaction(*signal, &action, NULL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Node makes every descriptor that it inherits close-on-exec (uv_disable_stdio_inheritance). */
static void keep_descriptors(const struct held_plan *plan) {
  for (int fd = 0; fd <= STDERR_FILENO; fd++) fcntl(fd, F_SETFD, 0);
  for (const int *fd = plan->keep; *fd >= 0; fd++) fcntl(*fd, F_SETFD, 0);
}

static void report(int socket, struct held_report message) {
  process_send(socket, &message, sizeof(message));
}

static _Noreturn void wait_and_execute(const struct held_plan *plan, int socket,
                                       const struct reaper *reaper) {
  char release;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (process_recv(socket, &release, 1) != 1) _exit(HELD_EXIT_STATUS);
  if (reaper->socket >= 0) reaper_confirm(reaper);
  /* execvp searches the PATH of environ. It allocates nothing (glibc since 2.24). */
  keep_descriptors(plan);
  environ = plan->env;
  execvp(plan->file, plan->argv);
  report(socket, (struct held_report){.error = -errno});
  _exit(HELD_EXIT_STATUS);
}

_Noreturn void held_run(const struct held_plan *plan, int socket) {
  struct reaper reaper = {.socket = -1};
  reset_signals(plan);
  enum step step = set_up(plan, &reaper);
  pid_t inside = 0;
  if (step == STEP_NONE && (reaper.socket >= 0 || plan->joined > 0)) {
    /* A process cannot enter a PID namespace itself; only what it forks afterwards is in it. */
    inside = process_fork_sibling();
    if (inside == 0) wait_and_execute(plan, socket, &reaper);
    if (inside < 0) step = STEP_FORK;
  }
  report(socket, (struct held_report){
                     .error = step == STEP_NONE ? 0 : -errno,
                     .step = step,
                     .command = inside > 0 ? inside : 0,
                     .reaper = reaper.pid,
                     .reaper_error = reaper.error,
                 });
  if (step != STEP_NONE || inside > 0) _exit(HELD_EXIT_STATUS);
  wait_and_execute(plan, socket, &reaper);
}
