/*
 * All memory of a stack: equal blocks, cut into objects of one size where something small is
 * wanted. A block whose objects are all free goes back to the pool, so that no pattern of sizes
 * a guest provokes can tear the memory to pieces. Blocks in use are the figure the budget bounds.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One block holds a received frame, or a superframe's payload, with its header. */
#define HEAP_BLOCK_SIZE (66 * 1024)

void heap_init(uint32_t budget_bytes);
/* NULL when the budget is spent. Objects are 8-byte aligned; at most HEAP_BLOCK_SIZE bytes. */
void *heap_alloc(size_t size);
/*
 * As heap_alloc, but nothing large when memory is tight: to fit a small window lwIP copies all that
 * is behind it in a segment, once for each byte that a slow reader takes. Where it gets none it
 * waits for a larger window. While `heap_may_copy` is set the caller has looked at what is left.
 */
void *heap_alloc_for_lwip(size_t size);
extern bool heap_may_copy;
void *heap_calloc(size_t count, size_t size);
void heap_free(void *object);
/* A whole block, last freed first (cache-hot, a measured fact of the design). */
void *heap_block(void);

uint32_t heap_budget(void); /* bytes */
uint32_t heap_blocks_in_use(void);
uint32_t heap_blocks_free(void);
uint32_t heap_blocks_peak(void); /* most that were ever in use at once */
uint32_t heap_failures(void);
/*
 * Less than a quarter of the budget is left: windows shrink and flows over their share lose data.
 */
bool heap_is_tight(void);
