#include "random.h"

static uint64_t state = 0x9e3779b97f4a7c15u;

/* xorshift64*, whose state must not be 0. */
void random_seed(uint64_t seed) { state = seed | 1; }

uint32_t random_u32(void) {
  state ^= state >> 12;
  state ^= state << 25;
  state ^= state >> 27;
  return (uint32_t)((state * 0x2545f4914f6cdd1du) >> 32);
}
