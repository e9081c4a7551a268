/*
 * Flows: one per TCP connection of the guest, by its 4-tuple, from the first SYN until TypeScript
 * releases the id. lwIP searches its PCBs linearly, so flows and PCBs share hash buckets: before
 * lwIP runs, the PCB lists of the flow's bucket are swapped in (design, "lwIP 2.2.1").
 *
 * Invariants:
 * - flow->pcb is NULL as soon as lwIP has freed it or it has gone to TIME_WAIT;
 * - a flow is in its hash bucket from creation to detachment, in the id table until released;
 * - `held` counts the guest's bytes waiting in `spans`; granted window + held <= `window`.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "abi.h"
#include "lwip/ip_addr.h"
#include "lwip/priv/tcp_priv.h"
#include "lwip/tcp.h"

enum flow_state {
  FLOW_SYN_HELD,   /* the guest's SYN is kept until the host side has connected */
  FLOW_OPENING,    /* SYN|ACK sent, or SYN sent to the guest */
  FLOW_OPEN,       /* data may pass */
  FLOW_DETACHED,   /* lwIP is done with it; only the id is left */
};

/* Bytes from the guest that wait for the host socket. */
struct span {
  struct span *next;
  struct pbuf *owner; /* a received frame, or NULL: the bytes stand in `bytes` */
  uint8_t *data;
  uint32_t length;
  uint8_t bytes[];
};

/* Bytes from the host that the guest has not acknowledged: a block lent to lwIP without a copy. */
struct chunk {
  struct chunk *next;
  uint32_t length, written; /* received from the host; handed to lwIP */
  uint32_t end;             /* stream position (mod 2^32) at which the chunk may be freed */
  uint8_t data[];
};

struct flow {
  struct flow *next_in_bucket, *next_dirty;
  struct tcp_pcb *pcb;
  ip_addr_t guest, peer;
  uint16_t guest_port, peer_port; /* host byte order */
  uint16_t bucket, id;
  uint16_t guest_mss; /* the size of a wire segment; lwIP itself is given a huge one */
  uint8_t guest_mac[6];
  uint8_t state;
  bool dirty, fin_from_guest, fin_to_guest, ack_deferred;
  uint8_t events;
  uint8_t *syn; /* the held SYN, from the IP header on */
  uint16_t syn_length;
  uint32_t acknowledged; /* the last ACK number sent to the guest */
  uint64_t frames_in, frames_out; /* of the guest, to the guest; a superframe is one */

  struct span *spans, *last_span;
  uint32_t held, window;
  uint32_t taken_end;     /* stream position (mod 2^32) up to which the host took */
  uint32_t taken_at_tick; /* taken_end at the last tick */
  bool lags;              /* the host did not take all at the last offer */
  bool takes;             /* the host has taken LEAST_PROGRESS at once, and between two ticks since */

  struct chunk *chunks, *last_chunk;
  uint32_t chunk_count;
  uint32_t sent_end, acked_end; /* stream positions handed to lwIP, acknowledged by the guest */
  uint32_t acked_at_tick;       /* acked_end at the last tick */
  bool sends;                   /* has bytes in flight, and the guest acknowledges some */
  bool reads;                   /* the guest has acknowledged LEAST_PROGRESS between two ticks */
  bool creeps;                  /* has bytes in flight, of which the guest acknowledged less */
};

struct tuple {
  ip_addr_t guest, peer;
  uint16_t guest_port, peer_port;
};

void flows_init(void);
uint32_t flows_count(void);
uint16_t bucket_of(const struct tuple *tuple);
struct flow *flow_find(uint16_t bucket, const struct tuple *tuple);
/* NULL when the table or the memory is full. */
struct flow *flow_create(uint16_t bucket, const struct tuple *tuple);
struct flow *flow_get(uint32_t id);
/* Out of the bucket and away from lwIP; what the guest sent stays for the host until release. */
void flow_detach(struct flow *flow);
/* Gives the id back; the flow must be detached. */
void flow_release(struct flow *flow);
/* Tells TypeScript; events of one flow are merged, so their number is bounded by the flows. */
void flow_notify(struct flow *flow, uint8_t events);
/* Moves up to `capacity` pairs (id, events) to `pairs`. */
uint32_t flows_take_events(uint32_t *pairs, uint32_t capacity);

/* Swaps lwIP's PCB lists to a bucket; a no-op while the timers run over all of them. */
void bucket_select(uint16_t bucket);
/* Runs lwIP's timers once over the PCBs of all buckets. True while a timer is still needed. */
bool buckets_tick(void);
/* Forgets a TIME_WAIT PCB of this tuple: the guest reuses the port (RFC 6191). */
void bucket_forget_time_wait(uint16_t bucket, const struct tuple *tuple);
