/*
  * Signals with a siginfo of the sender's choice, which rt_sigqueueinfo(2) lets every process of the same uid
  * send.
  *
  *     forge signals PID ADDRESS SIGNAL...
  *         sends each signal with every si_code that the kernel accepts from another process, once to the
  *         process and once to each of its threads; si_value, and every other possible pointer, is ADDRESS
  *     forge flood PID ADDRESS SIGNAL
  *         prints a line and sends one signal with SI_TIMER until the process has gone, or for four seconds
  */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Below 0, except SI_TKILL: sigqueue(3) and kernel/signal.c, do_rt_sigqueueinfo. */
static const int codes[] = {SI_QUEUE,   SI_TIMER, SI_MESGQ,      SI_ASYNCIO, SI_SIGIO,
                            SI_DETHREAD, -8,       SI_ASYNCNL, -1000,      INT_MIN};
enum { CODE_COUNT = sizeof(codes) / sizeof(codes[0]), FLOOD_SECONDS = 4 };

static siginfo_t forged(int signal, int code, uintptr_t address) {
  siginfo_t info;
  uintptr_t *words = (uintptr_t *)&info;
  for (size_t i = 0; i < sizeof(info) / sizeof(*words); i++) words[i] = address;
  info.si_signo = signal;
  info.si_errno = 0;
  info.si_code = code;
  return info;
}

/* Sends to the process and to each thread; returns how many were accepted. */
static int send_all(pid_t pid, int signal, int code, uintptr_t address) {
  char path[64];
  siginfo_t info = forged(signal, code, address);
  int sent = syscall(SYS_rt_sigqueueinfo, pid, signal, &info) == 0;
  snprintf(path, sizeof(path), "/proc/%d/task", pid);
  DIR *tasks = opendir(path);
  if (tasks == NULL) return sent;
  for (struct dirent *entry; (entry = readdir(tasks)) != NULL;) {
    pid_t thread = atoi(entry->d_name);
    if (thread > 0) sent += syscall(SYS_rt_tgsigqueueinfo, pid, thread, signal, &info) == 0;
  }
  closedir(tasks);
  return sent;
}

static int send_signals(pid_t pid, uintptr_t address, char **signals) {
  int sent = 0;
  for (; *signals != NULL; signals++) {
    for (int i = 0; i < CODE_COUNT; i++) sent += send_all(pid, atoi(*signals), codes[i], address);
  }
  printf("%d\n", sent);
  return sent > 0 ? 0 : 1;
}

static int flood(pid_t pid, uintptr_t address, int signal) {
  siginfo_t info = forged(signal, SI_TIMER, address);
  time_t end = time(NULL) + FLOOD_SECONDS;
  puts("begins");
  fflush(stdout);
  while (time(NULL) <= end) {
    if (syscall(SYS_rt_sigqueueinfo, pid, signal, &info) < 0 && errno == ESRCH) break;
  }
  return 0;
}

int main(int argc, char **argv) {
  const char *what = argc < 5 ? "" : argv[1];
  if (strcmp(what, "signals") == 0) {
    return send_signals(atoi(argv[2]), strtoul(argv[3], NULL, 0), argv + 4);
  }
  if (strcmp(what, "flood") == 0) {
    return flood(atoi(argv[2]), strtoul(argv[3], NULL, 0), atoi(argv[4]));
  }
  fprintf(stderr, "usage: forge signals|flood PID ADDRESS SIGNAL...\n");
  return 2;
}
