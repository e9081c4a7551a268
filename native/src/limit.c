#include "limit.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Nobody else's: libuv and V8 have SIGPROF, SIGALRM is the shell's. */
enum { LIMIT_SIGNAL = SIGVTALRM };

/* Glibc before 2.36 has no name for it. */
#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

/* Whoever does not read stderr must not keep the process alive. */
static void say(const struct limit *limit) {
  struct pollfd writable = {.fd = STDERR_FILENO, .events = POLLOUT};
  if (poll(&writable, 1, 0) <= 0) return;
  if (write(STDERR_FILENO, limit->last_words, limit->length) < 0) return; /* the status tells */
}

static void on_expiry(int signal, siginfo_t *info, void *context) {
  (void)signal, (void)context;
  if (info->si_code != SI_TIMER) return;
  struct limit *limit = info->si_value.sival_ptr;
  if (limit->seen == limit->turns) {
    say(limit);
    syscall(SYS_exit_group, 1); /* not by the C library, which is where others may hook in */
  }
  limit->seen = limit->turns;
}

/* A loop in WebAssembly may have used up the stack: the handler has Node's, if that has one. */
static int catch_expiry(void) {
  struct sigaction action = {.sa_sigaction = on_expiry,
                             .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK};
  sigemptyset(&action.sa_mask);
  return sigaction(LIMIT_SIGNAL, &action, NULL);
}

int limit_arm(struct limit *limit, unsigned seconds) {
  struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = LIMIT_SIGNAL};
  event.sigev_value.sival_ptr = limit;
  event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
  struct itimerspec every = {.it_interval.tv_sec = seconds, .it_value.tv_sec = seconds};
  limit_disarm(limit);
  if (catch_expiry() < 0) return -errno;
  if (timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &limit->timer) < 0) return -errno;
  limit->armed = true;
  return timer_settime(limit->timer, 0, &every, NULL) < 0 ? -errno : 0;
}

/* #syscalls node: timer_delete */
void limit_disarm(struct limit *limit) {
  if (limit->armed) timer_delete(limit->timer);
  limit->armed = false;
}
