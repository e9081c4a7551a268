/* See README.md. Compiled by test/e2e/sandbox.test.ts. */
#include <errno.h>
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/if_tun.h>
#include <linux/sched.h>

#include <node_api.h>

#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447
#endif
enum { THREADS_MAX = 64, SIGNAL_TO_ALL = 33, KCMP_FILE = 0, PATIENCE_MS = 30000 };
/* Results besides errno: the call was let through; the processor or the kernel answered by a signal. */
enum { LET_THROUGH = 0, NOT_TRIED = -1, FAULTED = -2 };

/* Before the lock-down: what an attacker might find in the process's memory or descriptor table. */
static struct {
  pid_t victim;
  int netns, mntns, tun, directory;
  int count;
  pid_t threads[THREADS_MAX];
} prepared;

static long try_open(const char *path, int flags) {
  return syscall(SYS_openat, AT_FDCWD, path, flags, 0600);
}

/* A child that is created exits at once. */
static long ended_in_child(long pid) {
  if (pid == 0) syscall(SYS_exit_group, 0);
  return pid;
}

static long try_capset(void) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct sets[2] = {{1, 1, 1}, {0, 0, 0}};
  return syscall(SYS_capset, &header, sets);
}

static long try_clone3(void) {
  struct clone_args args = {.exit_signal = SIGCHLD};
  return ended_in_child(syscall(SYS_clone3, &args, sizeof(args)));
}

static long try_process_vm(bool write) {
  char byte = 0;
  struct iovec iov = {&byte, 1};
  return syscall(write ? SYS_process_vm_writev : SYS_process_vm_readv, prepared.victim, &iov, 1,
                 &iov, 1, 0);
}

static long try_tap_option(void) {
  struct ifreq {
    char name[16];
    short flags;
    char rest[22];
  } request = {.name = "attack%d", .flags = IFF_TAP | IFF_NO_PI};
  return ioctl(prepared.tun, TUNSETIFF, &request);
}

static long try_socket_filter(void) {
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
  struct sock_fprog program = {1, code};
  long result = setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
  int error = errno;
  close(fd);
  errno = error;
  return result;
}

#ifdef __x86_64__
/* The other two entries of the kernel: the x32 table, and 32-bit code's interrupt. getpid. */
static long try_x32(void) {
  return syscall(0x40000000 | SYS_getpid);
}
static long try_int80(void) {
  long result;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(20) : "memory", "r8", "r9", "r10", "r11");
  if (result >= 0) return result;
  errno = (int)-result;
  return -1;
}
#endif

/* No attack: a privileged instruction faults as int 0x80 does where there are no 32-bit entries. */
static long fault_by_privilege(void) {
#ifdef __x86_64__
  __asm__ volatile("hlt");
  return 0;
#else
  static volatile char *nowhere;
  return *nowhere;
#endif
}
static long fault_by_instruction(void) {
  __builtin_trap();
}

/* NAME, CALL: each in a function, because a signal handler calls it on each thread. */
/* Those that are refused: the process continues. */
#define ATTEMPTS                                                                                   \
  ATTEMPT(open_file, try_open("/etc/passwd", O_RDONLY))                                            \
  ATTEMPT(open_root, try_open("/", O_RDONLY | O_DIRECTORY))                                        \
  ATTEMPT(open_proc, try_open("/proc/self/mem", O_RDWR))                                           \
  ATTEMPT(open_beside, syscall(SYS_openat, prepared.directory, "attack.node", O_RDONLY))           \
  ATTEMPT(open_above, syscall(SYS_openat, prepared.directory, "../..", O_RDONLY))                  \
  ATTEMPT(create, try_open("/attack", O_RDWR | O_CREAT))                                           \
  ATTEMPT(openat2, syscall(SYS_openat2, AT_FDCWD, "/", NULL, 0))                                   \
  ATTEMPT(stat, syscall(SYS_faccessat, AT_FDCWD, "/etc/passwd", F_OK))                             \
  ATTEMPT(list, syscall(SYS_getdents64, prepared.directory, (char[4096]){0}, 4096))                \
  ATTEMPT(mkdir, syscall(SYS_mkdirat, AT_FDCWD, "/attack", 0700))                                  \
  ATTEMPT(unlink, syscall(SYS_unlinkat, prepared.directory, "attack.node", 0))                     \
  ATTEMPT(rename, syscall(SYS_renameat2, AT_FDCWD, "/a", AT_FDCWD, "/b", 0))                       \
  ATTEMPT(fchdir, syscall(SYS_fchdir, prepared.directory))                                         \
  ATTEMPT(fork, ended_in_child(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)))                           \
  ATTEMPT(clone3, try_clone3())                                                                    \
  ATTEMPT(kill, syscall(SYS_kill, prepared.victim, 0))                                             \
  ATTEMPT(kill_all, syscall(SYS_kill, -1, 0))                                                      \
  ATTEMPT(tgkill, syscall(SYS_tgkill, prepared.victim, prepared.victim, 0))                        \
  ATTEMPT(tkill, syscall(SYS_tkill, prepared.victim, 0))                                           \
  ATTEMPT(sigqueue, syscall(SYS_rt_sigqueueinfo, prepared.victim, 0, NULL))                        \
  ATTEMPT(pidfd_open, syscall(SYS_pidfd_open, prepared.victim, 0))                                 \
  ATTEMPT(setpriority, syscall(SYS_setpriority, 0, prepared.victim, 0))                            \
  ATTEMPT(setpgid, syscall(SYS_setpgid, 0, 0))                                                     \
  ATTEMPT(socket_unix, socket(AF_UNIX, SOCK_STREAM, 0))                                            \
  ATTEMPT(socketpair, socketpair(AF_UNIX, SOCK_DGRAM, 0, (int[2]){0, 0}))                          \
  ATTEMPT(socket_netlink, socket(AF_NETLINK, SOCK_RAW, 0))                                         \
  ATTEMPT(socket_packet, socket(AF_PACKET, SOCK_RAW, 0))                                           \
  ATTEMPT(socket_raw, socket(AF_INET, SOCK_RAW, 1))                                                \
  ATTEMPT(socket_raw6, socket(AF_INET6, SOCK_RAW, 58))                                             \
  ATTEMPT(socket_vsock, socket(AF_VSOCK, SOCK_STREAM, 0))                                          \
  ATTEMPT(socket_alg, socket(AF_ALG, SOCK_SEQPACKET, 0))                                           \
  ATTEMPT(socket_mptcp, socket(AF_INET, SOCK_STREAM, 262))                                         \
  ATTEMPT(socket_udplite, socket(AF_INET, SOCK_DGRAM, 136))                                        \
  ATTEMPT(socket_filter, try_socket_filter())                                                      \
  ATTEMPT(tap_option, try_tap_option())                                                            \
  ATTEMPT(terminal_input, ioctl(STDERR_FILENO, TIOCSTI, "x"))                                      \
  ATTEMPT(io_uring_setup, syscall(SYS_io_uring_setup, 1, (char[128]){0}))                          \
  ATTEMPT(io_uring_enter, syscall(SYS_io_uring_enter, 0, 0, 0, 0, NULL, 0))                        \
  ATTEMPT(memfd_create, memfd_create("attack", 0))                                                 \
  ATTEMPT(memfd_secret, syscall(SYS_memfd_secret, 0))                                              \
  ATTEMPT(map_file, (long)mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, prepared.tun, 0))   \
  ATTEMPT(inotify, syscall(SYS_inotify_init1, 0))                                                  \
  ATTEMPT(shmget, syscall(SYS_shmget, 1, 4096, 01700))                                             \
  ATTEMPT(mq_open, syscall(SYS_mq_open, "attack", O_RDWR | O_CREAT, 0600, NULL))                   \
  ATTEMPT(capset, try_capset())                                                                    \
  ATTEMPT(ambient, prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYS_ADMIN, 0, 0))               \
  ATTEMPT(dumpable, prctl(PR_SET_DUMPABLE, 1, 0, 0, 0))                                            \
  ATTEMPT(set_ptracer, prctl(0x59616d61, -1L, 0, 0, 0))                                            \
  ATTEMPT(seccomp, syscall(SYS_seccomp, 1, 0, NULL))                                               \
  ATTEMPT(setrlimit, syscall(SYS_prlimit64, 0, 7, NULL, NULL))                                     \
  ATTEMPT(control_allowed, syscall(SYS_gettid))                                                    \
  ATTEMPT(control_privileged, fault_by_privilege())                                                \
  ATTEMPT(control_illegal, fault_by_instruction())

/* Those that end the process; one of them is tried, on the main thread. */
#define LETHAL_ATTEMPTS                                                                            \
  ATTEMPT(open_by_handle, syscall(SYS_open_by_handle_at, prepared.directory, NULL, 0))             \
  ATTEMPT(execve, execve("/bin/true", (char *[]){"true", NULL}, NULL))                             \
  ATTEMPT(execveat, syscall(SYS_execveat, prepared.directory, "attack.node", NULL, NULL, 0))       \
  ATTEMPT(ptrace_attach, ptrace(PTRACE_SEIZE, prepared.victim, 0, 0))                              \
  ATTEMPT(ptrace_me, ptrace(PTRACE_TRACEME, 0, 0, 0))                                              \
  ATTEMPT(read_memory, try_process_vm(false))                                                      \
  ATTEMPT(write_memory, try_process_vm(true))                                                      \
  ATTEMPT(pidfd_getfd, syscall(SYS_pidfd_getfd, prepared.netns, 0, 0))                             \
  ATTEMPT(setns_net, setns(prepared.netns, CLONE_NEWNET))                                          \
  ATTEMPT(setns_mounts, setns(prepared.mntns, CLONE_NEWNS))                                        \
  ATTEMPT(unshare_user, unshare(CLONE_NEWUSER))                                                    \
  ATTEMPT(unshare_files, unshare(CLONE_FILES))                                                     \
  ATTEMPT(mount, syscall(SYS_mount, "proc", "/", "proc", 0, NULL))                                 \
  ATTEMPT(fsopen, syscall(SYS_fsopen, "proc", 0))                                                  \
  ATTEMPT(open_tree, syscall(SYS_open_tree, prepared.directory, "", AT_EMPTY_PATH))                \
  ATTEMPT(umount, syscall(SYS_umount2, "/", 2))                                                    \
  ATTEMPT(pivot_root, syscall(SYS_pivot_root, ".", "."))                                           \
  ATTEMPT(chroot, syscall(SYS_chroot, "/"))                                                        \
  ATTEMPT(bpf, syscall(SYS_bpf, 5, NULL, 0))                                                       \
  ATTEMPT(keyctl, syscall(SYS_keyctl, 0, -3, 0, 0, 0))                                             \
  ATTEMPT(add_key, syscall(SYS_add_key, "user", "attack", "x", 1, -3))                             \
  ATTEMPT(perf_event_open, syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0))                       \
  ATTEMPT(userfaultfd, syscall(SYS_userfaultfd, 0))                                                \
  ATTEMPT(fanotify, syscall(SYS_fanotify_init, 0, 0))                                              \
  ATTEMPT(setuid, syscall(SYS_setuid, 0))                                                          \
  ATTEMPT(setgroups, syscall(SYS_setgroups, 0, NULL))                                              \
  ATTEMPT(personality, syscall(SYS_personality, 0))                                                \
  ATTEMPT(clock_settime, syscall(SYS_clock_settime, 0, NULL))                                      \
  ATTEMPT(sethostname, syscall(SYS_sethostname, "attack", 6))                                      \
  ATTEMPT(reboot, syscall(SYS_reboot, 0, 0, 0, NULL))                                              \
  ATTEMPT(init_module, syscall(SYS_init_module, NULL, 0, ""))                                      \
  ATTEMPT(kexec, syscall(SYS_kexec_load, 0, 0, NULL, 0))                                           \
  ATTEMPT(kcmp, syscall(SYS_kcmp, getpid(), prepared.victim, KCMP_FILE, 0, 0))                     \
  LETHAL_OF_X86

#ifdef __x86_64__
#define LETHAL_OF_X86 ATTEMPT(x32, try_x32()) ATTEMPT(int80, try_int80())
#else
#define LETHAL_OF_X86
#endif

#define ATTEMPT(name, call)                                                                        \
  static long attempt_##name(void) {                                                               \
    return call;                                                                                   \
  }
ATTEMPTS
LETHAL_ATTEMPTS
#undef ATTEMPT

struct attempt {
  const char *name;
  long (*call)(void);
};
#define ATTEMPT(name, call) {#name, attempt_##name},
static const struct attempt attempts[] = {ATTEMPTS};
static const struct attempt lethal_attempts[] = {LETHAL_ATTEMPTS};
#undef ATTEMPT
enum {
  COUNT = sizeof(attempts) / sizeof(attempts[0]),
  LETHAL_COUNT = sizeof(lethal_attempts) / sizeof(lethal_attempts[0]),
};

/* errno, or one of those above. */
static int results[THREADS_MAX][COUNT];
static atomic_int done;

/* One thread attacks at a time: its id, and where it continues after a fault. */
static volatile pid_t attacker;
static sigjmp_buf after_fault;

static const int faults[] = {SIGSEGV, SIGILL, SIGTRAP, SIGBUS};
enum { FAULTS = sizeof(faults) / sizeof(faults[0]) };

static int outcome_of(long (*call)(void)) {
  /* Without the mask: SA_NODEFER leaves it as it is. */
  if (sigsetjmp(after_fault, 0) != 0) return FAULTED;
  return call() == -1 ? errno : LET_THROUGH;
}

static void try_all(pid_t thread) {
  int index = 0;
  while (prepared.threads[index] != thread) index++;
  /* A fault whose signal is blocked ends the process, and some of Node's threads block all. */
  sigset_t caught, former;
  sigemptyset(&caught);
  for (int i = 0; i < FAULTS; i++) sigaddset(&caught, faults[i]);
  pthread_sigmask(SIG_UNBLOCK, &caught, &former);
  attacker = thread;
  for (size_t i = 0; i < COUNT; i++) results[index][i] = outcome_of(attempts[i].call);
  attacker = 0;
  pthread_sigmask(SIG_SETMASK, &former, NULL);
}

static void on_signal(int signal) {
  (void)signal;
  int error = errno;
  try_all((pid_t)syscall(SYS_gettid));
  atomic_fetch_add(&done, 1);
  errno = error;
}

/* The kernel's, as the C library does not set an action of SIGNAL_TO_ALL. */
struct action {
  void (*handler)(int);
  unsigned long flags;
  void (*restorer)(void);
  uint64_t mask;
};

static struct action fault_actions[FAULTS];

static void set_action(int signal, const struct action *action, struct action *former) {
  syscall(SYS_rt_sigaction, signal, action, former, sizeof(action->mask));
}

static void on_fault(int signal) {
  if ((pid_t)syscall(SYS_gettid) == attacker) siglongjmp(after_fault, 1);
  /* A fault of other code: it happens again, and is not ours to handle. */
  for (int i = 0; i < FAULTS; i++)
    if (faults[i] == signal) set_action(signal, &fault_actions[i], NULL);
}

/*
 * No thread can block SIGNAL_TO_ALL. The restorer is copied from an action that the C
 * library has set.
 */
static void handle_signals(void) {
  struct action action;
  set_action(SIGUSR2, NULL, &action);
  action.mask = 0;
  action.handler = on_signal;
  set_action(SIGNAL_TO_ALL, &action, NULL);
  action.handler = on_fault;
  action.flags |= SA_NODEFER;
  for (int i = 0; i < FAULTS; i++) set_action(faults[i], &action, &fault_actions[i]);
}

static void restore_faults(void) {
  for (int i = 0; i < FAULTS; i++) set_action(faults[i], &fault_actions[i], NULL);
}

static void attack_on(pid_t thread) {
  int before = atomic_load(&done);
  if (thread == getpid()) try_all(thread);
  else if (syscall(SYS_tgkill, getpid(), thread, SIGNAL_TO_ALL) == 0) {
    for (int waited = 0; waited < PATIENCE_MS && atomic_load(&done) == before; waited++) {
      nanosleep(&(struct timespec){.tv_nsec = 1000 * 1000}, NULL);
    }
  }
}

static napi_value prepare(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value victim = NULL;
  napi_get_cb_info(env, info, &count, &victim, NULL, NULL);
  napi_get_value_int32(env, victim, &prepared.victim);
  prepared.netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  prepared.mntns = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
  prepared.tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
  prepared.directory = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
  DIR *tasks = opendir("/proc/self/task");
  for (struct dirent *entry; (entry = readdir(tasks)) != NULL;) {
    if (atoi(entry->d_name) > 0) prepared.threads[prepared.count++] = atoi(entry->d_name);
  }
  closedir(tasks);
  return NULL;
}

/* { threadId: { attempt: errno, or 0: let through, -1: not tried, -2: faulted } } */
static napi_value run(napi_env env, napi_callback_info info) {
  (void)info;
  napi_value all;
  for (int thread = 0; thread < THREADS_MAX; thread++)
    for (size_t i = 0; i < COUNT; i++) results[thread][i] = NOT_TRIED;
  napi_create_object(env, &all);
  handle_signals();
  for (int thread = 0; thread < prepared.count; thread++) {
    attack_on(prepared.threads[thread]);
    napi_value one;
    napi_create_object(env, &one);
    for (size_t i = 0; i < COUNT; i++) {
      napi_value error;
      napi_create_int32(env, results[thread][i], &error);
      napi_set_named_property(env, one, attempts[i].name, error);
    }
    napi_set_element(env, all, (uint32_t)prepared.threads[thread], one);
  }
  restore_faults();
  return all;
}

/* Their names. */
static napi_value lethal(napi_env env, napi_callback_info info) {
  (void)info;
  napi_value names;
  napi_create_array(env, &names);
  for (uint32_t i = 0; i < LETHAL_COUNT; i++) {
    napi_value name;
    napi_create_string_utf8(env, lethal_attempts[i].name, NAPI_AUTO_LENGTH, &name);
    napi_set_element(env, names, i, name);
  }
  return names;
}

/* Makes the attempt of that number. Returns errno, or LET_THROUGH, if it comes back. */
static napi_value try_lethal(napi_env env, napi_callback_info info) {
  size_t count = 1;
  uint32_t number = 0;
  napi_value argument = NULL;
  napi_value result = NULL;
  napi_get_cb_info(env, info, &count, &argument, NULL, NULL);
  napi_get_value_uint32(env, argument, &number);
  int outcome = number < LETHAL_COUNT && lethal_attempts[number].call() == -1 ? errno : LET_THROUGH;
  napi_create_int32(env, outcome, &result);
  return result;
}

static void define(napi_env env, napi_value exports, const char *name, napi_callback callback) {
  napi_value function;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, NULL, &function);
  napi_set_named_property(env, exports, name, function);
}

NAPI_MODULE_INIT() {
  define(env, exports, "prepare", prepare);
  define(env, exports, "run", run);
  define(env, exports, "lethal", lethal);
  define(env, exports, "tryLethal", try_lethal);
  return exports;
}
