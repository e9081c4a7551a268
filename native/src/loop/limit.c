#include "limit.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* No other part uses it: libuv and V8 use SIGPROF, the shell SIGALRM. */
enum { LIMIT_SIGNAL = SIGVTALRM };

/* The timer ticks at equal intervals, but the kernel may run the handler late. */
enum { SLACK_NS = 50 * 1000 * 1000 };
#define NS_PER_SECOND INT64_C(1000000000)

/* Glibc before 2.36 has no name for it. */
#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

/* A reader who does not read stderr must not keep the process alive. */
static void say(const struct limit *limit) {
  struct pollfd writable = {.fd = STDERR_FILENO, .events = POLLOUT};
  if (poll(&writable, 1, 0) <= 0) return;
  if (write(STDERR_FILENO, limit->last_words, limit->length) < 0) return; /* the status tells */
}

/*
 * The limit of the thread that the handler runs on. In static TLS: other access may call malloc, which a signal
 * handler must not.
 */
static _Thread_local struct limit *own __attribute__((tls_model("initial-exec")));

static int64_t processor_time(void) {
  struct timespec now = {0};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return now.tv_sec * NS_PER_SECOND + now.tv_nsec;
}

static void on_expiry(int signal) {
  (void)signal;
  int error = errno;
  struct limit *limit = own;
  if (limit == NULL) return;
  int64_t now = processor_time();
  if (limit->seen != limit->turns) {
    limit->seen = limit->turns;
    limit->seen_at = now;
  } else if (now - limit->seen_at >= limit->longest) {
    say(limit);
    syscall(SYS_exit_group, 1); /* not exit(3), where others may have hooks */
  }
  errno = error;
}

/* A loop in WebAssembly may have used up the stack: use Node's signal stack, if it has one. */
static int catch_expiry(void) {
  struct sigaction action = {.sa_handler = on_expiry, .sa_flags = SA_RESTART | SA_ONSTACK};
  sigemptyset(&action.sa_mask);
  return sigaction(LIMIT_SIGNAL, &action, NULL);
}

int limit_arm(struct limit *limit, unsigned seconds) {
  struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = LIMIT_SIGNAL};
  event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
  struct itimerspec every = {.it_interval.tv_sec = seconds, .it_value.tv_sec = seconds};
  limit_disarm(limit);
  if (catch_expiry() < 0) return -errno;
  if (timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &limit->timer) < 0) return -errno;
  limit->armed = true;
  limit->longest = seconds * NS_PER_SECOND - SLACK_NS;
  limit->seen = limit->turns;
  limit->seen_at = processor_time();
  own = limit;
  return timer_settime(limit->timer, 0, &every, NULL) < 0 ? -errno : 0;
}

/* #syscalls node: timer_delete */
void limit_disarm(struct limit *limit) {
  if (!limit->armed) return;
  own = NULL;
  timer_delete(limit->timer);
  limit->armed = false;
}
