/*
  * Tools of a hostile guest: raw frames at its TAP, at a given rate, beside a healthy transfer whose
  * rate is measured meanwhile.
  *
  *     attack sink|source PORT
  *     attack replay DEVICE FRAMES ADDRESS PORT RATE MS ROUNDS MEBIBYTES
  *     attack pipe DEVICE MAC
  *     attack echo ADDRESS PORT
  *     attack ask ADDRESS PORT
  *     attack flood FRAMES
  *     attack pour
  *
  * sink: accepts connections on all addresses and discards their data. source: sends on all of
  * them as much as they take.
  *
  * replay: FRAMES is a file of records: a length (32 bits, this machine's order), then that many bytes,
  * a virtio_net_hdr of 10 first. A connection to ADDRESS:PORT sends as fast as it can. A round is
  * MS milliseconds of noise and MS of attack, at RATE frames a second on a machine where the transfer alone
  * reached 8 Gbit/s just before, fewer on a busier or slower one. Noise has the lengths of the
  * attack's frames, but an unknown EtherType: both halves include the cost of sender, kernel and TAP,
  * so their difference is what the helper does about the attack. There are ROUNDS rounds, and
  * more until the transfer has got MEBIBYTES across beside the attack; then every frame not sent yet is sent
  * once. It fails if the transfer has ended.
  * For each round it prints the bytes that the healthy transfer has got across (acknowledged by its peer)
  * in each half, how many frames of the attack were sent, and how many of them the kernel refused.
  *
  * pipe: sends the records from descriptor 3; frames that arrive for MAC are records at descriptor 4.
  *
  * echo: returns each byte that it gets. ask: for each line "COUNT" of stdin it sends a byte and waits for the
  * answer, COUNT times; prints the median and the 99th percentile of the waits in nanoseconds.
  * flood: for a line "DEVICE" it sends the frames repeatedly, as fast as the kernel takes them. pour: for a
  * line "ADDRESS PORT" a connection sends as fast as it can. Both report when they have begun, continue until the
  * next line, and print how much they sent.
  */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/tcp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* tcp_states.h of the kernel */
enum { ESTABLISHED = 1 };

enum { FROM_TEST = 3, TO_TEST = 4, VNET_SIZE = 10, BATCH = 64, FRAME_ROOM = 70000, NANOSECONDS = 1000000000 };

struct frames {
  uint8_t *bytes;
  struct iovec *vectors;
  uint32_t count, next;
};

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * NANOSECONDS + t.tv_nsec;
}

static void wait_until(int64_t time) {
  struct timespec t = {.tv_sec = time / NANOSECONDS, .tv_nsec = time % NANOSECONDS};
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

/* ---- the healthy transfer ---- */

static void start(void *(*run)(void *), int fd) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, run, (void *)(intptr_t)fd) != 0) fail("pthread_create");
  pthread_detach(thread);
}

/* One epoll set: an attack may have many connections. */
static void watch(int set, int fd, uint32_t events) {
  struct epoll_event event = {.events = events, .data.fd = fd};
  if (epoll_ctl(set, EPOLL_CTL_ADD, fd, &event) < 0) fail("epoll_ctl");
}

/* MSG_TRUNC: TCP discards the bytes instead of copying them, see tcp(7). */
static bool discard(int fd) { return recv(fd, NULL, 1 << 20, MSG_TRUNC | MSG_DONTWAIT) > 0; }

static uint8_t zeros[1 << 17];

static bool offer(int fd) {
  return send(fd, zeros, sizeof zeros, MSG_NOSIGNAL | MSG_DONTWAIT) > 0 || errno == EAGAIN;
}

static _Noreturn void serve(uint16_t port, uint32_t events, bool (*serve_one)(int fd)) {
  int listener = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1, set = epoll_create1(0);
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
  if (bind(listener, (struct sockaddr *)&any, sizeof any) < 0) fail("bind");
  if (listen(listener, 4096) < 0) fail("listen");
  watch(set, listener, EPOLLIN);
  puts("ready");
  fflush(stdout);
  for (;;) {
    struct epoll_event ready[BATCH];
    int count = epoll_wait(set, ready, BATCH, -1);
    for (int i = 0; i < count; i++) {
      int fd = ready[i].data.fd;
      if (fd == listener) {
        int accepted = accept(listener, NULL, NULL);
        if (accepted >= 0) watch(set, accepted, events);
      } else if (!serve_one(fd)) {
        close(fd);
      }
    }
  }
}

static void *pour(void *arg) {
  while (send((int)(intptr_t)arg, zeros, sizeof zeros, MSG_NOSIGNAL) > 0) continue;
  return NULL;
}

static int start_transfer(const char *address, uint16_t port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
  if (inet_pton(AF_INET, address, &to.sin_addr) != 1) fail(address);
  if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0) fail("connect");
  start(pour, fd);
  return fd;
}

static uint64_t transferred(int fd) {
  struct tcp_info info;
  socklen_t length = sizeof info;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0) fail("TCP_INFO");
  if (info.tcpi_state != ESTABLISHED) {
    fprintf(stderr, "the healthy transfer ended\n");
    exit(3);
  }
  return info.tcpi_bytes_acked;
}

/* ---- raw frames ---- */

static int open_raw(const char *device, uint16_t protocol) {
  int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), on = 1;
  if (fd < 0) fail("AF_PACKET");
  if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on) < 0) fail("PACKET_VNET_HDR");
  struct sockaddr_ll to = {
      .sll_family = AF_PACKET,
      .sll_protocol = htons(protocol),
      .sll_ifindex = (int)if_nametoindex(device),
  };
  if (bind(fd, (struct sockaddr *)&to, sizeof to) < 0) fail(device);
  return fd;
}

static struct frames load(const char *path) {
  struct frames frames = {0};
  FILE *file = fopen(path, "r");
  if (!file) fail(path);
  fseek(file, 0, SEEK_END);
  size_t size = (size_t)ftell(file);
  rewind(file);
  frames.bytes = malloc(size);
  if (!frames.bytes || fread(frames.bytes, 1, size, file) != size) fail(path);
  fclose(file);
  frames.vectors = malloc(size / sizeof(uint32_t) * sizeof *frames.vectors);
  for (size_t at = 0; at + sizeof(uint32_t) <= size;) {
    uint32_t length;
    memcpy(&length, frames.bytes + at, sizeof length);
    at += sizeof length;
    frames.vectors[frames.count++] = (struct iovec){frames.bytes + at, length};
    at += length;
  }
  return frames;
}

static struct frames noise_like(const struct frames *frames) {
  static const uint8_t experimental[2] = {0x88, 0xb5};
  struct frames noise = {.count = frames->count};
  noise.vectors = calloc(frames->count, sizeof *noise.vectors);
  noise.bytes = calloc(1, FRAME_ROOM);
  memset(noise.bytes + VNET_SIZE, 2, 12);
  memcpy(noise.bytes + VNET_SIZE + 12, experimental, 2);
  for (uint32_t i = 0; i < frames->count; i++) {
    noise.vectors[i] = (struct iovec){noise.bytes, frames->vectors[i].iov_len};
  }
  return noise;
}

/* @returns how many the kernel refused */
static uint32_t send_some(int fd, struct frames *frames, uint32_t count) {
  struct mmsghdr messages[BATCH];
  memset(messages, 0, sizeof messages);
  for (uint32_t i = 0; i < count; i++) {
    messages[i].msg_hdr.msg_iov = &frames->vectors[frames->next];
    messages[i].msg_hdr.msg_iovlen = 1;
    frames->next = (frames->next + 1) % frames->count;
  }
  uint32_t refused = 0;
  for (uint32_t done = 0; done < count;) {
    int sent = sendmmsg(fd, messages + done, count - done, 0);
    if (sent <= 0) refused++, done++;
    else done += (uint32_t)sent;
  }
  return refused;
}

struct tally {
  uint64_t bytes;
  uint32_t sent, refused;
};

static struct tally half_round(int raw, int transfer, struct frames *frames, uint32_t rate,
                               uint32_t ms) {
  struct tally tally = {0};
  int64_t begin = now(), end = begin + (int64_t)ms * 1000000;
  uint64_t before = transferred(transfer);
  for (int64_t time = begin; time < end; time = now()) {
    uint64_t due = (uint64_t)(time - begin) * rate / NANOSECONDS;
    if (due <= tally.sent) {
      wait_until(time + NANOSECONDS / 5000);
      continue;
    }
    uint32_t count = due - tally.sent < BATCH ? (uint32_t)(due - tally.sent) : BATCH;
    tally.refused += send_some(raw, frames, count);
    tally.sent += count;
  }
  /* Both halves took as long as they did, not as long as they should have. */
  tally.bytes = (transferred(transfer) - before) * (uint64_t)ms * 1000000 / (uint64_t)(now() - begin);
  return tally;
}

/* The part of RATE that this machine can do now: how much is a flood depends on other load. */
static uint32_t scaled(uint32_t rate, int transfer) {
  /* 20 Gbit/s, beside which the rates were chosen. */
  enum { LOOK_MS = 40, FULL = 2500000 * LOOK_MS };
  uint64_t before = transferred(transfer);
  wait_until(now() + LOOK_MS * 1000000LL);
  uint64_t bytes = transferred(transfer) - before;
  if (bytes >= FULL) return rate;
  uint32_t part = (uint32_t)(rate * bytes / FULL);
  return part > rate / 50 ? part : rate / 50;
}

static int replay(char **argv) {
  struct frames attack = load(argv[1]), noise = noise_like(&attack);
  int raw = open_raw(argv[0], 0), transfer = start_transfer(argv[2], (uint16_t)atoi(argv[3]));
  uint32_t rate = (uint32_t)atoi(argv[4]), ms = (uint32_t)atoi(argv[5]);
  int rounds = atoi(argv[6]);
  uint64_t sent = 0, across = 0, wanted = (uint64_t)atoi(argv[7]) << 20;
  /* Slow start and window growth are over. */
  wait_until(now() + NANOSECONDS / 4);
  for (int i = 0; i < rounds || across < wanted; i++) {
    uint32_t pace = scaled(rate, transfer);
    struct tally quiet = half_round(raw, transfer, &noise, pace, ms);
    struct tally loud = half_round(raw, transfer, &attack, pace, ms);
    sent += loud.sent;
    across += loud.bytes;
    printf("round %llu %llu %u %u\n", (unsigned long long)quiet.bytes, (unsigned long long)loud.bytes,
           loud.sent, loud.refused);
    fflush(stdout);
  }
  /* Each frame at least once, however slow the rounds were. */
  for (; sent < attack.count; sent += BATCH) {
    send_some(raw, &attack, BATCH);
    wait_until(now() + NANOSECONDS / 2000);
  }
  /* It has not ended. */
  transferred(transfer);
  return 0;
}

static bool read_fully(int fd, void *to, size_t length) {
  for (size_t done = 0; done < length;) {
    ssize_t got = read(fd, (uint8_t *)to + done, length - done);
    if (got <= 0) return false;
    done += (size_t)got;
  }
  return true;
}

static void *carry_in(void *arg) {
  static uint8_t bytes[FRAME_ROOM];
  uint32_t length;
  while (read_fully(FROM_TEST, &length, sizeof length) && length <= FRAME_ROOM &&
         read_fully(FROM_TEST, bytes, length)) {
    /* Refused or not: only the answers matter. */
    if (send((int)(intptr_t)arg, bytes, length, 0) < 0 && errno == ENETDOWN) fail("send");
  }
  exit(0);
}

static int carry(const char *device, const char *mac) {
  static uint8_t record[sizeof(uint32_t) + FRAME_ROOM];
  unsigned int m[6];
  if (sscanf(mac, "%x:%x:%x:%x:%x:%x", m, m + 1, m + 2, m + 3, m + 4, m + 5) != 6) fail(mac);
  int raw = open_raw(device, ETH_P_ALL), room = 1 << 24, on = 1;
  /* A copy here of each frame that others send would cost the healthy transfer half its rate. */
  setsockopt(raw, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on);
  setsockopt(raw, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
  setsockopt(raw, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  puts("ready");
  fflush(stdout);
  start(carry_in, raw);
  for (;;) {
    ssize_t got = recv(raw, record + sizeof(uint32_t), FRAME_ROOM, 0);
    if (got < VNET_SIZE + 14) continue;
    const uint8_t *destination = record + sizeof(uint32_t) + VNET_SIZE;
    bool ours = true;
    for (int i = 0; i < 6; i++) ours &= destination[i] == m[i];
    if (!ours) continue;
    uint32_t length = (uint32_t)got;
    memcpy(record, &length, sizeof length);
    if (write(TO_TEST, record, sizeof length + length) < 0) return 0;
  }
}

/* ---- one process that waits for answers, and those beside it ---- */

static int open_tcp(const char *address, uint16_t port, struct sockaddr_in *name) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
  *name = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
  if (inet_pton(AF_INET, address, &name->sin_addr) != 1) fail(address);
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  return fd;
}

static int connect_tcp(const char *address, uint16_t port) {
  struct sockaddr_in to;
  int fd = open_tcp(address, port, &to);
  if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0) fail("connect");
  return fd;
}

static int echo(char **argv) {
  struct sockaddr_in at;
  int listener = open_tcp(argv[0], (uint16_t)atoi(argv[1]), &at);
  if (bind(listener, (struct sockaddr *)&at, sizeof at) < 0) fail("bind");
  if (listen(listener, 1) < 0) fail("listen");
  puts("ready");
  fflush(stdout);
  int fd = accept(listener, NULL, NULL), on = 1;
  if (fd < 0) fail("accept");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  for (char byte; recv(fd, &byte, 1, 0) == 1;) {
    if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1) break;
  }
  return 0;
}

static int by_size(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

static int ask(char **argv) {
  enum { MOST = 1 << 20 };
  static int64_t waits[MOST];
  char line[32], byte = 'a';
  int fd = connect_tcp(argv[0], (uint16_t)atoi(argv[1]));
  puts("ready");
  fflush(stdout);
  while (fgets(line, sizeof line, stdin)) {
    int count = atoi(line);
    if (count < 1 || count > MOST) fail(line);
    for (int i = 0; i < count; i++) {
      int64_t begin = now();
      if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1 || recv(fd, &byte, 1, 0) != 1) fail("ask");
      waits[i] = now() - begin;
    }
    qsort(waits, (size_t)count, sizeof *waits, by_size);
    printf("waited %lld %lld\n", (long long)waits[count / 2],
           (long long)waits[(int64_t)count * 99 / 100]);
    fflush(stdout);
  }
  return 0;
}

/* A line, or the end, is readable. */
static bool is_told(void) {
  struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
  return poll(&in, 1, 0) != 0;
}

static void tell(const char *what, uint64_t count) {
  printf("%s %llu\n", what, (unsigned long long)count);
  fflush(stdout);
}

static int flood(char **argv) {
  struct frames frames = load(argv[0]);
  char line[64], device[32];
  puts("ready");
  fflush(stdout);
  while (fgets(line, sizeof line, stdin) && sscanf(line, "%31s", device) == 1) {
    int raw = open_raw(device, 0);
    uint64_t sent = 0;
    do {
      uint32_t refused = send_some(raw, &frames, BATCH);
      if (sent == 0 && refused < BATCH) tell("begun", BATCH - refused);
      sent += BATCH - refused;
    } while (!is_told());
    close(raw);
    if (!fgets(line, sizeof line, stdin)) break;
    tell("sent", sent);
  }
  return 0;
}

static int pour_on_demand(void) {
  char line[80], address[32];
  int port;
  puts("ready");
  fflush(stdout);
  while (fgets(line, sizeof line, stdin) && sscanf(line, "%31s %d", address, &port) == 2) {
    int fd = connect_tcp(address, (uint16_t)port);
    uint64_t sent = 0;
    do {
      ssize_t part = send(fd, zeros, sizeof zeros, MSG_NOSIGNAL);
      if (part < 0) fail("send");
      if (sent == 0) tell("begun", (uint64_t)part);
      sent += (uint64_t)part;
    } while (!is_told());
    struct linger reset = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(fd);
    if (!fgets(line, sizeof line, stdin)) break;
    tell("sent", sent);
  }
  return 0;
}

int main(int argc, char **argv) {
  if (argc == 3) {
    uint16_t port = (uint16_t)atoi(argv[2]);
    if (strcmp(argv[1], "sink") == 0) serve(port, EPOLLIN, discard);
    if (strcmp(argv[1], "source") == 0) serve(port, EPOLLIN | EPOLLOUT, offer);
  }
  if (argc == 10 && strcmp(argv[1], "replay") == 0) return replay(argv + 2);
  if (argc == 4 && strcmp(argv[1], "pipe") == 0) return carry(argv[2], argv[3]);
  if (argc == 4 && strcmp(argv[1], "echo") == 0) return echo(argv + 2);
  if (argc == 4 && strcmp(argv[1], "ask") == 0) return ask(argv + 2);
  if (argc == 3 && strcmp(argv[1], "flood") == 0) return flood(argv + 2);
  if (argc == 2 && strcmp(argv[1], "pour") == 0) return pour_on_demand();
  fprintf(stderr, "usage: attack sink|source PORT\n"
                  "       attack replay DEVICE FRAMES ADDRESS PORT RATE MS ROUNDS MEBIBYTES\n"
                  "       attack pipe DEVICE MAC\n"
                  "       attack echo|ask ADDRESS PORT\n"
                  "       attack flood FRAMES\n"
                  "       attack pour\n");
  return 2;
}
