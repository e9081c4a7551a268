/*
 * The two ways of the bytes of a flow, between lwIP and TypeScript's host socket.
 *
 * Guest → host: what lwIP delivers in order waits in spans; TypeScript sends them with one
 * sendmsg per batch and reports how much the host took, which opens the guest's window.
 * Host → guest: TypeScript receives into a block, which lwIP then sends without a copy.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "flow.h"
#include "platform.h"

/* Payload bytes one block can lend to lwIP. */
uint32_t relay_chunk_capacity(void);

/* Connects lwIP's callbacks of `pcb` to the flow. */
void relay_bind(struct flow *flow, struct tcp_pcb *pcb);
/* After lwIP has processed a segment of the flow: notices that the PCB went to TIME_WAIT. */
void relay_settle(struct flow *flow);

/* The waiting bytes as an I/O vector of at most `capacity` pieces. */
uint32_t relay_pending(const struct flow *flow, struct iov *pieces, uint32_t capacity);
/*
 * The host took `length` bytes, possibly none: frees them, opens the window, and sends the one
 * ACK of this batch, or leaves it to the answer: see relay_flush_acks.
 */
void relay_consumed(struct flow *flow, uint32_t length);

/*
 * Sends the ACKs that were deferred before the last call of this function and that no answer has
 * carried meanwhile. True while others are deferred: the next call should come soon.
 */
bool relay_flush_acks(void);

/* Memory is tight and the flow lags and holds more than its share: what it sends now is not taken. */
bool relay_is_over_quota(const struct flow *flow, bool in_order);

/* Bytes that the guest may send from the next one on; those of a flow with a connection. */
uint32_t relay_window(const struct flow *flow);

/*
 * Where to receive from the host, and at most how many bytes. 0 when the guest's window or the
 * send buffer is full: an event SPACE follows. -1 when the memory is: nothing follows, ask again.
 */
int32_t relay_reserve(struct flow *flow, uint8_t **where);
/* `length` bytes were received at the reserved place. */
void relay_commit(struct flow *flow, uint32_t length);
/* Hands to lwIP what has been received and not yet written. */
void relay_push(struct flow *flow);

/*
 * At every tick: a flow whose guest acknowledges nothing does not count among those that send, nor one
 * whose host takes nothing among those that move.
 */
void relay_note_progress(struct flow *flow);

/* The host has sent its last byte: FIN to the guest, after all that was committed. */
void relay_finish(struct flow *flow);

/*
 * The guest's path takes packets of `mtu` bytes at most: segments become as small, and what is under
 * way is sent again (RFC 1191 §6.3). False when nothing at `sequence` is under way (RFC 5927 §4).
 */
bool relay_narrow(struct flow *flow, uint32_t sequence, uint32_t mtu);

/* lwIP's accept and connected callback. */
err_t relay_on_open(void *arg, struct tcp_pcb *pcb, err_t error);

/* lwIP is done with the flow: what came from the host is freed. What the guest sent stays for the host … */
void relay_detach(struct flow *flow);
/* … until this. */
void relay_free_spans(struct flow *flow);
