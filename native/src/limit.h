/*
 * A limit for how long a thread may be at one thing: a loop without an end, in JavaScript or in
 * WebAssembly, would otherwise leave a process that lives and does nothing.
 *
 * It is counted by the processor time of the thread, so that neither sleep nor a stopped process nor a
 * busy machine is taken for it; and a timer on that clock wakes nobody. What it costs is an increment
 * at every turn.
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
  uint32_t seen;
  bool armed;
  timer_t timer;
  size_t length;
  char last_words[LIMIT_WORDS_MAX + 1];
};

static inline void limit_turn(struct limit *limit) { limit->turns++; }

/*
 * From now on a turn of this thread that takes `seconds` of processor time, or up to twice that, ends
 * the process with status 1, and what `last_words` holds goes to stderr. Returns 0 or a negative errno.
 */
int limit_arm(struct limit *limit, unsigned seconds);

void limit_disarm(struct limit *limit);

#endif
