#include "threads.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <linux/futex.h>

#include "../os/process.h"

/*
 * Capabilities, no_new_privs and Landlock belong to threads, and no system call sets them for all. So each thread
 * gets a signal and does it in the handler, as the C library does for setuid(2); and by the same signal, as the
 * library leaves it out of every mask, so that no thread can block it (a thread of V8 blocks all others). The
 * library's handler is restored afterwards.
 */
enum { SIGNAL_TO_ALL = 33, THREADS_MAX = 256, PAUSE_MS = 1, PATIENCE_MS = 2000 };

/* struct kernel_sigaction of the C library; our handler needs no mask. */
struct kernel_sigaction {
  void (*handler)(int signal);
  unsigned long flags;
  void (*restorer)(void); /* arm64 has the field, and no need of it */
  uint64_t mask;
};

#ifdef __x86_64__
/* What a handler returns to: rt_sigreturn. The C library does not export its own. */
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
 * The threads signalled, and which of them are done. Anybody with our uid may send the signal
 * (rt_sigqueueinfo(2)), so a thread counts when it has confined itself, and not when a signal came.
 */
static struct {
  atomic_int count;
  pid_t ids[THREADS_MAX];
  atomic_bool done[THREADS_MAX];
  atomic_int changes; /* what the waiting thread sleeps on */
} signalled;

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
  int count = atomic_load(&signalled.count);
  for (int i = 0; i < count; i++) {
    if (signalled.ids[i] == thread) atomic_store(&signalled.done[i], true);
  }
  atomic_fetch_add(&signalled.changes, 1);
  syscall(SYS_futex, &signalled.changes, FUTEX_WAKE_PRIVATE, 1);
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
  int count = atomic_load(&signalled.count);
  for (int i = 0; i < count; i++) {
    if (!atomic_load(&signalled.done[i])) return false;
  }
  return true;
}

/* Waits until all are done, by the clock: forged signals cut a pause short. */
static int wait_for_all(void) {
  const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000 * 1000};
  int64_t end = process_now_ms() + PATIENCE_MS;
  for (;;) {
    int changes = atomic_load(&signalled.changes);
    if (all_have_done()) return -atomic_load(&order.error);
    if (process_now_ms() >= end) return -ETIMEDOUT;
    syscall(SYS_futex, &signalled.changes, FUTEX_WAIT_PRIVATE, changes, &pause);
  }
}

static bool is_signalled(pid_t thread) {
  for (int i = 0; i < atomic_load(&signalled.count); i++) {
    if (signalled.ids[i] == thread) return true;
  }
  return false;
}

/* Does not wait for a thread that has ended. */
static void signal_thread(pid_t thread) {
  int slot = atomic_load(&signalled.count);
  signalled.ids[slot] = thread;
  atomic_store(&signalled.done[slot], false);
  atomic_store(&signalled.count, slot + 1); /* before its handler looks for itself */
  if (syscall(SYS_tgkill, getpid(), thread, SIGNAL_TO_ALL) < 0) {
    atomic_store(&signalled.done[slot], true);
  }
}

/*
 * A thread's number in our own PID namespace, or 0 when it has ended: /proc may be of one above, and the last number of
 * NSpid is the one that the thread has itself (proc_pid_status(5)).
 */
static pid_t own_number(DIR *tasks, const char *listed) {
  char path[32];
  char text[4096];
  snprintf(path, sizeof(path), "%.15s/status", listed);
  int file = openat(dirfd(tasks), path, O_RDONLY | O_CLOEXEC);
  ssize_t length = file < 0 ? -1 : read(file, text, sizeof(text) - 1);
  if (file >= 0) close(file);
  if (length < 0) return 0;
  text[length] = '\0';
  char *numbers = strstr(text, "\nNSpid:");
  if (numbers == NULL) return atoi(listed); /* a kernel without PID namespaces */
  numbers += strlen("\nNSpid:");
  numbers[strcspn(numbers, "\n")] = '\0';
  return atoi(strrchr(numbers, '\t') + 1);
}

/* Whether the list is of our own PID namespace: then our first thread has our number. */
static bool lists_own_numbers(DIR *tasks) {
  char path[16];
  snprintf(path, sizeof(path), "%d", getpid());
  return faccessat(dirfd(tasks), path, F_OK, 0) == 0;
}

/* Signals the threads that were not yet. Returns how many there were, or a negative errno. */
static int signal_new(DIR *tasks) {
  int before = atomic_load(&signalled.count);
  bool are_own = lists_own_numbers(tasks);
  rewinddir(tasks);
  for (struct dirent *entry; (entry = readdir(tasks)) != NULL;) {
    if (entry->d_name[0] == '.') continue;
    pid_t thread = are_own ? atoi(entry->d_name) : own_number(tasks, entry->d_name);
    if (thread <= 0 || thread == getpid() || is_signalled(thread)) continue;
    if (atomic_load(&signalled.count) == THREADS_MAX) return -E2BIG;
    signal_thread(thread);
  }
  int error = wait_for_all();
  return error < 0 ? error : atomic_load(&signalled.count) - before;
}

/* Repeats until there are no new threads: one that was not signalled yet may have made another. */
static int signal_all(DIR *tasks) {
  int count;
  atomic_store(&signalled.count, 0);
  do {
    count = signal_new(tasks);
  } while (count > 0);
  return count;
}

int threads_confine(DIR *tasks, int ruleset, capabilities kept) {
  order.ruleset = ruleset;
  order.kept = kept;
  struct kernel_sigaction action = our_action();
  struct kernel_sigaction before;
  if (set_handler(&action, &before) < 0) return -errno;
  int error = signal_all(tasks);
  set_handler(&before, NULL);
  if (error < 0) return error;
  confine_this_thread();
  return -atomic_load(&order.error);
}
