/*
 * A daemon against its supervisor's store (launcher/supervisor/store.h), which the launcher starts instead of Node:
 * store.test.ts. Its first life does what ATTACK says, and prints the answers; then it kills itself, and its second
 * life prints what it is handed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if_tun.h>

#include "../launcher/supervisor/store.h"
#include "send-with.h"

enum { PATIENCE_MS = 10000, FLOOD = 200000, SAMPLES = 30 };

static int store;

static struct store_message message_of(uint32_t kind, const char *name) {
  struct store_message message = {.kind = kind};
  strncpy((char *)message.name, name, sizeof(message.name));
  return message;
}

/* The kind of the next message, with its TAP or -1; 0: none comes. */
static uint32_t receive(struct store_message *message, int *tap) {
  _Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(int))];
  struct iovec iov = {.iov_base = message, .iov_len = sizeof(*message)};
  struct msghdr header = {
      .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
  struct pollfd polled = {.fd = store, .events = POLLIN};
  if (poll(&polled, 1, PATIENCE_MS) != 1) return 0;
  if (recvmsg(store, &header, 0) != sizeof(*message)) return 0;
  *tap = -1;
  struct cmsghdr *first = CMSG_FIRSTHDR(&header);
  if (first != NULL) memcpy(tap, CMSG_DATA(first), sizeof(*tap));
  return message->kind;
}

static void say_answer(void) {
  static const char *const words[] = {"nothing", "kept", "?", "done", "refused", "end"};
  struct store_message message;
  int tap;
  uint32_t kind = receive(&message, &tap);
  printf("%s ", words[kind <= STORE_END ? kind : 2]);
}

static void ask(uint32_t kind, const char *name, const int *fds, size_t count) {
  struct store_message message = message_of(kind, name);
  send_with(store, &message, sizeof(message), fds, count, 0);
  say_answer();
}

static int open_tun(const char *name, short flags) {
  struct ifreq request = {.ifr_flags = flags};
  int tun = open("/dev/net/tun", O_RDWR);
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  if (tun < 0 || ioctl(tun, TUNSETIFF, &request) < 0) printf("no TAP: %d ", errno);
  return tun;
}

static int open_tap(const char *name) {
  return open_tun(name, IFF_TAP | IFF_NO_PI);
}

static void keep_and_drop(void) {
  int taps[] = {open_tap("one"), open_tap("two"), open_tap("three")};
  ask(STORE_KEEP, "a", &taps[0], 1);
  ask(STORE_KEEP, "b", &taps[1], 1);
  ask(STORE_KEEP, "a", &taps[2], 1);
  ask(STORE_DROP, "b", NULL, 0);
  ask(STORE_DROP, "b", NULL, 0);
}

static void send_sizes(void) {
  static const size_t sizes[] = {0, 1, sizeof(struct store_message) - 1, sizeof(struct store_message) + 1, 65536};
  static uint8_t bytes[65536] = {STORE_KEEP};
  int tap = open_tap("one");
  for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
    send_with(store, bytes, sizes[i], NULL, 0, 0);
    send_with(store, bytes, sizes[i], &tap, 1, 0);
  }
  ask(STORE_KEEP, "a", &tap, 1);
}

static void send_many(void) {
  int taps[SEND_FDS_MAX];
  taps[0] = open_tap("one");
  for (size_t i = 1; i < SEND_FDS_MAX; i++) taps[i] = taps[0];
  ask(STORE_KEEP, "none", NULL, 0);
  ask(STORE_KEEP, "two", taps, 2);
  ask(STORE_KEEP, "many", taps, SEND_FDS_MAX);
  ask(STORE_KEEP, "a", taps, 1);
  ask(STORE_DROP, "a", taps, 1);
  ask(STORE_DROP, "a", taps, 2);
}

static void send_kinds(void) {
  static const uint32_t kinds[] = {0, STORE_DONE, STORE_REFUSED, STORE_END, 6, UINT32_MAX};
  int tap = open_tap("one");
  for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
    ask(kinds[i], "a", NULL, 0);
    ask(kinds[i], "a", &tap, 1);
  }
}

/* What is not one TAP; the supervisor's own end of our pair would be the worst. */
static void send_others(void) {
  int pipes[2];
  if (pipe(pipes) < 0) return;
  int others[] = {
      store,    pipes[0], pipes[1], memfd_create("x", 0), open("/dev/null", O_RDWR), open("/", O_RDONLY),
      open("/dev/net/tun", O_RDWR), open_tun("tun", IFF_TUN | IFF_NO_PI),
  };
  for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) ask(STORE_KEEP, "a", &others[i], 1);
}

/* How many are taken. */
static void send_too_many(void) {
  int tap = open_tap("one");
  unsigned taken = 0;
  for (int i = 0; i < STORE_CAPACITY + 10; i++) {
    char name[16];
    int none;
    snprintf(name, sizeof(name), "%d", i);
    struct store_message message = message_of(STORE_KEEP, name);
    send_with(store, &message, sizeof(message), &tap, 1, 0);
    if (receive(&message, &none) == STORE_DONE) taken++;
  }
  printf("%u ", taken);
}

static void flood(void) {
  int tap = open_tap("one");
  struct store_message message = message_of(STORE_KEEP, "a");
  for (int i = 0; i < FLOOD; i++) {
    send_with(store, &message, i % 100, i % 3 == 0 ? &tap : NULL, i % 3 == 0, MSG_DONTWAIT);
    send_with(store, &message, sizeof(message), &tap, 1, MSG_DONTWAIT);
  }
}

static void say_nothing_more(void) {
  int tap = open_tap("one");
  ask(STORE_KEEP, "a", &tap, 1);
  shutdown(store, SHUT_WR);
  poll(NULL, 0, 500);
  char path[64];
  snprintf(path, sizeof(path), "/proc/%d/stat", getppid());
  unsigned long user = 0;
  unsigned long system = 0;
  FILE *file = fopen(path, "r");
  if (file == NULL || fscanf(file, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2) return;
  printf(user + system < 20 ? "rests " : "spins ");
}

/* Has them on their way when it ends. */
static void die_early(void) {
  int tap = open_tap("one");
  static const char *const names[] = {"a", "b", "c"};
  for (size_t i = 0; i < 3; i++) {
    struct store_message message = message_of(STORE_KEEP, names[i]);
    send_with(store, &message, sizeof(message), &tap, 1, 0);
  }
}

static const struct {
  const char *name;
  void (*run)(void);
} attacks[] = {
    {"keep", keep_and_drop}, {"sizes", send_sizes},   {"many", send_many},       {"kinds", send_kinds},
    {"others", send_others}, {"too many", send_too_many}, {"flood", flood},      {"silence", say_nothing_more},
    {"early", die_early},
};

/* Its list stays open, as it is locked. */
static bool is_list(int directory, const char *name) {
  char target[PATH_MAX];
  ssize_t length = readlinkat(directory, name, target, sizeof(target) - 1);
  if (length < 0) return false;
  target[length] = '\0';
  return strstr(target, "/slipway.stayed") != NULL;
}

/* Descriptors of the supervisor at this moment. */
static int count_now(void) {
  char path[64];
  int count = 0;
  snprintf(path, sizeof(path), "/proc/%d/fd", getppid());
  DIR *directory = opendir(path);
  if (directory == NULL) return -1;
  for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
    if (!is_list(dirfd(directory), entry->d_name)) count++;
  }
  closedir(directory);
  return count;
}

/* Those that stay: it opens some, and closes them again, when it writes its list. */
static int count_of_parent(void) {
  int least = count_now();
  for (int i = 0; i < SAMPLES; i++) {
    poll(NULL, 0, 10);
    int count = count_now();
    if (count < least) least = count;
  }
  return least;
}

static void attack(const char *name) {
  for (size_t i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++) {
    if (strcmp(attacks[i].name, name) == 0) attacks[i].run();
  }
}

static void say_handed(void) {
  struct store_message message;
  int tap;
  unsigned count = 0;
  while (receive(&message, &tap) == STORE_KEEP) {
    struct ifreq request = {0};
    ioctl(tap, TUNGETIFF, &request);
    if (count++ < 3) printf("%.*s=%s ", STORE_NAME_LENGTH, (const char *)message.name, request.ifr_name);
    /* The supervisor has the TAP still. */
    close(tap);
  }
  printf("%u%s", count, message.kind == STORE_END ? "\n" : " cut\n");
}

int main(void) {
  const char *number = getenv("SLIPWAY_STORE");
  store = number == NULL ? -1 : atoi(number);
  if (getenv("SLIPWAY_RESTARTED") != NULL) {
    say_handed();
    return 0;
  }
  say_answer();
  int before = count_of_parent();
  attack(getenv("ATTACK"));
  printf("%+d; ", count_of_parent() - before);
  fflush(stdout);
  raise(SIGKILL);
}
