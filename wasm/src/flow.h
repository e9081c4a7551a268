/*
 * Flows: one for each TCP connection of the guest, found by id or by the two ends of the
 * connection. A flow exists from the first SYN until TypeScript releases its id.
 *
 * The states. Rows: the state; columns: what happens; cells: the next state, and in lower case the
 * event that TypeScript gets.
 *
 *            accept     refuse     RST of the guest,  opened by     FIN both         reset
 *                                  lwIP's time-out    lwIP          ways
 * SYN_HELD   OPENING 1  DETACHED   DETACHED reset     -             -                DETACHED
 * OPENING    -          -          DETACHED reset     OPEN open     DETACHED 2       DETACHED
 * OPEN       -          -          DETACHED reset     -             DETACHED 2       DETACHED
 * DETACHED   -          -          -                  -             -                -
 *
 * The guest's SYN begins a flow in SYN_HELD (event syn), flow_connect() one in OPENING.
 * flow_release() ends a flow in any state; one that is not detached is reset first.
 * 1: DETACHED, without event, when lwIP has no memory for the connection.
 * 2: event closed, or reset when there was no memory for the last bytes of the guest.
 *
 * Invariants:
 * - flow->pcb is NULL as soon as lwIP has freed the PCB or moved it to TIME_WAIT;
 * - a flow is in its hash bucket from creation to detachment, in the id table until it is released;
 * - `backlog` counts the guest's bytes in `spans`; granted window + backlog <= `window`.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "abi.h"
#include "lwip/ip_addr.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"

/* Hash buckets of the flows, and of lwIP's PCBs (pcbs.h). */
#define BUCKETS 1024

enum flow_state {
  FLOW_SYN_HELD, /* the guest's SYN is kept until the host side has connected */
  FLOW_OPENING,  /* SYN|ACK sent, or SYN sent to the guest */
  FLOW_OPEN,     /* data may pass */
  FLOW_DETACHED, /* lwIP has no connection; the id and the guest's last bytes are left */
};

/* Bytes from the guest that wait for the host socket. */
struct span {
  struct span *next;
  struct pbuf *owner; /* the received frame that has the bytes, or NULL: they are in `bytes` */
  uint8_t *data;
  uint32_t length;
  uint8_t bytes[];
};

/* Bytes from the host that the guest has not acknowledged: a block lent to lwIP without a copy. */
struct chunk {
  struct chunk *next;
  uint32_t length, written; /* received from the host; handed to lwIP */
  uint32_t end;             /* stream position (mod 2^32) whose acknowledgment frees the chunk */
  uint8_t data[];
};

struct flow {
  struct flow *next_in_bucket, *next_dirty;
  struct tcp_pcb *pcb;
  ip_addr_t guest, peer;
  uint16_t guest_port, peer_port; /* host byte order */
  uint16_t bucket, id;
  uint16_t guest_mss; /* bytes in a segment on the wire; lwIP's own MSS is that of superframes */
  uint8_t guest_mac[6];
  uint8_t state;
  bool dirty, fin_from_guest, fin_to_guest, ack_deferred;
  uint8_t events;
  uint8_t *syn; /* the held SYN, from the IP header on */
  uint16_t syn_length;
  uint32_t acknowledged;          /* the last ACK number sent to the guest */
  uint64_t frames_in, frames_out; /* of the guest, to the guest; a superframe is one */

  /* Guest to host. Positions in the stream are mod 2^32. */
  struct span *spans, *last_span;
  uint32_t backlog, window; /* bytes */
  uint32_t consumed_end;     /* the host has taken the bytes up to here */
  uint32_t consumed_at_tick; /* consumed_end at the last tick */
  bool host_backlogged;      /* the host did not take all at the last offer */
  bool host_progressing;     /* the host took LEAST_PROGRESS at once, and in every tick since */

  /* Host to guest. */
  struct chunk *chunks, *last_chunk;
  uint32_t chunk_count;
  uint32_t sent_end, acked_end; /* handed to lwIP, acknowledged by the guest up to here */
  uint32_t acked_at_tick;       /* acked_end at the last tick */
  bool guest_acking;            /* bytes are in flight, and the guest is not slow */
  bool guest_progressing;       /* in the last tick with bytes in flight LEAST_PROGRESS were acked */
  bool guest_slow;              /* bytes were in flight in the last tick, and fewer were acked */
};

/* The two ends of a connection, as the guest sees them. */
struct tuple {
  ip_addr_t guest, peer;
  uint16_t guest_port, peer_port;
};

void flows_init(void);
uint32_t flows_count(void);
uint16_t bucket_of(const struct tuple *tuple);
struct flow *flow_find(uint16_t bucket, const struct tuple *tuple);
bool flow_has_tuple(const struct flow *flow, const struct tuple *tuple);
/* NULL when the table or the memory is full. */
struct flow *flow_create(uint16_t bucket, const struct tuple *tuple);
/* NULL when no flow has the id, which may be any number. */
struct flow *flow_get(uint32_t id);
/* Out of the bucket: flow_find() does not find it any more. */
void flow_unlink(struct flow *flow);
/* Whether lwIP had no memory yet for the last bytes from the host. */
static inline bool flow_has_unwritten(const struct flow *flow) {
  return flow->last_chunk && flow->last_chunk->written < flow->last_chunk->length;
}
/* Frees the flow and its id. */
void flow_free(struct flow *flow);
/*
 * Tells TypeScript. The events of one flow are merged, so that there is at most one entry for each
 * flow.
 */
void flow_notify(struct flow *flow, uint8_t events);
/* Moves up to `capacity` pairs (id, events) to `pairs`; returns how many. */
uint32_t flows_take_events(uint32_t *pairs, uint32_t capacity);
