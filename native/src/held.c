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
  if (syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, "size", "256k", 0) < 0) return -1;
  if (syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) return -1;
  int attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
  return (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, attributes);
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

/* A system may lack hosts and hostname, and its programs then do without. */
static int place(int mount, enum held_file which) {
  char path[sizeof("/etc/resolv.conf")] = "/etc/";
  strcat(path, file_names[which]);
  int flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS;
  int result = (int)syscall(SYS_move_mount, mount, "", AT_FDCWD, path, flags);
  return result < 0 && errno == ENOENT && which != HELD_RESOLV_CONF ? 0 : result;
}

static int place_files(const struct held_plan *plan) {
  int mounts[HELD_FILE_COUNT] = {-1, -1, -1};
  int working_directory = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
  int tmpfs = make_tmpfs();
  if (working_directory < 0 || tmpfs < 0 || write_files(tmpfs, plan) < 0) return -1;
  if (clone_file_mounts(tmpfs, plan, mounts) < 0 || fchdir(working_directory) < 0) return -1;
  for (int i = 0; i < HELD_FILE_COUNT; i++) {
    if (mounts[i] >= 0 && place(mounts[i], (enum held_file)i) < 0) return -1;
  }
  return 0;
}

static bool has_files(const struct held_plan *plan) {
  for (int i = 0; i < HELD_FILE_COUNT; i++) {
    if (plan->files[i] != NULL) return true;
  }
  return false;
}

static enum step set_up(const struct held_plan *plan) {
  bool is_named = plan->hostname[0] != '\0';
  int namespaces = CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS | (is_named ? CLONE_NEWUTS : 0);
  if (unshare(namespaces) < 0) return STEP_UNSHARE;
  /*
   * As exec will make it: our maps belong to root while we are as the process that we were forked from, and
   * nobody could open our namespaces. The new user namespace keeps others out (ptrace(2), "access mode").
   */
  prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
  /* After unshare, which clears it. A parent that died before ends the socket. */
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  enum step step = map_ids(plan);
  if (step != STEP_NONE) return step;
  if (is_named && sethostname(plan->hostname, strlen(plan->hostname)) < 0) return STEP_UNSHARE;
  if (syscall(SYS_mount, NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) return STEP_MOUNT;
  if (has_files(plan) && place_files(plan) < 0) return STEP_RESOLV_CONF;
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
