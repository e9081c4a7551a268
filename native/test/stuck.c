/*
 * A thread that handles no signal: it waits in vfork(2), which only SIGKILL interrupts, until its child has
 * ended. Loading this file starts it.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { SECONDS = 10 };

static void *wait_for_child(void *nothing) {
  pid_t pid = vfork();
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sleep(SECONDS);
    _exit(0);
  }
  return nothing;
}

__attribute__((constructor)) static void start(void) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, wait_for_child, NULL) != 0) abort();
}
