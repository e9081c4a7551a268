/* The module's border: how functions are exported, and the one import. */
#pragma once
#include <stdint.h>

#ifdef __wasm__
#define EXPORT(name) __attribute__((export_name(#name)))
#else
#define EXPORT(name)
#endif

static inline uint32_t offset_of(const void *object) { return (uint32_t)(uintptr_t)object; }

/* A piece of memory, as in sendmsg's I/O vector; `base` is an offset in the module's memory. */
struct iov {
  uint32_t base, length;
};

/*
 * Writes one frame to the TAP: `count` pieces at `pieces`. Returns >= 0, or a negative errno: the
 * frame was not sent and lwIP sends the segment again later.
 */
#ifdef __wasm__
__attribute__((import_module("env"), import_name("transmit")))
#endif
int32_t transmit(const struct iov *pieces, uint32_t count);
