/*
 * Guest to host: the receive window and the ACKs. TypeScript sends what waits in the spans with one
 * sendmsg for each batch of frames and reports how much the host took, which opens the window and
 * sends at most one ACK.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "flow.h"

/* lwIP has opened the connection: the window is what the SYN|ACK has announced. */
void to_host_open(struct flow *flow);

/* Bytes that the guest may send, counted from the next one in order; the flow must have a PCB. */
uint32_t to_host_window(const struct flow *flow);

/*
 * The host took `length` bytes, possibly none: frees them, opens the window, and sends an ACK or
 * defers it, so that it can ride on an answer: see to_host_flush_acks.
 */
void to_host_consumed(struct flow *flow, uint32_t length);

/*
 * Sends the ACKs that were deferred before the last call of this function and that no answer has
 * carried since. True while there are others: the next call should come soon.
 */
bool to_host_flush_acks(void);
