/*
 * The lock-down of this process, once everything it will ever need is open: an empty root, no
 * capabilities, Landlock, and a seccomp filter, for all of its threads and for good. The launcher has
 * prepared what can't be done once Node's threads run: a mount namespace that the root can be
 * changed in (launcher/namespaces.c).
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
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <linux/capability.h>
#include <linux/futex.h>
/* Not sys/mount.h: see held.c. */
#include <linux/mount.h>

#include "../broker/protocol.h"
#include "../call/call.h"
#include "../confine/confine.h"
#include "../confine/filter.h"
#include "../call/instance.h"
#include "../os/process.h"

/* ---- an empty root ------------------------------------------------------------------------- */

/* A mounted but unattached tmpfs, read-only, with room for nothing. */
static int make_empty_tmpfs(void) {
  int context = (int)syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
  if (context < 0) return -1;
  int mount = -1;
  if (syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, "size", "4k", 0) == 0 &&
      syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, "nr_inodes", "1", 0) == 0 &&
      syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, "mode", "0555", 0) == 0 &&
      syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0) {
    int attributes =
        MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
    mount = (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, attributes);
  }
  int error = errno;
  close(context);
  errno = error;
  return mount;
}

/*
 * pivot_root changes the root of every thread; their working directory is one, too. The old root
 * comes to lie over the new one, where nothing has to be made for it, and is taken off
 * (pivot_root(2), "pivot_root(".", ".")").
 */
static int change_root(int tmpfs) {
  if (syscall(SYS_move_mount, tmpfs, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0) return -1;
  if (fchdir(tmpfs) < 0 || syscall(SYS_pivot_root, ".", ".") < 0) return -1;
  if (syscall(SYS_umount2, ".", 2 /* MNT_DETACH */) < 0) return -1;
  return chdir("/");
}

static int empty_root(void) {
  int tmpfs = make_empty_tmpfs();
  if (tmpfs < 0) return -errno;
  int result = change_root(tmpfs) < 0 ? -errno : 0;
  close(tmpfs);
  return result;
}

/* ---- every thread ---------------------------------------------------------------------------- */

/*
 * Capabilities, no_new_privs and Landlock belong to threads, and the kernel has no call that sets
 * them for all. So each gets a signal and does it in its handler, as the C library has it done for
 * setuid(2), and by the same signal: it is the one that no thread can block, as the library leaves
 * it out of every mask (V8 has a thread that blocks all others). The library's handler is put back.
 */
enum { SIGNAL_TO_ALL = 33, THREADS_MAX = 256, PAUSE_MS = 1, PATIENCE_MS = 2000 };

/* struct kernel_sigaction of the C library; ours has no mask to speak of. */
struct kernel_sigaction {
  void (*handler)(int signal);
  unsigned long flags;
  void (*restorer)(void); /* arm64 has the field, and no need of it */
  uint64_t mask;
};

#ifdef __x86_64__
/* What a handler returns to: rt_sigreturn. The C library has one, but does not give it out. */
extern void sandbox_signal_return(void) __attribute__((visibility("hidden")));
__asm__(".text\n.type sandbox_signal_return, @function\nsandbox_signal_return:\n"
        "  mov $15, %rax\n  syscall\n");
#define SA_RESTORER_FLAG 0x04000000ul
#endif

/* What every thread does; written before the first signal. */
static struct {
  int ruleset;
  capabilities kept;
  atomic_int error;
} order;

/*
 * Those that have been told, and which of them have done it. Anybody with our uid may send the signal
 * (rt_sigqueueinfo(2)), so what counts is not that one came but which thread has confined itself.
 */
static struct {
  atomic_int count;
  pid_t ids[THREADS_MAX];
  atomic_bool done[THREADS_MAX];
  atomic_int changes; /* what the waiting thread sleeps on */
} told;

/* In static TLS, as a signal handler must not allocate. */
static _Thread_local bool is_confined __attribute__((tls_model("initial-exec")));

static void confine_this_thread(void) {
  if (is_confined) return;
  if (confine_thread(order.ruleset) < 0 || confine_capabilities(order.kept, 0) < 0) {
    atomic_store(&order.error, errno);
  }
  is_confined = true;
}

static void on_signal(int signal) {
  (void)signal;
  int error = errno;
  confine_this_thread();
  pid_t thread = (pid_t)syscall(SYS_gettid);
  int count = atomic_load(&told.count);
  for (int i = 0; i < count; i++) {
    if (told.ids[i] == thread) atomic_store(&told.done[i], true);
  }
  atomic_fetch_add(&told.changes, 1);
  syscall(SYS_futex, &told.changes, FUTEX_WAKE_PRIVATE, 1);
  errno = error;
}

static int set_handler(const struct kernel_sigaction *action, struct kernel_sigaction *before) {
  return (int)syscall(SYS_rt_sigaction, SIGNAL_TO_ALL, action, before, sizeof(action->mask));
}

static struct kernel_sigaction our_action(void) {
  struct kernel_sigaction action = {.handler = on_signal, .flags = SA_RESTART};
#ifdef __x86_64__
  action.flags |= SA_RESTORER_FLAG;
  action.restorer = sandbox_signal_return;
#endif
  return action;
}

static bool all_have_done(void) {
  int count = atomic_load(&told.count);
  for (int i = 0; i < count; i++) {
    if (!atomic_load(&told.done[i])) return false;
  }
  return true;
}

/* Waits until all have done as they were told, by the clock: forged signals end a pause at once. */
static int wait_for_all(void) {
  const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000 * 1000};
  int64_t end = process_now_ms() + PATIENCE_MS;
  for (;;) {
    int changes = atomic_load(&told.changes);
    if (all_have_done()) return -atomic_load(&order.error);
    if (process_now_ms() >= end) return -ETIMEDOUT;
    syscall(SYS_futex, &told.changes, FUTEX_WAIT_PRIVATE, changes, &pause);
  }
}

static bool is_told(pid_t thread) {
  for (int i = 0; i < atomic_load(&told.count); i++) {
    if (told.ids[i] == thread) return true;
  }
  return false;
}

/* One that has ended meanwhile is not waited for. */
static void tell(pid_t thread) {
  int place = atomic_load(&told.count);
  told.ids[place] = thread;
  atomic_store(&told.done[place], false);
  atomic_store(&told.count, place + 1); /* before its handler looks for itself */
  if (syscall(SYS_tgkill, getpid(), thread, SIGNAL_TO_ALL) < 0) {
    atomic_store(&told.done[place], true);
  }
}

/* Tells those that have not been told. How many that were, or a negative errno. */
static int tell_new(DIR *tasks) {
  int before = atomic_load(&told.count);
  rewinddir(tasks);
  for (struct dirent *entry; (entry = readdir(tasks)) != NULL;) {
    pid_t thread = atoi(entry->d_name);
    if (thread <= 0 || thread == getpid() || is_told(thread)) continue;
    if (atomic_load(&told.count) == THREADS_MAX) return -E2BIG;
    tell(thread);
  }
  int error = wait_for_all();
  return error < 0 ? error : atomic_load(&told.count) - before;
}

/* A thread made meanwhile by one that was not told yet is found by the next look. */
static int tell_all(DIR *tasks) {
  int count;
  atomic_store(&told.count, 0);
  do {
    count = tell_new(tasks);
  } while (count > 0);
  return count;
}

static int confine_all_threads(DIR *tasks) {
  struct kernel_sigaction action = our_action();
  struct kernel_sigaction before;
  if (set_handler(&action, &before) < 0) return -errno;
  int error = tell_all(tasks);
  set_handler(&before, NULL);
  if (error < 0) return error;
  confine_this_thread();
  return -atomic_load(&order.error);
}

/* ---- the whole ------------------------------------------------------------------------------- */

struct lock_down {
  bool empty_root;
  bool keeps_ports;    /* CAP_NET_BIND_SERVICE, if we have it */
  unsigned profiles;   /* of the filter, beside FILTER_NODE */
};

static int confine_process(struct failure *failure, const struct lock_down *wanted, DIR *tasks,
                           int ruleset) {
  capabilities ports = wanted->keeps_ports ? capability(CAP_NET_BIND_SERVICE) : 0;
  order.ruleset = ruleset;
  order.kept = confine_permitted() & ports;
  int error = wanted->empty_root ? empty_root() : 0;
  if (error < 0) return failure_set(failure, STEP_EMPTY_ROOT, "", error);
  error = confine_all_threads(tasks);
  if (error < 0) return failure_set(failure, STEP_THREADS, "", error);
  return 0;
}

/* What COMMAND of `run` reads from the terminal is none of our business, and is none of a guest's. */
static void replace_stdin(void) {
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) return;
  dup2(null, STDIN_FILENO);
  if (null != STDIN_FILENO) close(null);
}

/* /proc is opened first, as it is gone with the old root; where there is no Landlock we do without. */
static int lock_down(struct failure *failure, const struct lock_down *wanted, int ruleset) {
  DIR *tasks = opendir("/proc/self/task");
  if (tasks == NULL) return failure_set(failure, STEP_THREADS, "/proc/self/task", -errno);
  replace_stdin(); /* there may be no /dev/null, and then there is hardly a terminal */
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

/* What is not there needs no right. Of a file reading alone can be allowed. */
static void allow_below(int ruleset, const char *path, enum confine_right right) {
  int place = open(path, O_PATH | O_CLOEXEC);
  if (place < 0) return;
  confine_allow(ruleset, place, right);
  close(place);
}

static void call_directories(struct call *call, size_t index, int ruleset,
                             enum confine_right right) {
  uint32_t count = 0;
  if (napi_get_array_length(call->env, call->arguments[index], &count) != napi_ok) {
    call_wrong_type(call, "an array of paths");
  }
  for (uint32_t i = 0; i < count && call_ok(call); i++) {
    char path[BROKER_PATH_CAPACITY];
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

const struct method sandbox_methods[] = {
    {"lockDown", lock_down_process},
    {"lockDownDaemon", lock_down_daemon},
    {NULL, NULL},
};
