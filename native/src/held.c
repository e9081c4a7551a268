/* The child's side. After a fork of a process with threads: async-signal-safe calls only. */
#include "held.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Not sys/mount.h: glibc's declares what the kernel's declares, and before 2.36 not the new calls. */
#include <linux/mount.h>

#include "failure.h"
#include "process.h"

/*
 * Who may not set groups in the parent namespace may map a group only after giving that up here
 * (user_namespaces(7)).
 */
static enum step map_ids(const struct held_plan *plan) {
  if (process_write_file("/proc/self/setgroups", "deny") < 0) return STEP_SETGROUPS;
  if (process_write_file("/proc/self/gid_map", plan->gid_map) < 0) return STEP_GID_MAP;
  if (process_write_file("/proc/self/uid_map", plan->uid_map) < 0) return STEP_UID_MAP;
  return STEP_NONE;
}

/* A mounted but unattached tmpfs. */
static int make_tmpfs(void) {
  int context = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
  if (context < 0) return -1;
  if (syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, "size", "128k", 0) < 0) return -1;
  if (syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) return -1;
  int attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
  return (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, attributes);
}

static int write_resolv_conf(int directory, const struct held_plan *plan) {
  int file = openat(directory, "resolv.conf", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (file < 0 || fchmod(file, 0644) < 0) return -1; /* whatever the umask */
  ssize_t written = write(file, plan->resolv_conf, plan->resolv_conf_length);
  close(file);
  return written == (ssize_t)plan->resolv_conf_length ? 0 : -1;
}

/*
 * A mount of the one file. Before Linux 6.15 a mount can only be cloned out of a mount namespace,
 * so the tmpfs is put over "/" for a moment: in this namespace there is no one to notice, and
 * our own root directory stays below it. It is taken off by way of the working directory, as its
 * path now leads to what is below.
 */
static int clone_file_mount(int tmpfs) {
  if (syscall(SYS_move_mount, tmpfs, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0) return -1;
  int file = (int)syscall(SYS_open_tree, tmpfs, "resolv.conf", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (fchdir(tmpfs) < 0 || syscall(SYS_umount2, ".", 2 /* MNT_DETACH */) < 0) return -1;
  return file;
}

static int place_resolv_conf(const struct held_plan *plan) {
  int working_directory = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
  int tmpfs = make_tmpfs();
  if (working_directory < 0 || tmpfs < 0 || write_resolv_conf(tmpfs, plan) < 0) return -1;
  int file = clone_file_mount(tmpfs);
  if (file < 0 || fchdir(working_directory) < 0) return -1;
  int flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS;
  return (int)syscall(SYS_move_mount, file, "", AT_FDCWD, "/etc/resolv.conf", flags);
}

static enum step set_up(const struct held_plan *plan) {
  bool is_named = plan->hostname[0] != '\0';
  int namespaces = CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS | (is_named ? CLONE_NEWUTS : 0);
  if (unshare(namespaces) < 0) return STEP_UNSHARE;
  /* After unshare, which clears it. A parent that died before ends the socket. */
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  enum step step = map_ids(plan);
  if (step != STEP_NONE) return step;
  if (is_named && sethostname(plan->hostname, strlen(plan->hostname)) < 0) return STEP_UNSHARE;
  if (syscall(SYS_mount, NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) return STEP_MOUNT;
  if (plan->resolv_conf != NULL && place_resolv_conf(plan) < 0) return STEP_RESOLV_CONF;
  return STEP_NONE;
}

/* Node ignores SIGPIPE, and what is ignored stays so over exec. */
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

static void report(int socket, int error, enum step step) {
  struct held_report message = {.error = error, .step = step};
  process_send(socket, &message, sizeof(message));
}

_Noreturn void held_run(const struct held_plan *plan, int socket) {
  reset_signals(plan);
  enum step step = set_up(plan);
  report(socket, step == STEP_NONE ? 0 : -errno, step);
  char release;
  if (step != STEP_NONE || process_recv(socket, &release, 1) != 1) _exit(HELD_EXIT_STATUS);
  /* execvp searches the PATH of environ. It allocates nothing (glibc since 2.24). */
  keep_descriptors(plan);
  environ = plan->env;
  execvp(plan->file, plan->argv);
  report(socket, -errno, STEP_NONE);
  _exit(HELD_EXIT_STATUS);
}
