#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <net/if.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <linux/if_tun.h>

#include "../../src/os/process.h"
#include "../common/daemon-paths.h"
#include "tap-namespace.h"

enum {
  TUN_MAJOR = 10, /* misc devices; TUN_MINOR of linux/miscdevice.h */
  TUN_MINOR = 200,
  MOST_DRAINED = 4096, /* messages of a daemon that has ended: another process may hold its end and go on sending */
};

struct kept {
  bool is_used;
  int tap;
  uint8_t name[STORE_NAME_LENGTH];
  struct namespace in;
  bool is_known; /* whether `in` was determined, as far as possible */
};

/* Both ends of the pair, and the lock on the list; -1: none. `given` is the next slot to hand over. */
static struct {
  int socket;
  int daemon_end;
  int list;
  size_t given;
  bool is_given;
  bool is_unwritten; /* what is kept has changed since the list was written */
  struct kept kept[STORE_CAPACITY];
} store = {.socket = -1, .daemon_end = -1, .list = -1};

static void close_end(int *end) {
  if (*end >= 0) close(*end);
  *end = -1;
}

void store_open(void) {
  int pair[2];
  close_end(&store.socket);
  store.given = 0;
  store.is_given = false;
  if (process_socketpair(pair) < 0) return;
  store.socket = pair[0];
  store.daemon_end = pair[1];
}

void store_inherit(void) {
  char text[16];
  if (store.daemon_end < 0 || fcntl(store.daemon_end, F_SETFD, 0) < 0) return;
  snprintf(text, sizeof(text), "%d", store.daemon_end);
  setenv("SLIPWAY_STORE", text, 1);
}

unsigned store_move_to(unsigned number) {
  close_end(&store.daemon_end);
  if (store.socket < 0) return number;
  if (store.socket != (int)number) {
    int moved = dup3(store.socket, (int)number, O_CLOEXEC);
    close_end(&store.socket);
    store.socket = moved;
  }
  return number + 1;
}

/* ---- what is kept ----------------------------------------------------------------------------- */

static struct kept *find(const uint8_t name[STORE_NAME_LENGTH]) {
  for (size_t i = 0; i < STORE_CAPACITY; i++) {
    struct kept *kept = &store.kept[i];
    if (kept->is_used && memcmp(kept->name, name, STORE_NAME_LENGTH) == 0) return kept;
  }
  return NULL;
}

static struct kept *find_free(void) {
  for (size_t i = 0; i < STORE_CAPACITY; i++) {
    if (!store.kept[i].is_used) return &store.kept[i];
  }
  return NULL;
}

/* Check the driver first: the number of an ioctl means something else to another driver. */
static bool is_tap(int fd) {
  struct stat status;
  if (fstat(fd, &status) < 0 || !S_ISCHR(status.st_mode)) return false;
  if (status.st_rdev != makedev(TUN_MAJOR, TUN_MINOR)) return false;
  struct ifreq request = {0};
  return ioctl(fd, TUNGETIFF, &request) == 0 && (request.ifr_flags & IFF_TAP) != 0;
}

/* Closes `tap` when it is not kept. */
static enum store_kind keep(const uint8_t name[STORE_NAME_LENGTH], int tap) {
  struct kept *kept = find(name);
  bool is_new = kept == NULL;
  if (is_new) kept = find_free();
  if (kept == NULL || !is_tap(tap)) {
    close(tap);
    return STORE_REFUSED;
  }
  if (!is_new) close(kept->tap);
  store.is_unwritten = true;
  *kept = (struct kept){.is_used = true, .tap = tap};
  memcpy(kept->name, name, STORE_NAME_LENGTH);
  return STORE_DONE;
}

static void forget(struct kept *kept) {
  close(kept->tap);
  kept->is_used = false;
  store.is_unwritten = true;
}

static enum store_kind drop(const uint8_t name[STORE_NAME_LENGTH]) {
  struct kept *kept = find(name);
  if (kept == NULL) return STORE_REFUSED;
  forget(kept);
  return STORE_DONE;
}

/* ---- messages --------------------------------------------------------------------------------- */

/* There is room for one descriptor; the kernel closes the others and sets MSG_CTRUNC. */
static int descriptor_of(const struct msghdr *message) {
  const struct cmsghdr *control = CMSG_FIRSTHDR(message);
  if (control == NULL || control->cmsg_level != SOL_SOCKET || control->cmsg_type != SCM_RIGHTS) {
    return -1;
  }
  int fd = -1;
  if (control->cmsg_len == CMSG_LEN(sizeof(fd))) memcpy(&fd, CMSG_DATA(control), sizeof(fd));
  return fd;
}

static enum store_kind carry_out(const struct store_message *message, int fd) {
  if (message->kind == STORE_KEEP && fd >= 0) return keep(message->name, fd);
  if (fd >= 0) close(fd);
  return message->kind == STORE_DROP && fd < 0 ? drop(message->name) : STORE_REFUSED;
}

/* Does not wait when the daemon reads no answers. */
static bool send_message(enum store_kind kind, const uint8_t *name, int tap) {
  struct store_message message = {.kind = kind};
  if (name != NULL) memcpy(message.name, name, STORE_NAME_LENGTH);
  return process_send_fd(store.socket, &message, sizeof(message), MSG_DONTWAIT, tap) ==
         sizeof(message);
}

/*
 * Receives a message, carries it out and answers. Returns its length; 0 or less: there was none, or an empty one.
 */
static ssize_t take_message(void) {
  struct store_message message;
  _Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(int))];
  struct iovec iov = {.iov_base = &message, .iov_len = sizeof(message)};
  struct msghdr header = {
      .msg_iov = &iov,
      .msg_iovlen = 1,
      .msg_control = control,
      .msg_controllen = CMSG_LEN(sizeof(int)), /* CMSG_SPACE has room for two */
  };
  ssize_t length;
  do { /* ECONNRESET: the daemon ended without reading everything; what it sent can still be read */
    length = recvmsg(store.socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (length < 0 && (errno == EINTR || errno == ECONNRESET));
  if (length < 0) return length;
  int fd = descriptor_of(&header);
  bool is_whole = length == sizeof(message) && (header.msg_flags & MSG_TRUNC) == 0;
  bool is_cut = (header.msg_flags & MSG_CTRUNC) != 0; /* of several, or we are out of descriptors */
  if (!is_whole || is_cut) {
    if (fd >= 0) close(fd);
    if (is_whole) send_message(STORE_REFUSED, message.name, -1);
    return length;
  }
  send_message(carry_out(&message, fd), message.name, -1);
  return length;
}

/* Hands over the next TAP, or says that there are no more. A TAP that cannot be sent is dropped. */
static void hand_over_next(void) {
  while (store.given < STORE_CAPACITY && !store.kept[store.given].is_used) store.given++;
  if (store.given == STORE_CAPACITY) {
    store.is_given = send_message(STORE_END, NULL, -1);
    return;
  }
  struct kept *kept = &store.kept[store.given];
  if (send_message(STORE_KEEP, kept->name, kept->tap)) store.given++;
  else if (errno != EAGAIN && errno != EINTR) forget(kept);
}

/* ---- the list of namespaces ------------------------------------------------------------------- */

/* Determines the namespace of one TAP for which it is unknown. False: there is none. */
static bool find_namespace(void) {
  for (size_t i = 0; i < STORE_CAPACITY; i++) {
    struct kept *kept = &store.kept[i];
    if (!kept->is_used || kept->is_known) continue;
    kept->in = tap_namespace(kept->tap);
    kept->is_known = true;
    return true;
  }
  return false;
}

static void write_line(FILE *file, const struct kept *kept) {
  if (kept->in.cookie == 0) return;
  fprintf(file, "%" PRIu64 ":%" PRIu64 " %" PRIu64 "\n", kept->in.device, kept->in.inode,
          kept->in.cookie);
}

static bool write_lines(int fd) {
  FILE *file = fdopen(fd, "w");
  if (file == NULL) return false;
  for (size_t i = 0; i < STORE_CAPACITY; i++) {
    if (store.kept[i].is_used) write_line(file, &store.kept[i]);
  }
  return fclose(file) == 0;
}

/* Returns the file's lock, which lasts as long as this process, or -1. */
static int write_locked(const char *path) {
  unlink(path);
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  int lock = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) == 0 && write_lines(fd)) return lock;
  close_end(&lock);
  return -1;
}

/* Replaces the file atomically. Whoever finds it unlocked knows that this supervisor has ended. */
static void write_list(void) {
  char path[PATH_MAX];
  char new[PATH_MAX + 4];
  store.is_unwritten = false;
  if (!daemon_paths_stayed(path, sizeof(path))) return;
  snprintf(new, sizeof(new), "%s.new", path);
  int lock = write_locked(new);
  if (lock >= 0 && rename(new, path) == 0) {
    close_end(&store.list);
    store.list = lock;
  } else {
    close_end(&lock);
    unlink(new);
  }
}

/* ---- as long as the daemon lives -------------------------------------------------------------- */

static void drain(void) {
  for (int count = 0; count < MOST_DRAINED && take_message() > 0; count++) continue;
}

void store_serve(pid_t daemon) {
  close_end(&store.daemon_end);
  int pidfd = process_open(daemon);
  struct pollfd polled[] = {{.fd = pidfd, .events = POLLIN}, {.fd = store.socket}};
  while (pidfd >= 0 && store.socket >= 0) {
    polled[1].events = (short)(POLLIN | POLLRDHUP | (store.is_given ? 0 : POLLOUT));
    int count = poll(polled, 2, store.is_unwritten ? 0 : -1);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) break;
    if (count == 0 && !find_namespace()) write_list(); /* an agent takes a millisecond */
    if (polled[0].revents != 0) break;
    short events = polled[1].revents;
    if ((events & POLLOUT) != 0) hand_over_next();
    bool has_message = (events & POLLIN) != 0 && take_message() > 0;
    if (!has_message && (events & (POLLHUP | POLLRDHUP | POLLERR)) != 0) polled[1].fd = -1;
  }
  if (store.socket >= 0) drain();
  while (find_namespace()) continue;
  if (store.is_unwritten) write_list();
  close_end(&store.socket);
  if (pidfd >= 0) close(pidfd);
}
