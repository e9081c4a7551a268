/*
 * What of the memory each flow may have, by the progress that its two ends make. Flows whose ends
 * make none get less, so that stalled flows never take the last memory from those that move.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "flow.h"

/* The host took `length` bytes, possibly none, of what waits in the spans. */
void shares_consumed(struct flow *flow, uint32_t length);
/* lwIP was given `length` bytes for the guest. */
void shares_sent(struct flow *flow, uint32_t length);
/* The guest acknowledged `length` bytes. */
void shares_acknowledged(struct flow *flow, uint32_t length);
/* At every tick: finds ends that have made no progress since the last one. */
void shares_tick(struct flow *flow);
/* The flow does not count any more. */
void shares_leave(struct flow *flow);

/* Bytes that the flow's receive window may have. */
uint32_t shares_window(const struct flow *flow);
/*
 * Whether a segment with data is to be dropped: memory is tight, the flow's host does not keep up,
 * and the flow holds more than its share. `in_order`: the segment is the next one; any other is
 * dropped earlier, as the guest sends it again.
 */
bool shares_is_over_quota(const struct flow *flow, bool in_order);
/* Bytes that may be in flight to the guest, and how many of these are in use. */
uint32_t shares_send_limit(const struct flow *flow);
uint32_t shares_send_used(const struct flow *flow);
