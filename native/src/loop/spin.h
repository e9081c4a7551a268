/* Whether it pays to poll before blocking. */
#ifndef TUNTAP2_SPIN_H
#define TUNTAP2_SPIN_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Polling a while before blocking: a processor that goes to sleep between a request and its answer
 * costs more than both. It goes on only while it pays: a miss costs as much credit as four hits
 * earn, and without credit it rests for a number of waits.
 */
struct spin {
  uint64_t nanoseconds; /* 0: off */
  int credit, rest;
};
enum { CREDIT_START = 4, CREDIT_MOST = 32, CREDIT_OF_MISS = 4, WAITS_OF_REST = 256 };

static inline bool spin_may(struct spin *spin) {
  if (spin->nanoseconds == 0) return false;
  if (spin->credit > 0) return true;
  if (--spin->rest > 0) return false;
  spin->credit = CREDIT_START;
  return true;
}

/* An event came in time. */
static inline void spin_hit(struct spin *spin) {
  if (spin->credit < CREDIT_MOST) spin->credit++;
}

static inline void spin_missed(struct spin *spin) {
  spin->credit -= CREDIT_OF_MISS;
  if (spin->credit <= 0) spin->rest = WAITS_OF_REST;
}

#endif
