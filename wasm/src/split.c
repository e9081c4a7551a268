/*
 * Frames of a guest, cut into datagrams for a tunnel. Twin of src/stack/splitter.ts.
 */
#include "abi.h"
#include "platform.h"

static struct iov pieces[2 * ABI_SPLIT_MOST];
static uint32_t result[ABI_SPLIT_WORDS];
static uint8_t table[ABI_SPLIT_TABLE] __attribute__((aligned(16)));
static uint8_t batch[ABI_SPLIT_BATCH] __attribute__((aligned(16)));

EXPORT(split)
int32_t split(uint8_t *frame, uint32_t length, uint32_t flags, uint32_t vni, uint32_t mtu,
              double destination, double source) {
  (void)frame, (void)length, (void)flags, (void)vni, (void)mtu, (void)destination, (void)source;
  return ABI_REFUSED_LENGTH;
}

EXPORT(split_next) int32_t split_next(void) { return 0; }

EXPORT(split_iov_at) uint32_t split_iov_at(void) { return offset_of(pieces); }
EXPORT(split_result_at) uint32_t split_result_at(void) { return offset_of(result); }
EXPORT(split_table_at) uint32_t split_table_at(void) { return offset_of(table); }
EXPORT(split_batch_at) uint32_t split_batch_at(void) { return offset_of(batch); }
