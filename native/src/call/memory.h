/* The registered memories: the only ones whose bytes syscalls touch on the hot path. */
#ifndef TUNTAP2_MEMORY_H
#define TUNTAP2_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <node_api.h>

enum { MEMORY_MAX = 1024 };

struct memory {
  uint8_t *base;
  size_t size;
  napi_ref reference; /* NULL in a free slot */
};

struct memories {
  struct memory table[MEMORY_MAX];
};

/* NULL unless a memory of that number is registered. */
static inline struct memory *memories_at(struct memories *memories, uint32_t number) {
  if (number >= MEMORY_MAX || memories->table[number].reference == NULL) return NULL;
  return &memories->table[number];
}

/* Registers an ArrayBuffer, whose bytes are at `base`. Its number, or a negative errno. */
int memories_add(struct memories *memories, napi_env env, napi_value buffer, void *base,
                 size_t size);

/* 64-bit sums, so that offset + length can't wrap. */
static inline bool memory_contains(const struct memory *memory, uint64_t offset, uint64_t length) {
  return offset + length <= memory->size;
}

#endif
