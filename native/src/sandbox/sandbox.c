/*
 * The lock-down of this process, once everything it will ever need is open: an empty root, no
 * capabilities, Landlock, and a seccomp filter, for all of its threads and for good. The launcher has
 * prepared what can't be done once Node's threads run: a mount namespace that the root can be
 * changed in (launcher/sandbox/namespaces.c).
 *
 * What V8, libuv and the C library need:
 *
 * Memory, of which JavaScript's code and WebAssembly's are made executable.
 * #syscalls node: munmap mprotect mremap madvise brk mmap(3&MAP_ANONYMOUS=MAP_ANONYMOUS)
 * #syscalls node: pkey_alloc pkey_mprotect pkey_free
 * Threads that exist: none are made. A signal goes to our own threads only.
 * #syscalls node: futex sched_yield sched_getaffinity sched_getparam sched_getscheduler getpid gettid rseq membarrier set_robust_list
 * #syscalls node: tgkill(0=@pid) exit exit_group restart_syscall
 * #syscalls node: rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack
 * Time, random numbers, and what is known of the machine.
 * #syscalls node: clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday getrandom
 * #syscalls node: sysinfo getrusage uname getuid geteuid getgid getegid
 * libuv's loop, with pipes and event descriptors between threads and of signals.
 * #syscalls node: epoll_wait epoll_pwait epoll_ctl poll ppoll eventfd2 pipe2 read write writev close
 * #syscalls node: fcntl(1=F_GETFD) fcntl(1=F_SETFD) fcntl(1=F_GETFL) fcntl(1=F_SETFL)
 * #syscalls node: fcntl(1=F_DUPFD_CLOEXEC) ioctl(1=FIONBIO) ioctl(1=FIOCLEX)
 * Names of threads and of memory, for debuggers.
 * #syscalls node: prctl(0=PR_SET_NAME) prctl(0=0x53564d41)
 * What stderr is, when the first line goes there. Terminals are given back as they were found.
 * #syscalls node: fstat getsockopt(1=SOL_SOCKET;2=SO_TYPE) ioctl(1=TCGETS) ioctl(1=TCSETS) ioctl(1=TCSETSW)
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <unistd.h>

#include <linux/capability.h>

#include "../call/call.h"
#include "../call/instance.h"
#include "../call/methods.h"
#include "../confine/confine.h"
#include "../confine/filter.h"
#include "root.h"
#include "threads.h"
#include "user.h"

struct lock_down {
  bool empty_root;
  bool keeps_ports;    /* keep CAP_NET_BIND_SERVICE, if we have it */
  unsigned profiles;   /* of the filter, in addition to FILTER_NODE */
};

static int confine_process(struct failure *failure, const struct lock_down *wanted, DIR *tasks,
                           int ruleset) {
  capabilities ports = wanted->keeps_ports ? capability(CAP_NET_BIND_SERVICE) : 0;
  capabilities kept = confine_permitted() & ports;
  int error = wanted->empty_root ? root_empty() : 0;
  if (error < 0) return failure_set(failure, STEP_EMPTY_ROOT, "", error);
  error = threads_confine(tasks, ruleset, kept);
  if (error < 0) return failure_set(failure, STEP_THREADS, "", error);
  return 0;
}

/* What COMMAND of `run` reads from the terminal is neither ours nor a guest's to read. */
static void replace_stdin(void) {
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) return;
  dup2(null, STDIN_FILENO);
  if (null != STDIN_FILENO) close(null);
}

/* Opens /proc first, as it goes with the old root. Without Landlock there is no ruleset. */
static int lock_down(struct failure *failure, const struct lock_down *wanted, int ruleset) {
  DIR *tasks = opendir("/proc/self/task");
  if (tasks == NULL) return failure_set(failure, STEP_THREADS, "/proc/self/task", -errno);
  replace_stdin(); /* may fail without /dev/null; then there is hardly a terminal */
  int error = confine_process(failure, wanted, tasks, ruleset);
  closedir(tasks);
  if (ruleset >= 0) close(ruleset);
  if (error < 0) return error;
  error = filter_load(FILTER_NODE | wanted->profiles, true);
  return error < 0 ? failure_set(failure, STEP_SECCOMP, "", error) : 0;
}

static napi_value lock_down_process(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 3);
  struct lock_down wanted = {
      .empty_root = call_bool(&call, 0),
      .keeps_ports = call_bool(&call, 1),
      .profiles = call_bool(&call, 2) ? FILTER_RUN : 0,
  };
  if (!call_ok(&call)) return call_end(&call, 0);
  return call_end(&call, lock_down(&call.instance->failure, &wanted, confine_ruleset()));
}

/* A missing path needs no right. A file can only be allowed to be read. */
static void allow_below(int ruleset, const char *path, enum confine_right right) {
  int directory = open(path, O_PATH | O_CLOEXEC);
  if (directory < 0) return;
  confine_allow(ruleset, directory, right);
  close(directory);
}

static void call_directories(struct call *call, size_t index, int ruleset,
                             enum confine_right right) {
  uint32_t count = 0;
  if (napi_get_array_length(call->env, call->arguments[index], &count) != napi_ok) {
    call_wrong_type(call, "an array of paths");
  }
  for (uint32_t i = 0; i < count && call_ok(call); i++) {
    char path[PATH_MAX];
    napi_value element = NULL;
    size_t length = 0;
    napi_get_element(call->env, call->arguments[index], i, &element);
    if (napi_get_value_string_utf8(call->env, element, path, sizeof(path), &length) != napi_ok) {
      call_wrong_type(call, "an array of paths");
    } else if (ruleset >= 0) {
      allow_below(ruleset, path, right);
    }
  }
}

static napi_value lock_down_daemon(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 3);
  struct lock_down wanted = {.keeps_ports = true, .profiles = FILTER_DAEMON};
  int ruleset = confine_ruleset();
  call_directories(&call, 0, ruleset, CONFINE_READ_FILE);
  call_directories(&call, 1, ruleset, CONFINE_KEEP_FILES);
  if (call_ok(&call)) call_fail(&call, lock_down(&call.instance->failure, &wanted, ruleset));
  else if (ruleset >= 0) close(ruleset);
  return call_end(&call, 0);
}

static napi_value become_user(napi_env env, napi_callback_info info) {
  struct call call = call_begin(env, info, 2);
  int uid = call_int(&call, 0);
  int gid = call_int(&call, 1);
  if (!call_ok(&call)) return call_end(&call, 0);
  return call_end(&call, user_become((uid_t)uid, (gid_t)gid));
}

const struct method sandbox_methods[] = {
    {"becomeUser", become_user},
    {"lockDown", lock_down_process},
    {"lockDownDaemon", lock_down_daemon},
    {NULL, NULL},
};
