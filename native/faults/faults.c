/*
 * System calls that fail when they are told to, in a build of the addon that is for tests alone
 * (build.sh --faults): the linker's --wrap leads every call of the addon through here.
 *
 * TUNTAP2_FAULTS names a file of one u32, mapped and read at each call: how many of 65536 calls fail,
 * so that a test turns faults on and off while the process runs. Each call has its own errnos, those
 * that a kernel short of memory, buffers or descriptors returns, in turn.
 *
 * TUNTAP2_CONNECT_DELAY is for how many ms each datagram socket waits before it is connected: what
 * comes between bind and connect comes for certain.
 *
 * A kernel that says EAGAIN tells when to come again. So a socket that is told a lie has its watch
 * renewed, which reports at once what it is ready for.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FDS = 1 << 16 };

static const volatile uint32_t *rate;
static unsigned connect_delay; /* us */

static struct watched {
  int epoll;
  struct epoll_event event;
  bool watched;
} watches[FDS];

__attribute__((constructor)) static void map_rate(void) {
  const char *path = getenv("TUNTAP2_FAULTS");
  int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  void *mapped = fd < 0 ? MAP_FAILED : mmap(NULL, 4, PROT_READ, MAP_SHARED, fd, 0);
  if (fd >= 0) close(fd);
  if (mapped != MAP_FAILED) rate = mapped;
  const char *delay = getenv("TUNTAP2_CONNECT_DELAY");
  if (delay) connect_delay = (unsigned)atoi(delay) * 1000;
}

static uint32_t next_random(void) {
  static uint32_t state = 1;
  state = state * 1664525u + 1013904223u;
  return state >> 16;
}

int __real_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event);

static void tell_again(int fd) {
  if (fd < 0 || fd >= FDS || !watches[fd].watched) return;
  __real_epoll_ctl(watches[fd].epoll, EPOLL_CTL_MOD, fd, &watches[fd].event);
}

/* Sets errno and returns true when the call is to fail. `errnos` ends with 0. */
static bool fails(int fd, const int *errnos) {
  if (rate == NULL || next_random() >= *rate) return false;
  uint32_t count = 0;
  while (errnos[count] != 0) count++;
  int chosen = errnos[next_random() % count];
  if (chosen == EAGAIN) tell_again(fd);
  errno = chosen;
  return true;
}

#define ERRNOS(...) ((const int[]){__VA_ARGS__, 0})

/* WRAP(name, result, parameters, arguments, descriptor, errnos): build.sh reads the names. */
#define WRAP(name, result, parameters, arguments, descriptor, ...)            \
  result __real_##name parameters;                                            \
  result __wrap_##name parameters;                                            \
  result __wrap_##name parameters {                                           \
    return fails(descriptor, ERRNOS(__VA_ARGS__)) ? -1 : __real_##name arguments; \
  }

WRAP(socket, int, (int domain, int type, int protocol), (domain, type, protocol), -1, EMFILE,
     ENFILE, ENOBUFS, ENOMEM)
WRAP(bind, int, (int fd, const struct sockaddr *name, socklen_t length), (fd, name, length), -1,
     ENOBUFS, ENOMEM)
WRAP(listen, int, (int fd, int backlog), (fd, backlog), -1, ENOBUFS)
WRAP(accept4, int, (int fd, struct sockaddr *name, socklen_t *length, int flags),
     (fd, name, length, flags), fd, EMFILE, ENFILE, ENOBUFS, ENOMEM, EAGAIN)
WRAP(getsockname, int, (int fd, struct sockaddr *name, socklen_t *length), (fd, name, length), -1,
     ENOBUFS)
WRAP(getpeername, int, (int fd, struct sockaddr *name, socklen_t *length), (fd, name, length), -1,
     ENOBUFS)
WRAP(setsockopt, int, (int fd, int level, int name, const void *value, socklen_t length),
     (fd, level, name, value, length), -1, ENOBUFS, ENOMEM)
WRAP(getsockopt, int, (int fd, int level, int name, void *value, socklen_t *length),
     (fd, level, name, value, length), -1, ENOBUFS)
WRAP(read, ssize_t, (int fd, void *to, size_t length), (fd, to, length), fd, EAGAIN, ENOMEM)
WRAP(write, ssize_t, (int fd, const void *from, size_t length), (fd, from, length), fd, EAGAIN,
     ENOBUFS, ENOMEM)
WRAP(writev, ssize_t, (int fd, const struct iovec *pieces, int count), (fd, pieces, count), fd,
     EAGAIN, ENOBUFS, ENOMEM)
WRAP(recv, ssize_t, (int fd, void *to, size_t length, int flags), (fd, to, length, flags), fd,
     EAGAIN, ENOBUFS, ENOMEM)
WRAP(sendmsg, ssize_t, (int fd, const struct msghdr *message, int flags), (fd, message, flags), fd,
     EAGAIN, ENOBUFS, ENOMEM)
WRAP(sendmmsg, int, (int fd, struct mmsghdr *messages, unsigned count, int flags),
     (fd, messages, count, flags), fd, EAGAIN, ENOBUFS, ENOMEM)
WRAP(recvmmsg, int,
     (int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout),
     (fd, messages, count, flags, timeout), fd, EAGAIN, ENOBUFS, ENOMEM)
WRAP(shutdown, int, (int fd, int how), (fd, how), -1, ENOBUFS)
WRAP(getrandom, ssize_t, (void *to, size_t length, unsigned flags), (to, length, flags), -1, EAGAIN)

static bool is_datagram(int fd) {
  int type = 0;
  socklen_t length = sizeof type;
  return __real_getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_DGRAM;
}

int __real_connect(int fd, const struct sockaddr *name, socklen_t length);

/* Its own, as dissolving a connection needs no memory: what is to end by RST must not end by FIN. */
int __wrap_connect(int fd, const struct sockaddr *name, socklen_t length);
int __wrap_connect(int fd, const struct sockaddr *name, socklen_t length) {
  if (name->sa_family != AF_UNSPEC && fails(-1, ERRNOS(ENOBUFS, EAGAIN))) return -1;
  if (connect_delay > 0 && is_datagram(fd)) usleep(connect_delay);
  return __real_connect(fd, name, length);
}

static void remember(int epoll, int operation, int fd, const struct epoll_event *event) {
  if (fd < 0 || fd >= FDS) return;
  watches[fd].watched = operation != EPOLL_CTL_DEL;
  watches[fd].epoll = epoll;
  if (event != NULL) watches[fd].event = *event;
}

/* Its own, as EPOLL_CTL_DEL does not fail for want of memory, and success is to be remembered. */
int __wrap_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event) {
  if (operation == EPOLL_CTL_ADD && fails(-1, ERRNOS(ENOMEM, ENOSPC))) return -1;
  int result = __real_epoll_ctl(epoll, operation, fd, event);
  if (result == 0) remember(epoll, operation, fd, event);
  return result;
}
