/*
 * The states of a supervisor. Only the child returns from supervise_daemon():
 *
 *     State    event                              then                                              next
 *     start    told to end                        exit with 0                                       ended
 *     start    fork                               child: SIGTERM when we end, SLIPWAY_RESTARTED     running
 *                                                 but for the first, SLIPWAY_STORE; becomes Node
 *                                                 parent: serve the store (store.h)
 *     start    fork fails                         become the daemon ourselves, without a supervisor ended
 *     running  SIGTERM, SIGINT                    pass it on; note that we were told to end         running
 *     running  the daemon ends: final             exit with its status                              ended
 *     running  the daemon ends: not final         pause                                             start
 *
 * An end is final: with status 0; with another within START_MS, as the daemon could not start and has said why; by
 * SIGTERM or SIGINT; and the MOST_FAILURES-th in a row before AT_WORK_MS.
 */
#include "supervisor.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../src/os/process.h"
#include "store.h"

enum {
  PAUSE_MS = 20,        /* before the next one starts */
  START_MS = 10000,     /* longer than a start takes on the slowest machine */
  AT_WORK_MS = 1000,    /* a daemon that lived so long was at work; its end is no failure in a row */
  MOST_FAILURES = 5,
  LISTEN_FDS_START = 3,
  MOST_LISTENERS = 1024,
};

static volatile sig_atomic_t daemon_pid; /* 0: there is none at the moment */
static volatile sig_atomic_t told_to_end;

/* Only the signal's number counts: anybody may send any siginfo. */
static void pass_on(int signal) {
  int error = errno;
  told_to_end = 1;
  if (daemon_pid > 0) {
    kill(daemon_pid, signal);
    kill(daemon_pid, SIGCONT); /* if it is stopped, it would not end */
  }
  errno = error;
}

static void pass_signals(void) {
  struct sigaction action = {.sa_handler = pass_on};
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
}

/* Blocks signals, which would be lost between fork and setting daemon_pid. Returns the old mask. */
static sigset_t hold_signals(void) {
  sigset_t held;
  sigset_t before;
  sigemptyset(&held);
  sigaddset(&held, SIGTERM);
  sigaddset(&held, SIGINT);
  sigprocmask(SIG_BLOCK, &held, &before);
  return before;
}

/* The number of sockets passed by a service manager, from LISTEN_FDS_START on: sd_listen_fds(3). */
static unsigned listener_count(void) {
  const char *pid = getenv("LISTEN_PID");
  const char *count = getenv("LISTEN_FDS");
  if (pid == NULL || count == NULL || atoi(pid) != getpid()) return 0;
  int number = atoi(count);
  return number > 0 && number <= MOST_LISTENERS ? (unsigned)number : 0;
}

/* Addresses them to this process: sd_listen_fds(3) checks the pid. */
static void hand_listeners_on(void) {
  char text[16];
  snprintf(text, sizeof(text), "%d", getpid());
  setenv("LISTEN_PID", text, 1);
}

/*
 * Closes what the caller left open: who reads the other end waits for the daemon, not for us. Listening sockets
 * stay: the next daemon needs them, and clients wait until then.
 */
static void drop_descriptors(unsigned listeners) {
  syscall(SYS_close_range, store_move_to(LISTEN_FDS_START + listeners), UINT_MAX, 0);
}

/* Clears daemon_pid before reaping: then the kernel may give the number to another process. */
static int wait_for_end(pid_t pid) {
  int status = 0;
  siginfo_t ended;
  while (waitid(P_PID, (id_t)pid, &ended, WEXITED | WNOWAIT) < 0 && errno == EINTR) continue;
  daemon_pid = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  return status;
}

static bool is_final(int status, int64_t lived_ms) {
  if (WIFSIGNALED(status)) return WTERMSIG(status) == SIGTERM || WTERMSIG(status) == SIGINT;
  return WEXITSTATUS(status) == 0 || lived_ms < START_MS;
}

static void become_daemon(unsigned listeners, bool is_restarted) {
  prctl(PR_SET_PDEATHSIG, SIGTERM); /* a service manager that kills us means it */
  if (listeners > 0) hand_listeners_on();
  if (is_restarted) setenv("SLIPWAY_RESTARTED", "1", 1);
  store_inherit();
}

/* Forks a daemon that gets our signals from now on. Returns as fork(2) does. */
static pid_t fork_daemon(void) {
  sigset_t before = hold_signals();
  if (told_to_end) _exit(0); /* between two daemons */
  pid_t pid = fork();
  if (pid > 0) {
    daemon_pid = pid;
    pass_signals();
  }
  sigprocmask(SIG_SETMASK, &before, NULL);
  return pid;
}

void supervise_daemon(void) {
  int failures = 0;
  unsigned listeners = listener_count();
  for (bool is_restarted = false;; is_restarted = true) {
    int64_t started = process_now_ms();
    store_open();
    pid_t pid = fork_daemon();
    if (pid < 0) return;
    if (pid == 0) {
      become_daemon(listeners, is_restarted);
      return;
    }
    if (!is_restarted) drop_descriptors(listeners);
    store_serve(pid);
    int status = wait_for_end(pid);
    int64_t lived_ms = process_now_ms() - started;
    failures = lived_ms >= AT_WORK_MS ? 0 : failures + 1;
    if (is_final(status, lived_ms) || failures >= MOST_FAILURES) {
      _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
    }
    nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000L}, NULL);
  }
}
