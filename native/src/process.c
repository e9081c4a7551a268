/* #syscalls node: recvfrom sendto recvmsg sendmsg wait4 */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
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

ssize_t process_recv_fd(int socket, void *message, size_t length, int *fd) {
  _Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(*fd))];
  struct iovec iov = {.iov_base = message, .iov_len = length};
  struct msghdr header = {
      .msg_iov = &iov,
      .msg_iovlen = 1,
      .msg_control = control,
      .msg_controllen = sizeof(control),
  };
  ssize_t received;
  do {
    received = recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
  } while (received < 0 && errno == EINTR);
  *fd = -1;
  const struct cmsghdr *first = received < 0 ? NULL : CMSG_FIRSTHDR(&header);
  if (first != NULL && first->cmsg_type == SCM_RIGHTS) memcpy(fd, CMSG_DATA(first), sizeof(*fd));
  return received;
}

ssize_t process_send_fd(int socket, const void *message, size_t length, int fd) {
  _Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(fd))] = {0};
  struct iovec iov = {.iov_base = (void *)message, .iov_len = length};
  struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};
  if (fd >= 0) {
    header.msg_control = control;
    header.msg_controllen = sizeof(control);
    struct cmsghdr *first = CMSG_FIRSTHDR(&header);
    first->cmsg_level = SOL_SOCKET;
    first->cmsg_type = SCM_RIGHTS;
    first->cmsg_len = CMSG_LEN(sizeof(fd));
    memcpy(CMSG_DATA(first), &fd, sizeof(fd));
  }
  ssize_t sent;
  do {
    sent = sendmsg(socket, &header, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent;
}

int process_write_file(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  ssize_t written = write(fd, text, strlen(text));
  int error = errno;
  close(fd);
  errno = error;
  return written < 0 ? -1 : 0;
}

int process_reap(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return -errno;
  }
  return status;
}
