/*
 * A wire with delay and loss, for kernels without the netem queueing discipline: a TAP device in
 * this network namespace and one in another, and frames carried from each to the other.
 *
 *     wire NAME PEER_NETNS PEER_NAME DELAY_US LOSS_PPM REORDER_PPM
 *
 * Frames leave in order, DELAY_US after they came. Of a million, LOSS_PPM are lost and REORDER_PPM leave at once, before
 * those that wait, as with netem; by a pseudo-random sequence that is the same in every run. Needs CAP_SYS_ADMIN over
 * the peer's namespace and CAP_NET_ADMIN in both. Prints a line when both devices exist.
  */
#define _GNU_SOURCE
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
#include <time.h>
#include <unistd.h>

enum { FRAME_ROOM = 2048, QUEUE_SLOTS = 16384, NANOSECONDS = 1000000000 };

struct frame {
  int64_t due;
  size_t length;
  unsigned char bytes[FRAME_ROOM];
};

/* Frames in transit in one direction; if full, further ones stay in the TAP's own queue. */
struct queue {
  int from, to;
  uint32_t first, count;
  struct frame *slots;
};

static int64_t delay_ns;
static uint32_t loss_ppm, reorder_ppm;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * NANOSECONDS + t.tv_nsec;
}

static int open_tap(const char *name) {
  int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) fail("/dev/net/tun");
  struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
  snprintf(request.ifr_name, IFNAMSIZ, "%s", name);
  if (ioctl(fd, TUNSETIFF, &request) < 0) fail(name);
  return fd;
}

static void enter(const char *netns) {
  int fd = open(netns, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || setns(fd, CLONE_NEWNET) < 0) fail(netns);
  close(fd);
}

static struct queue make_queue(int from, int to) {
  struct queue q = {.from = from, .to = to, .slots = calloc(QUEUE_SLOTS, sizeof(struct frame))};
  if (q.slots == NULL) fail("calloc");
  return q;
}

/* xorshift32 */
static uint32_t next_of_million(void) {
  static uint32_t state = 2463534242;
  state ^= state << 13;
  state ^= state >> 17;
  state ^= state << 5;
  return state % 1000000;
}

/* A frame that the peer's device does not accept is lost, as on any wire. */
static void give(const struct queue *q, const struct frame *frame) {
  if (write(q->to, frame->bytes, frame->length) < 0 && errno == EBADFD) exit(0);
}

static void take_in(struct queue *q) {
  int64_t due = now() + delay_ns;
  while (q->count < QUEUE_SLOTS) {
    struct frame *slot = &q->slots[(q->first + q->count) % QUEUE_SLOTS];
    ssize_t length = read(q->from, slot->bytes, FRAME_ROOM);
    if (length < 0) return;
    uint32_t fate = next_of_million();
    if (fate < loss_ppm) continue;
    slot->length = (size_t)length;
    if (fate - loss_ppm < reorder_ppm) {
      give(q, slot);
      continue;
    }
    slot->due = due;
    q->count++;
  }
}

static void give_out(struct queue *q) {
  int64_t time = now();
  while (q->count > 0 && q->slots[q->first].due <= time) {
    struct frame *slot = &q->slots[q->first];
    give(q, slot);
    q->first = (q->first + 1) % QUEUE_SLOTS;
    q->count--;
  }
}

static int64_t next_due(const struct queue *q, int64_t earliest) {
  if (q->count == 0 || q->slots[q->first].due >= earliest) return earliest;
  return q->slots[q->first].due;
}

static void await_frames(const struct queue *a, const struct queue *b) {
  struct pollfd fds[] = {
      {.fd = a->from, .events = a->count < QUEUE_SLOTS ? POLLIN : 0},
      {.fd = b->from, .events = b->count < QUEUE_SLOTS ? POLLIN : 0},
  };
  int64_t due = next_due(b, next_due(a, INT64_MAX));
  int64_t left = due - now();
  if (left < 0) left = 0;
  struct timespec timeout = {.tv_sec = left / NANOSECONDS, .tv_nsec = left % NANOSECONDS};
  ppoll(fds, 2, due == INT64_MAX ? NULL : &timeout, NULL);
}

int main(int argc, char **argv) {
  if (argc != 7) {
    fprintf(stderr, "usage: wire NAME PEER_NETNS PEER_NAME DELAY_US LOSS_PPM REORDER_PPM\n");
    return 2;
  }
  delay_ns = strtoll(argv[4], NULL, 10) * 1000;
  loss_ppm = (uint32_t)strtoul(argv[5], NULL, 10);
  reorder_ppm = (uint32_t)strtoul(argv[6], NULL, 10);
  int here = open_tap(argv[1]);
  enter(argv[2]);
  int there = open_tap(argv[3]);
  struct queue out = make_queue(here, there);
  struct queue in = make_queue(there, here);
  puts("ready");
  fflush(stdout);
  for (;;) {
    await_frames(&out, &in);
    take_in(&out);
    take_in(&in);
    give_out(&out);
    give_out(&in);
  }
}
