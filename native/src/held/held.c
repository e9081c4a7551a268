/* The child's side. It is forked from a process with threads: async-signal-safe calls only. */
#include "held.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Not sys/mount.h: os/mount.c. */
#include <linux/mount.h>

#include "../agent/targets.h"
#include "../confine/confine.h"
#include "../os/idmap.h"
#include "../os/process.h"
#include "../os/step.h"
#include "covers.h"
#include "mapper.h"
#include "reaper.h"
#include "sweeper.h"

/* Who ends what COMMAND leaves behind: one of them. */
struct enders {
  struct reaper reaper;
  struct sweeper sweeper;
};

/*
 * A user namespace around the child's own, and mounts that belong to it: the child's are a copy with another
 * owner, in which the kernel lets nobody take off what is mounted here, or see what is below
 * (mount_namespaces(7), "Restrictions on mount namespaces").
 */
static enum step enter_outer(const struct held_plan *plan) {
  bool has_more_ids = plan_has_more_ids(plan);
  struct mapper mapper;
  if (has_more_ids && mapper_start(plan, mapper_run_programs, &mapper) < 0) return STEP_FORK;
  if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0) return STEP_UNSHARE;
  /*
   * As after exec: our maps would belong to root while we are not dumpable, like the process that forked us, and
   * nobody could open our namespaces. The new user namespace keeps others out (ptrace(2), "access mode").
   */
  prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
  /* After unshare, which clears it. A parent that died before ends the socket. */
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  enum step step = has_more_ids ? mapper_finish(&mapper)
                                : idmap_write(plan->outer_uid_map, plan->outer_gid_map);
  if (step != STEP_NONE) return step;
  if (syscall(SYS_mount, NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) return STEP_MOUNT;
  return covers_hide(plan->hidden) < 0 ? STEP_HIDE : STEP_NONE;
}

/* Without a reaper, which would make the user namespace. */
static enum step enter_own_users(const struct held_plan *plan) {
  bool has_more_ids = plan_has_more_ids(plan);
  struct mapper mapper;
  if (has_more_ids && mapper_start(plan, mapper_write_maps, &mapper) < 0) return STEP_FORK;
  if (unshare(CLONE_NEWUSER) < 0) return STEP_UNSHARE;
  return has_more_ids ? mapper_finish(&mapper) : idmap_write(plan->uid_map, plan->gid_map);
}

/*
 * The child's own namespaces. It may unmount what covers files of /etc: otherwise a directory with a locked mount
 * could not be bound elsewhere without it (mount --bind).
 */
static enum step enter_inner(const struct held_plan *plan, const struct reaper *reaper) {
  enum step step = reaper->socket >= 0 ? STEP_NONE : enter_own_users(plan);
  if (step != STEP_NONE) return step;
  int namespaces = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC;
  if (unshare(namespaces) < 0) return STEP_UNSHARE;
  if (covers_place_files(plan) < 0) return STEP_RESOLV_CONF;
  if (plan->hostname[0] == '\0') return STEP_NONE;
  return sethostname(plan->hostname, strlen(plan->hostname)) < 0 ? STEP_UNSHARE : STEP_NONE;
}

/* It keeps its directory, as far as there is one of that path: setns(2) leads to the root of a mount namespace. */
static enum step join_process(const struct held_plan *plan) {
  char directory[PATH_MAX];
  bool has_directory = getcwd(directory, sizeof(directory)) != NULL;
  int pidfd = process_open(plan->joined);
  if (pidfd < 0) return STEP_OPEN_NETNS;
  int result = setns(pidfd, plan->joined_namespaces);
  int error = errno;
  close(pidfd);
  errno = error;
  if (result < 0) return STEP_SETNS_NET;
  /* Root of the namespaces that it is in now could read its memory, a copy of its parent's, until exec. */
  confine_memory();
  int unchanged = has_directory ? chdir(directory) : 0;
  (void)unchanged;
  return STEP_NONE;
}

static enum step join_file(const struct held_plan *plan) {
  struct targets targets;
  enum step step = STEP_NONE;
  errno = -targets_open("", plan->joined_netns, &targets, &step);
  if (errno != 0) return step;
  step = targets_enter(&targets);
  int error = errno;
  targets_close(&targets);
  errno = error;
  return step;
}

static bool is_joining(const struct held_plan *plan) {
  return plan->joined > 0 || plan->joined_netns != NULL;
}

static enum step set_up(const struct held_plan *plan, struct enders *enders) {
  struct reaper *reaper = &enders->reaper;
  if (is_joining(plan)) return plan->joined > 0 ? join_process(plan) : join_file(plan);
  enum step step = enter_outer(plan);
  if (step == STEP_NONE && plan->own_pids) step = reaper_start(plan, reaper);
  if (step != STEP_NONE) return step;
  if (reaper->socket < 0 && sweeper_start(&enders->sweeper) < 0) return STEP_FORK;
  return enter_inner(plan, reaper);
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

/* execvp searches the PATH of environ. It allocates nothing (glibc since 2.24). */
static int execute(const struct held_plan *plan) {
  keep_descriptors(plan);
  environ = plan->env;
  execvp(plan->file, plan->argv);
  return -errno;
}

int held_replace(const struct held_plan *plan) {
  char **own_variables = environ;
  reset_signals(plan);
  int error = execute(plan);
  environ = own_variables;
  return error;
}

static _Noreturn void wait_and_execute(const struct held_plan *plan, int socket,
                                       const struct enders *enders) {
  char release;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (process_recv(socket, &release, 1) != 1) _exit(HELD_EXIT_STATUS);
  if (enders->reaper.socket >= 0) reaper_confirm(&enders->reaper);
  if (enders->sweeper.socket >= 0) sweeper_confirm(&enders->sweeper);
  report(socket, (struct held_report){.error = execute(plan)});
  _exit(HELD_EXIT_STATUS);
}

_Noreturn void held_run(const struct held_plan *plan, int socket) {
  struct enders enders = {.reaper.socket = -1, .sweeper.socket = -1};
  const struct reaper *reaper = &enders.reaper;
  reset_signals(plan);
  enum step step = set_up(plan, &enders);
  if (step == STEP_NONE && plan->directory != NULL && chdir(plan->directory) < 0) step = STEP_DIRECTORY;
  pid_t inside = 0;
  if (step == STEP_NONE && (reaper->socket >= 0 || is_joining(plan))) {
    /* A process cannot enter a PID namespace itself; only what it forks afterwards is in it. */
    inside = process_fork_sibling();
    if (inside == 0) wait_and_execute(plan, socket, &enders);
    if (inside < 0) step = STEP_FORK;
  }
  report(socket, (struct held_report){
                     .error = step == STEP_NONE ? 0 : -errno,
                     .step = step,
                     .command = inside > 0 ? inside : 0,
                     .reaper = reaper->pid,
                     .reaper_error = reaper->error,
                     .sweeper = enders.sweeper.pid,
                 });
  if (step != STEP_NONE || inside > 0) _exit(HELD_EXIT_STATUS);
  wait_and_execute(plan, socket, &enders);
}
