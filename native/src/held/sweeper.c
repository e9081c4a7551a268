/* Async-signal-safe calls only: held.c. */
#include "sweeper.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <linux/capability.h>

#include "../confine/confine.h"
#include "../os/process.h"

/* What cannot be killed, as the kernel is busy for it, is not waited for any longer. */
enum { PATIENCE_MS = 10000, PAUSE_MS = 2 };

/* As getdents64(2) has it. */
struct entry {
  uint64_t inode;
  int64_t offset;
  uint16_t length;
  uint8_t type;
  char name[];
};

/*
 * Whether a process is in our user namespace or below: the kernel shows the namespaces of no other, as our capabilities are
 * valid there alone (cap_ptrace_access_check() in security/commoncap.c).
 */
static bool is_below(const char *pid) {
  char path[sizeof("/proc/4194304/ns/user")] = "/proc/";
  char target[64];
  strncat(path, pid, sizeof("4194304") - 1);
  strcat(path, "/ns/user");
  return readlink(path, target, sizeof(target)) > 0;
}

/* A process that only waits to be reaped has ended. */
static bool has_ended(int pidfd) {
  struct pollfd end = {.fd = pidfd, .events = POLLIN};
  return poll(&end, 1, 0) > 0;
}

/* The pidfd is opened first, so that the signal reaches the process that was looked at, or none. */
static bool kill_below(const char *text) {
  pid_t pid = 0;
  for (const char *digit = text; *digit != '\0'; digit++) {
    if (*digit < '0' || *digit > '9') return false;
    pid = pid * 10 + (*digit - '0');
  }
  if (pid == getpid()) return false;
  int pidfd = process_open(pid);
  if (pidfd < 0) return false;
  bool lives = is_below(text) && !has_ended(pidfd);
  if (lives) syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
  close(pidfd);
  return lives;
}

/* Returns whether there was any to kill. */
static bool sweep(void) {
  _Alignas(struct entry) char buffer[8192];
  bool found = false;
  long length;
  int processes = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (processes < 0) return false;
  while ((length = syscall(SYS_getdents64, processes, buffer, sizeof(buffer))) > 0) {
    for (long at = 0; at < length;) {
      const struct entry *entry = (const struct entry *)(buffer + at);
      if (kill_below(entry->name)) found = true;
      at += entry->length;
    }
  }
  close(processes);
  return found;
}

static _Noreturn void run(int inherited) {
  enum { SOCKET, FIRST_FREE };
  sigset_t all;
  sigset_t end;
  char confirmation;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, NULL);
  capabilities needed = capability(CAP_KILL) | capability(CAP_SYS_PTRACE);
  if (confine_capabilities(confine_permitted() & needed, 0) < 0) _exit(0);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  prctl(PR_SET_NAME, "slipway-sweep");
  /* Our memory is a copy of our parent's. */
  confine_memory();
  if (dup2(inherited, SOCKET) < 0 || chdir("/") < 0) _exit(0);
  syscall(SYS_close_range, FIRST_FREE, UINT_MAX, 0);
  /* If the parent died before PR_SET_PDEATHSIG, it cannot have released the child, which confirms. */
  if (process_recv(SOCKET, &confirmation, 1) != 1) _exit(0);
  close(SOCKET);
  sigemptyset(&end);
  sigaddset(&end, SIGTERM);
  while (sigwaitinfo(&end, NULL) < 0 && errno == EINTR) continue;
  struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000};
  for (int64_t deadline = process_now_ms() + PATIENCE_MS; sweep() && process_now_ms() < deadline;) {
    nanosleep(&pause, NULL);
  }
  _exit(0);
}

int sweeper_start(struct sweeper *sweeper) {
  int socket;
  pid_t pid = process_fork_connected(process_fork_sibling, &socket);
  if (pid == 0) run(socket);
  if (pid < 0) return -1;
  *sweeper = (struct sweeper){.pid = pid, .socket = socket};
  return 0;
}

void sweeper_confirm(const struct sweeper *sweeper) {
  process_send(sweeper->socket, "", 1);
}
