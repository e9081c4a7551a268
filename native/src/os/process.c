/* #syscalls node: recvfrom sendto recvmsg sendmsg wait4 */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
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

pid_t process_fork_sibling(void) {
  return (pid_t)syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
}

int process_socketpair(int pair[2]) {
  return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
}

pid_t process_fork_connected(process_forker *forker, int *end) {
  int pair[2];
  if (process_socketpair(pair) < 0) return -1;
  pid_t pid = forker();
  int error = errno;
  *end = pid == 0 ? pair[1] : pair[0];
  close(pid == 0 ? pair[0] : pair[1]);
  if (pid < 0) close(pair[0]);
  errno = error;
  return pid;
}

/* The kernel truncates a message that is too long; here it is an error. */
static ssize_t receive(int socket, struct msghdr *header, int flags) {
  ssize_t received;
  do {
    received = recvmsg(socket, header, flags | MSG_CMSG_CLOEXEC);
  } while (received < 0 && errno == EINTR);
  if (received < 0 || (header->msg_flags & MSG_TRUNC) == 0) return received;
  errno = EMSGSIZE;
  return -1;
}

ssize_t process_recv(int socket, void *message, size_t length) {
  struct iovec iov = {.iov_base = message, .iov_len = length};
  struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};
  return receive(socket, &header, 0);
}

ssize_t process_send(int socket, const void *message, size_t length) {
  ssize_t sent;
  do {
    sent = send(socket, message, length, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent;
}

/*
 * Returns the descriptor received, or -1. The kernel installs as many as fit the control buffer, padding included,
 * and sets MSG_CTRUNC if there were more; an honest peer sends one.
 */
static int take_descriptor(struct msghdr *header) {
  int taken = -1;
  size_t count = 0;
  for (struct cmsghdr *part = CMSG_FIRSTHDR(header); part != NULL; part = CMSG_NXTHDR(header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    for (size_t at = CMSG_LEN(0); at + sizeof(taken) <= part->cmsg_len; at += sizeof(taken)) {
      if (taken >= 0) close(taken);
      memcpy(&taken, (const uint8_t *)part + at, sizeof(taken));
      count++;
    }
  }
  if (count == 0 || (count == 1 && (header->msg_flags & MSG_CTRUNC) == 0)) return taken;
  close(taken);
  return -1;
}

ssize_t process_recv_fd(int socket, void *message, size_t length, int flags, int *fd) {
  _Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(*fd))];
  struct iovec iov = {.iov_base = message, .iov_len = length};
  struct msghdr header = {
      .msg_iov = &iov,
      .msg_iovlen = 1,
      .msg_control = control,
      .msg_controllen = sizeof(control),
  };
  *fd = -1;
  ssize_t received = receive(socket, &header, flags);
  int error = errno;
  if (received >= 0 || error == EMSGSIZE) *fd = take_descriptor(&header);
  if (received < 0 && *fd >= 0) {
    close(*fd);
    *fd = -1;
  }
  errno = error;
  return received;
}

ssize_t process_send_fd(int socket, const void *message, size_t length, int flags, int fd) {
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
    sent = sendmsg(socket, &header, flags | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent;
}

int64_t process_now_ms(void) {
  struct timespec now = {0};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
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

char *process_digits(pid_t pid, char buffer[PROCESS_DIGITS_CAPACITY]) {
  char *first = buffer + PROCESS_DIGITS_CAPACITY - 1;
  *first = '\0';
  do {
    *--first = (char)('0' + pid % 10);
    pid /= 10;
  } while (pid > 0);
  return first;
}

int process_open(pid_t pid) {
  return (int)syscall(SYS_pidfd_open, pid, 0);
}

int process_reap(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return -errno;
  }
  return status;
}
