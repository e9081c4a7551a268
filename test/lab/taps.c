/*
  * Links that Slipway does not make, for tests in which it is given one.
  *
  *     taps give PID NAME vnet|plain FD COMMAND...
  *         opens the TAP NAME in the namespaces of PID and becomes COMMAND, with the TAP as descriptor FD
  *     taps bess PATH NAME
  *         a client of the transport "bess" of User Mode Linux: connects to the socket PATH
  *         (SOCK_SEQPACKET, one Ethernet frame per message) and carries its frames to and from a TAP
  *         NAME of this network namespace; prints a line when connected, ends with the socket
  *     taps stream PATH NAME
  *         the same by QEMU's framing: SOCK_STREAM, each frame behind its length in 4 bytes, network order
  */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FRAME_ROOM = 70000 };

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int open_tap(const char *name, bool vnet_header) {
  int tap = open("/dev/net/tun", O_RDWR);
  if (tap < 0) fail("/dev/net/tun");
  struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | (vnet_header ? IFF_VNET_HDR : 0)};
  snprintf(request.ifr_name, IFNAMSIZ, "%s", name);
  if (ioctl(tap, TUNSETIFF, &request) < 0) fail("TUNSETIFF");
  return tap;
}

static void enter(const char *pid, const char *type) {
  char path[64];
  snprintf(path, sizeof(path), "/proc/%s/ns/%s", pid, type);
  int fd = open(path, O_RDONLY);
  if (fd < 0 || setns(fd, 0) < 0) fail(path);
  close(fd);
}

static void send_descriptor(int socket, int fd) {
  _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(fd))] = {0};
  struct iovec iov = {.iov_base = "x", .iov_len = 1};
  struct msghdr message = {
      .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  *header = (struct cmsghdr){
      .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(fd))};
  memcpy(CMSG_DATA(header), &fd, sizeof(fd));
  if (sendmsg(socket, &message, 0) < 0) fail("sendmsg");
}

static int receive_descriptor(int socket) {
  _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  char byte;
  struct iovec iov = {.iov_base = &byte, .iov_len = 1};
  struct msghdr message = {
      .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
  struct cmsghdr *header = recvmsg(socket, &message, 0) == 1 ? CMSG_FIRSTHDR(&message) : NULL;
  if (header == NULL) fail("recvmsg");
  int fd;
  memcpy(&fd, CMSG_DATA(header), sizeof(fd));
  return fd;
}

/* A child enters the namespaces, because there is no way back. */
static int tap_of(const char *pid, const char *name, bool vnet_header) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0) fail("socketpair");
  pid_t child = fork();
  if (child == 0) {
    enter(pid, "user");
    enter(pid, "net");
    send_descriptor(pair[1], open_tap(name, vnet_header));
    exit(0);
  }
  close(pair[1]);
  int tap = receive_descriptor(pair[0]);
  close(pair[0]);
  waitpid(child, NULL, 0);
  return tap;
}

static int give(char **arguments) {
  int tap = tap_of(arguments[0], arguments[1], strcmp(arguments[2], "vnet") == 0);
  if (dup2(tap, atoi(arguments[3])) < 0) fail("dup2");
  close(tap);
  execvp(arguments[4], arguments + 4);
  fail(arguments[4]);
  return 1;
}

static void carry(int from, int to, const char *what) {
  static char frame[FRAME_ROOM];
  ssize_t length = read(from, frame, sizeof(frame));
  if (length == 0) exit(0);
  if (length < 0) fail(what);
  /* A link that is down or a full queue: the frame is lost, as on any wire. */
  ssize_t written = write(to, frame, (size_t)length);
  if (written < 0 && errno != EIO && errno != EAGAIN && errno != ENOBUFS) fail(what);
}

static void receive_all(int socket, void *bytes, size_t length) {
  ssize_t received = recv(socket, bytes, length, MSG_WAITALL);
  if (received == 0) exit(0);
  if (received != (ssize_t)length) fail("from the socket");
}

/* Waits until the socket has taken all of it. */
static void send_all(int socket, const char *bytes, size_t length) {
  for (size_t sent = 0; sent < length;) {
    ssize_t now = send(socket, bytes + sent, length - sent, MSG_NOSIGNAL);
    if (now <= 0) exit(0);
    sent += (size_t)now;
  }
}

static void to_stream(int tap, int socket) {
  static char frame[sizeof(uint32_t) + FRAME_ROOM];
  ssize_t length = read(tap, frame + sizeof(uint32_t), FRAME_ROOM);
  if (length <= 0) fail("from the TAP");
  uint32_t prefix = htonl((uint32_t)length);
  memcpy(frame, &prefix, sizeof(prefix));
  send_all(socket, frame, sizeof(prefix) + (size_t)length);
}

static void from_stream(int socket, int tap) {
  static char frame[FRAME_ROOM];
  uint32_t prefix;
  receive_all(socket, &prefix, sizeof(prefix));
  size_t length = ntohl(prefix);
  if (length > sizeof(frame)) exit(3);
  receive_all(socket, frame, length);
  if (write(tap, frame, length) < 0 && errno != EIO) fail("to the TAP");
}

static int client(int type, const char *path, const char *name) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
  int server = socket(AF_UNIX, type, 0);
  if (connect(server, (struct sockaddr *)&address, sizeof(address)) < 0) fail(path);
  int tap = open_tap(name, false);
  puts("connected");
  fflush(stdout);
  struct pollfd watched[] = {{.fd = server, .events = POLLIN}, {.fd = tap, .events = POLLIN}};
  while (poll(watched, 2, -1) > 0) {
    bool is_stream = type == SOCK_STREAM;
    if (watched[0].revents != 0) {
      if (is_stream) from_stream(server, tap);
      else carry(server, tap, "from the socket");
    }
    if (watched[1].revents != 0) {
      if (is_stream) to_stream(tap, server);
      else carry(tap, server, "from the TAP");
    }
  }
  return 1;
}

int main(int count, char **arguments) {
  if (count > 6 && strcmp(arguments[1], "give") == 0) return give(arguments + 2);
  if (count == 4 && strcmp(arguments[1], "bess") == 0) {
    return client(SOCK_SEQPACKET, arguments[2], arguments[3]);
  }
  if (count == 4 && strcmp(arguments[1], "stream") == 0) {
    return client(SOCK_STREAM, arguments[2], arguments[3]);
  }
  fputs("usage: see taps.c\n", stderr);
  return 2;
}
