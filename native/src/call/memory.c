#include "memory.h"

#include <errno.h>

int memories_add(struct memories *memories, napi_env env, napi_value buffer, void *base,
                 size_t size) {
  for (int number = 0; number < MEMORY_MAX; number++) {
    struct memory *memory = &memories->table[number];
    if (memory->reference != NULL) continue;
    if (napi_create_reference(env, buffer, 1, &memory->reference) != napi_ok) return -ENOMEM;
    memory->base = base;
    memory->size = size;
    return number;
  }
  return -ENOSPC;
}
