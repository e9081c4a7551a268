/*
 * A limit for how long a thread may be at one thing: a loop without an end, in JavaScript or in
 * WebAssembly, would otherwise leave a process that lives and does nothing.
 *
 * It is counted by the processor time of the thread, so that neither sleep nor a stopped process nor a
 * busy machine is taken for it; and a timer on that clock wakes nobody. What it costs is an increment
 * at every turn.
 *
 * The timer's signal only says "look at the clock". Anybody with our uid may send it, with any siginfo
 * (rt_sigqueueinfo(2)), so nothing that comes with it is read: the handler knows its thread's limit by
 * a thread-local pointer, and how long the turn has taken by the clock itself.
 */
#ifndef TUNTAP2_LIMIT_H
#define TUNTAP2_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

enum { LIMIT_WORDS_MAX = 255 };

struct limit {
  volatile uint32_t turns; /* read by the handler of the timer's signal */
  uint32_t seen;           /* the turn that the handler saw last, */
  int64_t seen_at;         /* and when it first saw that: ns of the thread's processor time */
  int64_t longest;         /* ns */
  bool armed;
  timer_t timer;
  size_t length;
  char last_words[LIMIT_WORDS_MAX + 1];
};

static inline void limit_turn(struct limit *limit) { limit->turns++; }

/*
 * From now on a turn of the calling thread that takes `seconds` of processor time, or up to twice that,
 * ends the process with status 1, and what `last_words` holds goes to stderr. `limit` stays where it is
 * until limit_disarm, which the same thread calls. Returns 0 or a negative errno.
 */
int limit_arm(struct limit *limit, unsigned seconds);

void limit_disarm(struct limit *limit);

#endif
