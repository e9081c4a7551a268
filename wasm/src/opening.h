/* The beginning of a connection, from either side. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "flow.h"
#include "segment.h"

void opening_init(void);

/*
 * Keeps the guest's SYN in a new flow, until the host side has connected. The segment's two ends
 * have no flow yet and belong into `bucket`. ABI_INPUT_TAKEN or ABI_DROP_….
 */
int32_t opening_hold(const struct segment *segment, uint16_t bucket);

/*
 * Gives the held SYN to lwIP, which answers SYN|ACK. False when lwIP has no memory: the flow is
 * detached.
 */
bool opening_accept(struct flow *flow);
/* Answers the held SYN by RST and detaches the flow. */
void opening_refuse(struct flow *flow);
/*
 * Sends a SYN to the guest, from the peer's address. NULL when the table or the memory is full, or
 * the two ends have a flow.
 */
struct flow *opening_connect(const struct tuple *tuple, const uint8_t guest_mac[6]);
