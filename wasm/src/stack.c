/*
 * The exports: what TypeScript may ask of one stack. Twin of src/stack/stack.ts.
 *
 * Every id is checked; a call for a flow that is gone does nothing. lwIP is never entered from
 * inside an import, so there is no re-entrance.
 */
#include <string.h>

#include "abi.h"
#include "flow.h"
#include "heap.h"
#include "packet.h"
#include "platform.h"
#include "relay.h"

#ifdef __wasm__
#define EXPORT(name) __attribute__((export_name(#name)))
#else
#define EXPORT(name)
#endif

extern uint32_t output_frames, output_segmented, output_errors;

static uint32_t events[2 * ABI_MAX_EVENTS];
static struct iov pieces[ABI_MAX_IOV];
static uint32_t statistics[ABI_STAT_COUNT];
static uint32_t over_quota;
static uint8_t *reserved;
/* Two addresses of 16 bytes, network order; IPv4 in the first 4 bytes. */
static uint8_t addresses[32];
static uint64_t random_state = 0x9e3779b97f4a7c15u;

/* xorshift64*: sequence numbers and hash keys need to be unknown to the guest, not more. */
void random_seed(uint64_t seed) { random_state = seed | 1; }
uint32_t random_u32(void) {
  random_state ^= random_state >> 12;
  random_state ^= random_state << 25;
  random_state ^= random_state >> 27;
  return (uint32_t)((random_state * 0x2545f4914f6cdd1du) >> 32);
}

static uint32_t offset_of(const void *object) { return (uint32_t)(uintptr_t)object; }

/* `mac_high`: the first two bytes; `mac_low`: the last four. */
EXPORT(init) void stack_init(uint32_t mtu, uint32_t offload, uint32_t budget, uint32_t mac_high,
                             uint32_t mac_low, uint32_t seed_high, uint32_t seed_low) {
  random_seed((uint64_t)seed_high << 32 | seed_low);
  heap_init(budget);
  flows_init();
  struct config config = {.mtu = (uint16_t)mtu, .offload = offload != 0};
  for (int i = 0; i < 2; i++) config.mac[i] = (uint8_t)(mac_high >> (8 - 8 * i));
  for (int i = 0; i < 4; i++) config.mac[2 + i] = (uint8_t)(mac_low >> (24 - 8 * i));
  packet_init(&config);
}

EXPORT(events_at) uint32_t stack_events_at(void) { return offset_of(events); }
EXPORT(iov_at) uint32_t stack_iov_at(void) { return offset_of(pieces); }
EXPORT(addresses_at) uint32_t stack_addresses_at(void) { return offset_of(addresses); }

EXPORT(buffer) uint32_t stack_buffer(void) { return offset_of(packet_buffer()); }
EXPORT(buffer_take) uint32_t stack_buffer_take(void) { return offset_of(packet_buffer_take()); }
EXPORT(buffer_give) void stack_buffer_give(uint8_t *buffer) { packet_buffer_give(buffer); }

EXPORT(input) int32_t stack_input(uint32_t length) {
  int32_t verdict = packet_input(length);
  if (verdict == ABI_DROP_OVER_QUOTA) over_quota++;
  return verdict;
}

EXPORT(take_events) uint32_t stack_take_events(void) {
  return flows_take_events(events, ABI_MAX_EVENTS);
}

static void put_address(uint8_t *to, const ip_addr_t *address) {
  memset(to, 0, 16);
  memcpy(to, address, IP_IS_V6(address) ? 16 : 4);
}

/* Writes the guest's and the peer's address; 4 or 6, or 0 for no such flow. */
EXPORT(flow_addresses) uint32_t stack_flow_addresses(uint32_t id) {
  const struct flow *flow = flow_get(id);
  if (!flow) return 0;
  put_address(addresses, &flow->guest);
  put_address(addresses + 16, &flow->peer);
  return IP_IS_V6(&flow->guest) ? 6 : 4;
}

/* Guest port in the upper half, peer port in the lower. */
EXPORT(flow_ports) uint32_t stack_flow_ports(uint32_t id) {
  const struct flow *flow = flow_get(id);
  return flow ? (uint32_t)flow->guest_port << 16 | flow->peer_port : 0;
}

/* The held SYN, for the quotation in an ICMP error: one piece in the vector; 0 when there is none. */
EXPORT(flow_syn) uint32_t stack_flow_syn(uint32_t id) {
  const struct flow *flow = flow_get(id);
  if (!flow || !flow->syn) return 0;
  pieces[0] = (struct iov){offset_of(flow->syn), flow->syn_length};
  return 1;
}

EXPORT(flow_mac_high) uint32_t stack_flow_mac_high(uint32_t id) {
  const struct flow *flow = flow_get(id);
  return flow ? (uint32_t)flow->guest_mac[0] << 8 | flow->guest_mac[1] : 0;
}

EXPORT(flow_mac_low) uint32_t stack_flow_mac_low(uint32_t id) {
  const struct flow *flow = flow_get(id);
  if (!flow) return 0;
  const uint8_t *mac = flow->guest_mac + 2;
  return (uint32_t)mac[0] << 24 | (uint32_t)mac[1] << 16 | (uint32_t)mac[2] << 8 | mac[3];
}

EXPORT(flow_frames_in) double stack_flow_frames_in(uint32_t id) {
  const struct flow *flow = flow_get(id);
  return flow ? (double)flow->frames_in : 0;
}

EXPORT(flow_frames_out) double stack_flow_frames_out(uint32_t id) {
  const struct flow *flow = flow_get(id);
  return flow ? (double)flow->frames_out : 0;
}

static struct flow *held(uint32_t id) {
  struct flow *flow = flow_get(id);
  return flow && flow->state == FLOW_SYN_HELD ? flow : NULL;
}

/* 1, or 0 when there was no memory: the flow is detached. */
EXPORT(flow_accept) uint32_t stack_flow_accept(uint32_t id) {
  struct flow *flow = held(id);
  if (!flow) return 0;
  if (packet_accept(flow)) return 1;
  flow_detach(flow);
  return 0;
}

EXPORT(flow_refuse) void stack_flow_refuse(uint32_t id) {
  struct flow *flow = held(id);
  if (!flow) return;
  packet_refuse(flow);
  flow_detach(flow);
}

/* The two ends whose addresses stand in `addresses`: guest, peer. */
static struct tuple given_tuple(uint32_t family, uint32_t ports) {
  struct tuple tuple;
  memset(&tuple, 0, sizeof tuple);
  size_t size = family == 6 ? 16 : 4;
  memcpy(&tuple.guest, addresses, size);
  memcpy(&tuple.peer, addresses + 16, size);
  IP_SET_TYPE_VAL(tuple.guest, family == 6 ? IPADDR_TYPE_V6 : IPADDR_TYPE_V4);
  IP_SET_TYPE_VAL(tuple.peer, family == 6 ? IPADDR_TYPE_V6 : IPADDR_TYPE_V4);
  tuple.guest_port = (uint16_t)(ports >> 16);
  tuple.peer_port = (uint16_t)ports;
  return tuple;
}

/*
 * Opens a connection to the guest. The addresses stand in `addresses`: guest, peer. The id, or
 * -1 when the table or the memory is full or the tuple is in use.
 */
EXPORT(flow_connect) int32_t stack_flow_connect(uint32_t family, uint32_t ports, uint32_t mac_high,
                                                uint32_t mac_low) {
  struct tuple tuple = given_tuple(family, ports);
  uint16_t bucket = bucket_of(&tuple);
  if (flow_find(bucket, &tuple)) return -1;
  struct flow *flow = flow_create(bucket, &tuple);
  if (!flow) return -1;
  for (int i = 0; i < 2; i++) flow->guest_mac[i] = (uint8_t)(mac_high >> (8 - 8 * i));
  for (int i = 0; i < 4; i++) flow->guest_mac[2 + i] = (uint8_t)(mac_low >> (24 - 8 * i));
  if (packet_connect(flow)) return flow->id;
  flow_detach(flow);
  flow_release(flow);
  return -1;
}

/*
 * A router in front of the guest takes packets of `mtu` bytes at most: it has said so about the
 * segment at `sequence` of the flow whose addresses stand in `addresses`. 1 when there is such a
 * segment.
 */
EXPORT(flow_narrow) uint32_t stack_flow_narrow(uint32_t family, uint32_t ports, uint32_t sequence,
                                               uint32_t mtu) {
  struct tuple tuple = given_tuple(family, ports);
  struct flow *flow = flow_find(bucket_of(&tuple), &tuple);
  return flow && relay_narrow(flow, sequence, mtu);
}

EXPORT(flow_pending) uint32_t stack_flow_pending(uint32_t id) {
  const struct flow *flow = flow_get(id);
  return flow ? relay_pending(flow, pieces, ABI_MAX_IOV) : 0;
}

EXPORT(flow_consumed) void stack_flow_consumed(uint32_t id, uint32_t length) {
  struct flow *flow = flow_get(id);
  if (flow) relay_consumed(flow, length);
}

/* Bytes that may be received at flow_reserved_at(); 0: wait for SPACE; -1: memory is short. */
EXPORT(flow_reserve) int32_t stack_flow_reserve(uint32_t id) {
  struct flow *flow = flow_get(id);
  return flow ? relay_reserve(flow, &reserved) : 0;
}

EXPORT(flow_reserved_at) uint32_t stack_flow_reserved_at(void) { return offset_of(reserved); }

EXPORT(flow_commit) void stack_flow_commit(uint32_t id, uint32_t length) {
  struct flow *flow = flow_get(id);
  if (flow) relay_commit(flow, length);
}

EXPORT(flow_finish) void stack_flow_finish(uint32_t id) {
  struct flow *flow = flow_get(id);
  if (!flow) return;
  relay_finish(flow);
  relay_settle(flow);
}

/* RST to the guest, if lwIP still has the connection. */
EXPORT(flow_reset) void stack_flow_reset(uint32_t id) {
  struct flow *flow = flow_get(id);
  if (!flow || flow->state == FLOW_DETACHED) return;
  struct tcp_pcb *pcb = flow->pcb;
  if (pcb) {
    bucket_select(flow->bucket);
    tcp_arg(pcb, NULL);
    tcp_abort(pcb);
    flow->pcb = NULL;
  }
  flow_detach(flow);
}

/* One that has not ended is reset: lwIP would send again from blocks that are given back here. */
EXPORT(flow_release) void stack_flow_release(uint32_t id) {
  struct flow *flow = flow_get(id);
  if (!flow) return;
  stack_flow_reset(id);
  flow_detach(flow);
  flow_release(flow);
}

EXPORT(flush_acks) uint32_t stack_flush_acks(void) { return relay_flush_acks(); }

EXPORT(flow_count) uint32_t stack_flow_count(void) { return flows_count(); }

/* Runs the timers once, every TCP_TMR_INTERVAL ms; 1 while they are needed. */
EXPORT(tick) uint32_t stack_tick(void) { return buckets_tick(); }

EXPORT(stats) uint32_t stack_stats(void) {
  statistics[ABI_STAT_FLOWS] = flows_count();
  statistics[ABI_STAT_BLOCKS_IN_USE] = heap_blocks_in_use();
  statistics[ABI_STAT_FRAMES_OUT] = output_frames;
  statistics[ABI_STAT_SEGMENTED_OUT] = output_segmented;
  statistics[ABI_STAT_OUTPUT_ERRORS] = output_errors;
  statistics[ABI_STAT_OVER_QUOTA] = over_quota;
  statistics[ABI_STAT_ALLOCATION_FAILURES] = heap_failures();
  statistics[ABI_STAT_BLOCK_SIZE] = HEAP_BLOCK_SIZE;
  statistics[ABI_STAT_BLOCKS_PEAK] = heap_blocks_peak();
  return offset_of(statistics);
}
