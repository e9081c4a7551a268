#include "heap.h"

#include <string.h>


#define MAX_BLOCKS 4096
#define NONE 0xffff
#define WHOLE 0xff
#define CLASSES 24
#define LARGE_OBJECT 2048

struct block_info {
  uint16_t next, previous; /* in the list of blocks of its class that have room */
  uint16_t objects_used;
  uint8_t class;
  void *free_objects;
  uint32_t fresh_offset; /* objects from here on have never been handed out */
};

static const uint16_t class_size[CLASSES] = {
    16,  32,  48,  64,  80,   96,   112,  128,  160,  192,  224,  256,
    320, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 8192, 16384, 33792,
};

bool heap_may_copy;

static struct block_info info[MAX_BLOCKS];
static uint16_t with_room[CLASSES];
static uint16_t free_blocks[MAX_BLOCKS];
static uint32_t free_count, fresh_block, in_use, peak, budget, failures;

#ifdef __wasm__
extern uint8_t __heap_base;
uint8_t *heap_region(void) {
  return (uint8_t *)(((uintptr_t)&__heap_base + 63) & ~(uintptr_t)63);
}
static uint32_t region_blocks(uint8_t *base) {
  uint32_t end = __builtin_wasm_memory_size(0) * 65536;
  return (end - (uint32_t)(uintptr_t)base) / HEAP_BLOCK_SIZE;
}
#else
/* The native build, for fuzzing under sanitizers. */
static uint8_t native_region[1024 * HEAP_BLOCK_SIZE] __attribute__((aligned(64)));
uint8_t *heap_region(void) { return native_region; }
static uint32_t region_blocks(uint8_t *base) { return base == native_region ? 1024 : 0; }
#endif

/* Under ASan memory that is not handed out is poisoned, as if by malloc. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#define GUARDED 1
#endif
#endif
#ifndef GUARDED
#define ASAN_POISON_MEMORY_REGION(address, size) ((void)(address))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void)(address))
#endif

static uint8_t *address_of(uint32_t index) { return heap_region() + (size_t)index * HEAP_BLOCK_SIZE; }

static uint32_t index_of(const void *object) {
  return (uint32_t)((const uint8_t *)object - heap_region()) / HEAP_BLOCK_SIZE;
}

void heap_init(uint32_t budget_bytes) {
  uint32_t available = region_blocks(heap_region());
  if (available > MAX_BLOCKS) available = MAX_BLOCKS;
  budget = budget_bytes / HEAP_BLOCK_SIZE;
  if (budget > available) budget = available;
  for (int class = 0; class < CLASSES; class++) with_room[class] = NONE;
  ASAN_POISON_MEMORY_REGION(heap_region(), (size_t)available * HEAP_BLOCK_SIZE);
}

static uint32_t take_block(void) {
  if (in_use >= budget) {
    failures++;
    return NONE;
  }
  in_use++;
  if (in_use > peak) peak = in_use;
  return free_count > 0 ? free_blocks[--free_count] : fresh_block++;
}

static void give_block(uint32_t index) {
  free_blocks[free_count++] = (uint16_t)index;
  in_use--;
}

void *heap_block(void) {
  uint32_t index = take_block();
  if (index == NONE) return NULL;
  info[index].class = WHOLE;
  ASAN_UNPOISON_MEMORY_REGION(address_of(index), HEAP_BLOCK_SIZE);
  return address_of(index);
}

static int class_for(size_t size) {
  int class = 0;
  while (class < CLASSES && class_size[class] < size) class++;
  return class;
}

static void link_with_room(uint32_t index) {
  struct block_info *block = &info[index];
  uint16_t head = with_room[block->class];
  block->previous = NONE;
  block->next = head;
  if (head != NONE) info[head].previous = (uint16_t)index;
  with_room[block->class] = (uint16_t)index;
}

static void unlink_with_room(uint32_t index) {
  struct block_info *block = &info[index];
  if (block->previous != NONE) info[block->previous].next = block->next;
  else with_room[block->class] = block->next;
  if (block->next != NONE) info[block->next].previous = block->previous;
}

static bool is_full(const struct block_info *block) {
  return !block->free_objects &&
         block->fresh_offset + class_size[block->class] > HEAP_BLOCK_SIZE;
}

static uint32_t open_block(int class) {
  uint32_t index = take_block();
  if (index == NONE) return NONE;
  info[index] = (struct block_info){.class = (uint8_t)class};
  link_with_room(index);
  return index;
}

void *heap_alloc(size_t size) {
  int class = class_for(size);
  if (class == CLASSES) return size <= HEAP_BLOCK_SIZE ? heap_block() : NULL;
  uint32_t index = with_room[class];
  if (index == NONE) index = open_block(class);
  if (index == NONE) return NULL;
  struct block_info *block = &info[index];
  void *object = block->free_objects;
  if (object) {
    ASAN_UNPOISON_MEMORY_REGION(object, sizeof(void *));
    memcpy(&block->free_objects, object, sizeof(void *));
  } else {
    object = address_of(index) + block->fresh_offset;
    block->fresh_offset += class_size[class];
  }
  block->objects_used++;
  if (is_full(block)) unlink_with_room(index);
  ASAN_POISON_MEMORY_REGION(object, sizeof(void *));
  ASAN_UNPOISON_MEMORY_REGION(object, size);
  return object;
}

void *heap_alloc_for_lwip(size_t size) {
  if (size > LARGE_OBJECT && heap_is_tight() && !heap_may_copy) {
    failures++;
    return NULL;
  }
  return heap_alloc(size);
}

void *heap_calloc(size_t count, size_t size) {
  void *object = heap_alloc(count * size);
  if (object) memset(object, 0, count * size);
  return object;
}

void heap_free(void *object) {
  if (!object) return;
  uint32_t index = index_of(object);
  struct block_info *block = &info[index];
  if (block->class == WHOLE) {
    ASAN_POISON_MEMORY_REGION(address_of(index), HEAP_BLOCK_SIZE);
    give_block(index);
    return;
  }
  bool was_full = is_full(block);
  ASAN_UNPOISON_MEMORY_REGION(object, sizeof(void *));
  memcpy(object, &block->free_objects, sizeof(void *));
  ASAN_POISON_MEMORY_REGION(object, class_size[block->class]);
  block->free_objects = object;
  block->objects_used--;
  if (block->objects_used == 0) {
    if (!was_full) unlink_with_room(index);
    give_block(index);
  } else if (was_full) {
    link_with_room(index);
  }
}

uint32_t heap_budget(void) { return budget * HEAP_BLOCK_SIZE; }
uint32_t heap_blocks_in_use(void) { return in_use; }
uint32_t heap_blocks_free(void) { return budget - in_use; }
uint32_t heap_blocks_peak(void) { return peak; }
uint32_t heap_failures(void) { return failures; }
bool heap_is_tight(void) { return heap_blocks_free() < budget / 4; }
