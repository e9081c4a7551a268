/* What the glue needs from outside: one import, and randomness given once at the start. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct iov {
  uint32_t base, length;
};

/*
 * Writes one frame to the TAP: `count` pieces at `pieces`. 0, or a negative errno: the frame was
 * not taken and lwIP keeps the segment for later.
 */
#ifdef __wasm__
__attribute__((import_module("env"), import_name("transmit")))
#endif
int32_t transmit(const struct iov *pieces, uint32_t count);

void random_seed(uint64_t seed);
uint32_t random_u32(void);
