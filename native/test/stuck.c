/*
 * A thread that handles no signal: it waits in vfork(2), which only SIGKILL interrupts, until its child has
 * ended. Loading this file starts it, and returns when it waits.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { SECONDS = 10 };

static int told[2];

static void *wait_for_child(void *nothing) {
  pid_t pid = vfork();
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (write(told[1], "", 1) != 1) _exit(1);
    sleep(SECONDS);
    _exit(0);
  }
  return nothing;
}

__attribute__((constructor)) static void start(void) {
  pthread_t thread;
  char begun;
  if (pipe(told) < 0 || pthread_create(&thread, NULL, wait_for_child, NULL) != 0) abort();
  if (read(told[0], &begun, 1) != 1) abort();
}
