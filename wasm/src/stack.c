/*
 * The exports: what TypeScript may ask of one stack. Twin of src/stack/stack.ts.
 *
 * Every id is checked; a call for a flow that is gone does nothing. lwIP is never entered from
 * inside an import, so that there is no re-entrance.
 */
#include <string.h>

#include "abi.h"
#include "flow.h"
#include "heap.h"
#include "input.h"
#include "link.h"
#include "opening.h"
#include "platform.h"
#include "random.h"
#include "relay.h"
#include "spans.h"
#include "to_guest.h"
#include "to_host.h"

static uint32_t events[2 * ABI_MAX_EVENTS];
static struct iov pieces[ABI_MAX_IOV];
static uint32_t statistics[ABI_STAT_COUNT];
static uint32_t over_quota;
static uint8_t *reserved;
/* Two IP addresses of 16 bytes each, in network byte order; IPv4 is in the first 4 bytes. */
static uint8_t addresses[32];

/* An Ethernet address is 48 bits of a double, as JavaScript has it. */
static void put_mac(uint8_t to[6], double mac) {
  uint64_t bits = (uint64_t)mac;
  for (int i = 0; i < 6; i++) to[i] = (uint8_t)(bits >> (40 - 8 * i));
}

/* `mtu`, `budget`: bytes; `mac`: the gateway's. */
EXPORT(init) void stack_init(uint32_t mtu, uint32_t offload, uint32_t budget, double mac,
                             uint32_t seed_high, uint32_t seed_low) {
  random_seed((uint64_t)seed_high << 32 | seed_low);
  heap_init(budget);
  flows_init();
  struct link_config config = {.mtu = (uint16_t)mtu, .offload = offload != 0};
  put_mac(config.mac, mac);
  link_init(&config);
  input_init();
  opening_init();
}

EXPORT(events_at) uint32_t stack_events_at(void) { return offset_of(events); }
EXPORT(iov_at) uint32_t stack_iov_at(void) { return offset_of(pieces); }
EXPORT(addresses_at) uint32_t stack_addresses_at(void) { return offset_of(addresses); }

EXPORT(buffer) uint32_t stack_buffer(void) { return offset_of(input_buffer()); }
EXPORT(buffer_take) uint32_t stack_buffer_take(void) { return offset_of(input_buffer_take()); }
EXPORT(buffer_give) void stack_buffer_give(uint8_t *buffer) { input_buffer_give(buffer); }

EXPORT(input) int32_t stack_input(uint32_t length) {
  int32_t verdict = input_frame(length);
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

/*
 * Writes the guest's and the peer's address to `addresses`; returns 4 or 6, or 0 for no such flow.
 */
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

/*
 * The held SYN from its IP header on, as one piece at iov_at(); returns the pieces, 0 when none is
 * held.
 */
EXPORT(flow_syn) uint32_t stack_flow_syn(uint32_t id) {
  const struct flow *flow = flow_get(id);
  if (!flow || !flow->syn) return 0;
  pieces[0] = (struct iov){offset_of(flow->syn), flow->syn_length};
  return 1;
}

EXPORT(flow_mac) double stack_flow_mac(uint32_t id) {
  const struct flow *flow = flow_get(id);
  if (!flow) return 0;
  uint64_t bits = 0;
  for (int i = 0; i < 6; i++) bits = bits << 8 | flow->guest_mac[i];
  return (double)bits;
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
  return flow && opening_accept(flow);
}

EXPORT(flow_refuse) void stack_flow_refuse(uint32_t id) {
  struct flow *flow = held(id);
  if (flow) opening_refuse(flow);
}

/* The two ends whose addresses are in `addresses`: guest, peer. */
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
 * Opens a connection to the guest, at its Ethernet address `mac`; the IP addresses are in
 * `addresses`: guest, peer. Returns the flow's id, or -1 when the table or the memory is full or
 * the two ends have a flow.
 */
EXPORT(flow_connect) int32_t stack_flow_connect(uint32_t family, uint32_t ports, double mac) {
  struct tuple tuple = given_tuple(family, ports);
  uint8_t guest_mac[6];
  put_mac(guest_mac, mac);
  const struct flow *flow = opening_connect(&tuple, guest_mac);
  return flow ? flow->id : -1;
}

/*
 * A router in front of the guest takes packets of `mtu` bytes at most, and has said so about the
 * segment at `sequence` of the flow whose addresses are in `addresses`. 1 when such a segment is in
 * flight.
 */
EXPORT(flow_update_path_mtu)
uint32_t stack_flow_update_path_mtu(uint32_t family, uint32_t ports, uint32_t sequence,
                                    uint32_t mtu) {
  struct tuple tuple = given_tuple(family, ports);
  struct flow *flow = flow_find(bucket_of(&tuple), &tuple);
  return flow && to_guest_update_path_mtu(flow, sequence, mtu);
}

/*
 * The bytes that wait for the host, as an I/O vector of at most ABI_MAX_IOV pieces at iov_at();
 * returns how many.
 */
EXPORT(flow_pending) uint32_t stack_flow_pending(uint32_t id) {
  const struct flow *flow = flow_get(id);
  return flow ? spans_pieces(flow, pieces, ABI_MAX_IOV) : 0;
}

EXPORT(flow_consumed) void stack_flow_consumed(uint32_t id, uint32_t length) {
  struct flow *flow = flow_get(id);
  if (flow) to_host_consumed(flow, length);
}

/*
 * Bytes that may be received at flow_reserved_at(); 0: wait for the event SPACE; -1: memory is
 * short, ask again.
 */
EXPORT(flow_reserve) int32_t stack_flow_reserve(uint32_t id) {
  struct flow *flow = flow_get(id);
  return flow ? to_guest_reserve(flow, &reserved) : 0;
}

EXPORT(flow_reserved_at) uint32_t stack_flow_reserved_at(void) { return offset_of(reserved); }

EXPORT(flow_commit) void stack_flow_commit(uint32_t id, uint32_t length) {
  struct flow *flow = flow_get(id);
  if (flow) to_guest_commit(flow, length);
}

EXPORT(flow_finish) void stack_flow_finish(uint32_t id) {
  struct flow *flow = flow_get(id);
  if (!flow) return;
  to_guest_finish(flow);
  relay_settle(flow);
}

/* RST to the guest, if lwIP still has the connection. */
EXPORT(flow_reset) void stack_flow_reset(uint32_t id) {
  struct flow *flow = flow_get(id);
  if (flow) relay_reset(flow);
}

/* Frees the id; a flow that has not ended is reset. */
EXPORT(flow_release) void stack_flow_release(uint32_t id) {
  struct flow *flow = flow_get(id);
  if (flow) relay_release(flow);
}

EXPORT(flush_acks) uint32_t stack_flush_acks(void) { return to_host_flush_acks(); }

EXPORT(flow_count) uint32_t stack_flow_count(void) { return flows_count(); }

/* Runs the timers once, every TCP_TMR_INTERVAL ms; 1 while they are needed. */
EXPORT(tick) uint32_t stack_tick(void) { return relay_tick(); }

EXPORT(stats) uint32_t stack_stats(void) {
  statistics[ABI_STAT_FLOWS] = flows_count();
  statistics[ABI_STAT_BLOCKS_IN_USE] = heap_blocks_in_use();
  statistics[ABI_STAT_FRAMES_OUT] = link_counters.frames;
  statistics[ABI_STAT_SEGMENTED_OUT] = link_counters.segmented;
  statistics[ABI_STAT_OUTPUT_ERRORS] = link_counters.errors;
  statistics[ABI_STAT_OVER_QUOTA] = over_quota;
  statistics[ABI_STAT_ALLOCATION_FAILURES] = heap_failures();
  statistics[ABI_STAT_BLOCK_SIZE] = HEAP_BLOCK_SIZE;
  statistics[ABI_STAT_BLOCKS_PEAK] = heap_blocks_peak();
  return offset_of(statistics);
}
