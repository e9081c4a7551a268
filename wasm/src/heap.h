/*
 * All memory of a stack: blocks of one size, some of them cut into small objects of one size. A
 * block whose objects are all free goes back to the pool, so that no pattern of sizes that a guest
 * provokes fragments the memory. The budget limits the number of blocks in use.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One block holds a received frame, or a superframe's payload, with its header. */
#define HEAP_BLOCK_SIZE (66 * 1024)

/* Where the blocks are: all memory of the module from there on. */
uint8_t *heap_region(void);
void heap_init(uint32_t budget_bytes);
/* NULL when the budget is spent. Objects are 8-byte aligned; at most HEAP_BLOCK_SIZE bytes. */
void *heap_alloc(size_t size);
/*
 * As heap_alloc, but NULL for a large object when memory is tight: lwIP splits a segment that is
 * larger than the guest's window, and copies the rest each time that the window moves, be it by a
 * byte. Without memory for the copy it waits for a larger window. `heap_may_copy` lifts the limit:
 * the caller has checked how much is left.
 */
void *heap_alloc_for_lwip(size_t size);
extern bool heap_may_copy;
void *heap_calloc(size_t count, size_t size);
void heap_free(void *object);
/*
 * A whole block, the one freed last, as that is still in the cache. NULL when the budget is spent.
 */
void *heap_block(void);

uint32_t heap_budget(void); /* bytes */
uint32_t heap_blocks_in_use(void);
uint32_t heap_blocks_free(void);
uint32_t heap_blocks_peak(void); /* most in use at once */
uint32_t heap_failures(void);
/*
 * Less than a quarter of the budget is left: windows shrink and flows over their share lose data.
 */
bool heap_is_tight(void);
