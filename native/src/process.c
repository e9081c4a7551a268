#include "process.h"

#include <errno.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

pid_t process_fork(void) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pid_t pid = fork();
  int error = errno;
  if (pid != 0) pthread_sigmask(SIG_SETMASK, &before, NULL);
  errno = error;
  return pid;
}

int process_socketpair(int pair[2]) {
  return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
}

ssize_t process_recv(int socket, void *message, size_t length) {
  ssize_t received;
  do {
    received = recv(socket, message, length, 0);
  } while (received < 0 && errno == EINTR);
  return received;
}

ssize_t process_send(int socket, const void *message, size_t length) {
  ssize_t sent;
  do {
    sent = send(socket, message, length, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent;
}

int process_reap(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return -errno;
  }
  return status;
}
