#include "opening.h"

#include <string.h>

#include "heap.h"
#include "link.h"
#include "pcbs.h"
#include "relay.h"
#include "wire.h"

/* An IPv6 header and a TCP header with 60 bytes of options and some to spare. */
#define HELD_SYN_MOST 140

/*
 * Accepts any address. Its port is that of the SYN while lwIP processes one, and otherwise 0, which
 * none has.
 */
static struct tcp_pcb_listen *listener;

void opening_init(void) {
  tcp_init();
  struct tcp_pcb *pcb = tcp_new_ip_type(IPADDR_TYPE_ANY);
  tcp_bind(pcb, IP_ANY_TYPE, 1);
  listener = (struct tcp_pcb_listen *)tcp_listen(pcb);
  listener->local_port = 0;
  tcp_accept((struct tcp_pcb *)listener, relay_on_open);
}

int32_t opening_hold(const struct segment *segment, uint16_t bucket) {
  uint32_t length = ip_header_size(segment->ip) + tcp_header_size(segment->tcp);
  if (length > HELD_SYN_MOST) return ABI_DROP_TCP_HEADER;
  struct flow *flow = flow_create(bucket, &segment->tuple);
  if (!flow) return ABI_DROP_FLOW_LIMIT;
  flow->syn = heap_alloc(length);
  if (!flow->syn) {
    flow_unlink(flow);
    flow_free(flow);
    return ABI_DROP_NO_MEMORY;
  }
  memcpy(flow->syn, segment->ip, length);
  memcpy(flow->guest_mac, segment->source_mac, 6);
  flow->frames_in = 1;
  flow->syn_length = (uint16_t)length;
  flow->state = FLOW_SYN_HELD;
  flow_notify(flow, ABI_EVENT_SYN);
  return ABI_INPUT_TAKEN;
}

static struct tuple tuple_of(const struct flow *flow) {
  return (struct tuple){flow->guest, flow->peer, flow->guest_port, flow->peer_port};
}

/* The PCB that lwIP makes for the held SYN; NULL when it has no memory. */
static struct tcp_pcb *feed_syn(struct flow *flow) {
  struct tuple tuple = tuple_of(flow);
  uint32_t ip_header = ip_header_size(flow->syn);
  struct pbuf *pbuf = pbuf_alloc(PBUF_RAW, (u16_t)(flow->syn_length - ip_header), PBUF_RAM);
  if (!pbuf) return NULL;
  memcpy(pbuf->payload, flow->syn + ip_header, flow->syn_length - ip_header);
  pcbs_forget_time_wait(flow->bucket, &tuple);
  const struct tcp_pcb *head = tcp_active_pcbs;
  listener->local_port = flow->peer_port;
  link_input(pbuf, flow->syn, &tuple, flow);
  listener->local_port = 0;
  return tcp_active_pcbs == head ? NULL : tcp_active_pcbs;
}

bool opening_accept(struct flow *flow) {
  struct tcp_pcb *pcb = feed_syn(flow);
  if (!pcb) {
    relay_detach(flow);
    return false;
  }
  heap_free(flow->syn);
  flow->syn = NULL;
  relay_bind(flow, pcb);
  return true;
}

void opening_refuse(struct flow *flow) {
  link_refuse(flow, load32(flow->syn + ip_header_size(flow->syn) + 4));
  relay_detach(flow);
}

/* False when lwIP has no memory. */
static bool send_syn(struct flow *flow, const struct tuple *tuple) {
  struct tcp_pcb *pcb = tcp_new_ip_type(IP_GET_TYPE(&flow->guest));
  if (!pcb) return false;
  pcbs_forget_time_wait(flow->bucket, tuple);
  pcb->local_ip = flow->peer;
  pcb->local_port = flow->peer_port;
  relay_bind(flow, pcb);
  return tcp_connect(pcb, &flow->guest, flow->guest_port, relay_on_open) == ERR_OK;
}

struct flow *opening_connect(const struct tuple *tuple, const uint8_t guest_mac[6]) {
  uint16_t bucket = bucket_of(tuple);
  if (flow_find(bucket, tuple)) return NULL;
  struct flow *flow = flow_create(bucket, tuple);
  if (!flow) return NULL;
  memcpy(flow->guest_mac, guest_mac, 6);
  if (send_syn(flow, tuple)) return flow;
  relay_release(flow);
  return NULL;
}
