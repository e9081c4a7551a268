/*
 * The life of a flow between lwIP and TypeScript: lwIP's callbacks, and the ends of the state table
 * in flow.h. relay.c puts together the two ways of the bytes: to_host.h and to_guest.h.
 */
#pragma once
#include <stdbool.h>

#include "flow.h"

/* Connects lwIP's callbacks of `pcb` with the flow, which is then OPENING. */
void relay_bind(struct flow *flow, struct tcp_pcb *pcb);
/* lwIP's accept and connected callback: the flow is then OPEN. */
err_t relay_on_open(void *arg, struct tcp_pcb *pcb, err_t error);
/*
 * To be called when lwIP has processed a segment or FIN of the flow: finds that the PCB is in
 * TIME_WAIT.
 */
void relay_settle(struct flow *flow);
/* Sends RST to the guest if lwIP has a connection, and detaches the flow. */
void relay_reset(struct flow *flow);
/*
 * Takes the flow away from lwIP and out of its bucket. What the guest has sent stays until the
 * release.
 */
void relay_detach(struct flow *flow);
/* Resets the flow if it is not detached, and frees it with its id. */
void relay_release(struct flow *flow);
/* Runs lwIP's timers once. True while a timer is still needed. */
bool relay_tick(void);
