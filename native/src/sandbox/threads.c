#include "threads.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <linux/futex.h>

#include "../os/process.h"

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
  int slot = atomic_load(&told.count);
  told.ids[slot] = thread;
  atomic_store(&told.done[slot], false);
  atomic_store(&told.count, slot + 1); /* before its handler looks for itself */
  if (syscall(SYS_tgkill, getpid(), thread, SIGNAL_TO_ALL) < 0) {
    atomic_store(&told.done[slot], true);
  }
}

/* Tells those that have not been told. How many those were, or a negative errno. */
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

int threads_confine(DIR *tasks, int ruleset, capabilities kept) {
  order.ruleset = ruleset;
  order.kept = kept;
  struct kernel_sigaction action = our_action();
  struct kernel_sigaction before;
  if (set_handler(&action, &before) < 0) return -errno;
  int error = tell_all(tasks);
  set_handler(&before, NULL);
  if (error < 0) return error;
  confine_this_thread();
  return -atomic_load(&order.error);
}
