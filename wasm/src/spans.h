/*
 * The queue of bytes that the guest has sent and the host has not taken: small segments are copied
 * together, so that n waiting bytes take about n bytes of memory; large ones stay in the frame they
 * came in.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "flow.h"
#include "platform.h"

/*
 * Appends a segment that lwIP delivers and frees it as soon as it is not needed. False when memory
 * is short: nothing has changed and the segment is still the caller's.
 */
bool spans_append(struct flow *flow, struct pbuf *segment);
/* The bytes as an I/O vector of at most `capacity` pieces; returns how many. */
uint32_t spans_pieces(const struct flow *flow, struct iov *pieces, uint32_t capacity);
/* Removes the first `length` bytes. */
void spans_remove(struct flow *flow, uint32_t length);
/* Copies frames that hold a block for little data together. */
void spans_compact(struct flow *flow);
void spans_free(struct flow *flow);
