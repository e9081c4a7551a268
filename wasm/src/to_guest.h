/*
 * Host to guest: TypeScript receives into a block, which lwIP then sends without a copy, or copies
 * where it is small.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "flow.h"

/* lwIP has opened the connection: sets the sizes of segments and superframes. */
void to_guest_open(struct flow *flow);

/*
 * Sets `where` to the place to receive at and returns how many bytes at most. 0 when the guest's
 * window or the send buffer is full: an event SPACE follows. -1 when memory is short: no event
 * follows, ask again.
 */
int32_t to_guest_reserve(struct flow *flow, uint8_t **where);
/* `length` bytes were received at the reserved place. */
void to_guest_commit(struct flow *flow, uint32_t length);
/* Gives lwIP what was received and lwIP had no memory for. */
void to_guest_push(struct flow *flow);
/* The host has sent its last byte: FIN to the guest behind all that was committed. */
void to_guest_finish(struct flow *flow);
/* The guest acknowledged `length` bytes: frees them. */
void to_guest_acknowledged(struct flow *flow, uint32_t length);

/*
 * The path to the guest takes packets of `mtu` bytes at most: makes segments that small and sends
 * again what is in flight (RFC 1191 §6.3). False when the byte at `sequence` is not in flight (RFC
 * 5927 §4).
 */
bool to_guest_update_path_mtu(struct flow *flow, uint32_t sequence, uint32_t mtu);

/* Frees all that came from the host; lwIP has no connection for it any more. */
void to_guest_free(struct flow *flow);
