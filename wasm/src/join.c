/*
 * What a tunnel has received, joined to frames for TAPs. Twin of src/stack/joiner.ts.
 */
#include "abi.h"
#include "platform.h"

static uint32_t input[ABI_JOIN_MOST * ABI_JOIN_INPUT_WORDS];
static uint32_t frames[ABI_JOIN_MOST * ABI_JOIN_FRAME_WORDS];
static uint32_t refusals[ABI_REFUSED_COUNT];

EXPORT(join) uint32_t join(uint32_t count, uint32_t flags) {
  (void)flags;
  refusals[0] = refusals[-ABI_REFUSED_TUNNEL] = count;
  return 0;
}

EXPORT(join_input_at) uint32_t join_input_at(void) { return offset_of(input); }
EXPORT(join_frames_at) uint32_t join_frames_at(void) { return offset_of(frames); }
EXPORT(join_refusals_at) uint32_t join_refusals_at(void) { return offset_of(refusals); }
EXPORT(join_arena_at) uint32_t join_arena_at(void) { return offset_of(input); }
