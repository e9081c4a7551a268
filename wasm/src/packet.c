#include "packet.h"

#include <string.h>

#include "checksum.h"
#include "heap.h"
#include "lwip/ip.h"
#include "lwip/nd6.h"
#include "lwip/netif.h"
#include "lwip/prot/ip4.h"
#include "lwip/prot/ip6.h"
#include "platform.h"
#include "relay.h"

#define ETHERNET_SIZE 14
#define FRAME_HEADER (ABI_VNET_HEADER_SIZE + ETHERNET_SIZE)
#define TCP_SIZE 20
#define TCP_FLAG_FIN 0x01
#define TCP_FLAG_SYN 0x02
#define TCP_FLAG_RST 0x04
#define TCP_FLAG_ACK 0x10
#define HELD_SYN_MOST 140 /* an IPv6 header, a TCP header with all its options */

/* virtio_net_hdr, virtio 1.2 §5.1.6 */
#define VNET_NEEDS_CSUM 1
#define VNET_DATA_VALID 2
#define VNET_GSO_TCPV4 1
#define VNET_GSO_TCPV6 4

/* A received frame that lwIP may keep, with lwIP's own header for it in front. */
struct receive_buffer {
  struct pbuf_custom pbuf;
  uint8_t frame[ABI_FRAME_CAPACITY];
};
_Static_assert(sizeof(struct receive_buffer) <= HEAP_BLOCK_SIZE, "a frame fits a block");

/* A TCP segment in the receive buffer. */
struct segment {
  struct tuple tuple;
  uint8_t *ip, *tcp;
  uint32_t ip_header, length; /* bytes; `length` is that of the TCP segment */
  const uint8_t *source_mac;
  uint8_t flags;
  uint32_t sequence;
};

/* What lwIP links against in place of its own IP layer. */
struct ip_globals ip_data;
const ip_addr_t ip_addr_any_type = IPADDR_ANY_TYPE_INIT;
const ip_addr_t ip_addr_any = IPADDR4_INIT(IPADDR_ANY);

static struct config config;
static struct netif interface;
static struct tcp_pcb_listen *listener;
static struct receive_buffer *current;
static const struct flow *flow_in_hand; /* whose segment is being processed or sent */
static uint8_t mac_in_hand[6];          /* of the guest, for answers that belong to no flow */

uint32_t output_frames, output_segmented, output_errors;

bool stack_offload(void) { return config.offload; }

static uint16_t load16(const uint8_t *at) { return (uint16_t)(at[0] << 8 | at[1]); }
static uint32_t load32(const uint8_t *at) {
  return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}
static void store16(uint8_t *at, uint16_t value) {
  at[0] = (uint8_t)(value >> 8);
  at[1] = (uint8_t)value;
}

/* ---- buffers ---- */

static struct receive_buffer *buffer_of(const uint8_t *frame) {
  return (struct receive_buffer *)(uintptr_t)(frame - offsetof(struct receive_buffer, frame));
}

static void give_back(struct pbuf *pbuf) { heap_free(pbuf); }
static void keep(struct pbuf *pbuf) { (void)pbuf; }

static struct receive_buffer *new_buffer(void) {
  struct receive_buffer *buffer = heap_block();
  if (buffer) buffer->pbuf.custom_free_function = give_back;
  return buffer;
}

uint8_t *packet_buffer(void) { return current->frame; }

uint8_t *packet_buffer_take(void) {
  struct receive_buffer *next = new_buffer();
  if (!next) return NULL;
  uint8_t *taken = current->frame;
  current = next;
  return taken;
}

void packet_buffer_give(uint8_t *frame) { heap_free(buffer_of(frame)); }

/* ---- in ---- */

/*
 * Plain headers alone are read here, as all but every segment has them. TypeScript looks at what is
 * wrong, and says why; what has options, extension headers or is a fragment comes again without.
 */
static int32_t parse_ipv4(struct segment *segment, uint32_t available) {
  const uint8_t *ip = segment->ip;
  if (available < IP_HLEN || ip[0] != 0x45 || ip[9] != IP_PROTO_TCP) return ABI_INPUT_PASS;
  uint32_t total = load16(ip + 2);
  if (total < IP_HLEN || total > available || load16(ip + 6) & 0x3fff) return ABI_INPUT_PASS;
  if (checksum_fold(checksum_add(0, ip, IP_HLEN)) != 0xffff) return ABI_INPUT_PASS;
  segment->ip_header = IP_HLEN;
  segment->length = total - IP_HLEN;
  IP_SET_TYPE_VAL(segment->tuple.guest, IPADDR_TYPE_V4);
  IP_SET_TYPE_VAL(segment->tuple.peer, IPADDR_TYPE_V4);
  memcpy(&ip_2_ip4(&segment->tuple.guest)->addr, ip + 12, 4);
  memcpy(&ip_2_ip4(&segment->tuple.peer)->addr, ip + 16, 4);
  return ABI_INPUT_TAKEN;
}

static int32_t parse_ipv6(struct segment *segment, uint32_t available) {
  const uint8_t *ip = segment->ip;
  if (available < IP6_HLEN || ip[0] >> 4 != 6 || ip[6] != IP_PROTO_TCP) return ABI_INPUT_PASS;
  uint32_t payload = load16(ip + 4);
  if (payload + IP6_HLEN > available) return ABI_INPUT_PASS;
  segment->ip_header = IP6_HLEN;
  segment->length = payload;
  IP_SET_TYPE_VAL(segment->tuple.guest, IPADDR_TYPE_V6);
  IP_SET_TYPE_VAL(segment->tuple.peer, IPADDR_TYPE_V6);
  memcpy(ip_2_ip6(&segment->tuple.guest)->addr, ip + 8, 16);
  memcpy(ip_2_ip6(&segment->tuple.peer)->addr, ip + 24, 16);
  return ABI_INPUT_TAKEN;
}

/* Addresses that cannot be one end of a connection (RFC 1122 §3.2.1.3, RFC 4291 §2.5, §2.7). */
static bool is_unusable(const ip_addr_t *address) {
  if (ip_addr_isany(address) || ip_addr_ismulticast(address) || ip_addr_isloopback(address))
    return true;
  if (IP_IS_V6(address)) return ip6_addr_isipv4mappedipv6(ip_2_ip6(address));
  return ip_2_ip4(address)->addr == IPADDR_BROADCAST;
}

static uint32_t pseudo_header_sum(const ip_addr_t *a, const ip_addr_t *b, uint32_t length) {
  uint32_t size = IP_IS_V6(a) ? 16 : 4;
  uint32_t sum = checksum_add(0, a, size);
  return checksum_add(sum, b, size) + (IP_PROTO_TCP << 8) + lwip_htons((uint16_t)length);
}

/* A segment that the guest's kernel still owes a checksum has never left this machine. */
static bool has_good_checksum(const struct segment *segment, uint8_t vnet_flags) {
  if (config.offload && vnet_flags & (VNET_NEEDS_CSUM | VNET_DATA_VALID)) return true;
  const struct tuple *tuple = &segment->tuple;
  uint32_t sum = pseudo_header_sum(&tuple->guest, &tuple->peer, segment->length);
  return checksum_fold(checksum_add(0, segment->tcp, segment->length) + sum) == 0xffff;
}

/* 0 for one that is not whole. */
static uint32_t option_size(const uint8_t *option, uint32_t left) {
  if (option[0] == LWIP_TCP_OPT_NOP) return 1;
  return left >= 2 && option[1] >= 2 && option[1] <= left ? option[1] : 0;
}

/*
 * lwIP reads the length of an option past the end of all options, and heeds an MSS in any segment.
 * So it sees those of a SYN only (of others it uses none), up to the first that is not whole.
 */
static void end_options(uint8_t *options, uint32_t length, bool is_syn) {
  uint32_t at = 0;
  while (is_syn && at < length && options[at] != LWIP_TCP_OPT_EOL) {
    uint32_t size = option_size(options + at, length - at);
    if (size == 0) break;
    at += size;
  }
  if (at < length) options[at] = LWIP_TCP_OPT_EOL;
}

static int32_t parse_segment(struct segment *segment, uint32_t length) {
  uint8_t *frame = current->frame;
  if (length > ABI_FRAME_CAPACITY) return ABI_DROP_LENGTH;
  if (length < FRAME_HEADER) return ABI_INPUT_PASS;
  memset(&segment->tuple, 0, sizeof segment->tuple);
  segment->source_mac = frame + ABI_VNET_HEADER_SIZE + 6;
  segment->ip = frame + FRAME_HEADER;
  uint16_t type = load16(frame + ABI_VNET_HEADER_SIZE + 12);
  int32_t verdict = ABI_INPUT_PASS;
  if (type == 0x0800) verdict = parse_ipv4(segment, length - FRAME_HEADER);
  if (type == 0x86dd) verdict = parse_ipv6(segment, length - FRAME_HEADER);
  if (verdict != ABI_INPUT_TAKEN) return verdict;

  const uint8_t *tcp = segment->tcp = segment->ip + segment->ip_header;
  if (segment->length < TCP_SIZE) return ABI_DROP_TCP_HEADER;
  uint32_t header = (tcp[12] >> 4) * 4u;
  if (header < TCP_SIZE || header > segment->length) return ABI_DROP_TCP_HEADER;
  if (is_unusable(&segment->tuple.guest) || is_unusable(&segment->tuple.peer))
    return ABI_DROP_ADDRESS;
  if (!has_good_checksum(segment, frame[0])) return ABI_DROP_TCP_CHECKSUM;
  segment->tuple.guest_port = load16(tcp);
  segment->tuple.peer_port = load16(tcp + 2);
  segment->sequence = load32(tcp + 4);
  segment->flags = tcp[13];
  end_options(segment->tcp + TCP_SIZE, header - TCP_SIZE, segment->flags & TCP_FLAG_SYN);
  return ABI_INPUT_TAKEN;
}

static int32_t hold_syn(const struct segment *segment, uint16_t bucket) {
  uint32_t header = (segment->tcp[12] >> 4) * 4u, length = segment->ip_header + header;
  if (length > HELD_SYN_MOST) return ABI_DROP_TCP_HEADER;
  struct flow *flow = flow_create(bucket, &segment->tuple);
  if (!flow) return ABI_DROP_FLOW_LIMIT;
  flow->syn = heap_alloc(length);
  if (!flow->syn) {
    flow_detach(flow);
    flow_release(flow);
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

/* Nothing to keep of a segment that only acknowledges, or resets. */
static struct pbuf *bare_pbuf(const struct segment *segment) {
  static struct pbuf_custom bare = {.custom_free_function = keep};
  return pbuf_alloced_custom(PBUF_RAW, (u16_t)segment->length, PBUF_REF, &bare, segment->tcp,
                             (u16_t)segment->length);
}

/*
 * In-order data goes to lwIP in the buffer it was read into. Anything else lwIP may keep for
 * long, so it is copied: out-of-order segments must not hold a block each. What carries nothing to
 * keep needs no memory, so that what frees some is heard when there is none.
 */
static struct pbuf *segment_pbuf(const struct segment *segment, bool in_order, bool has_data) {
  if (!has_data && !(segment->flags & (TCP_FLAG_SYN | TCP_FLAG_FIN))) return bare_pbuf(segment);
  if (in_order) {
    struct receive_buffer *buffer = current, *next = new_buffer();
    if (next) {
      current = next;
      return pbuf_alloced_custom(PBUF_RAW, (u16_t)segment->length, PBUF_REF, &buffer->pbuf,
                                 segment->tcp, (u16_t)segment->length);
    }
  }
  struct pbuf *copy = pbuf_alloc(PBUF_RAW, (u16_t)segment->length, PBUF_RAM);
  if (copy) memcpy(copy->payload, segment->tcp, segment->length);
  return copy;
}

static void feed(struct pbuf *pbuf, uint8_t *ip, uint32_t ip_header, const struct tuple *tuple) {
  bool v6 = IP_IS_V6(&tuple->guest);
  ip_data.current_netif = ip_data.current_input_netif = &interface;
  ip_data.current_ip_header_tot_len = (u16_t)ip_header;
  ip_data.current_ip4_header = v6 ? NULL : (struct ip_hdr *)ip;
  ip_data.current_ip6_header = v6 ? (struct ip6_hdr *)ip : NULL;
  ip_data.current_iphdr_src = tuple->guest;
  ip_data.current_iphdr_dest = tuple->peer;
  tcp_input(pbuf, &interface);
}

/*
 * lwIP keeps what is out of order beyond its window, and its window then falls below zero. Also in the
 * segment that opens the connection, before which lwIP believes in a larger window than was promised.
 */
static bool is_beyond_window(const struct segment *segment, const struct flow *flow) {
  const struct tcp_pcb *pcb = flow->pcb;
  uint32_t payload = segment->length - (segment->tcp[12] >> 4) * 4u;
  uint32_t taken = payload + ((segment->flags & TCP_FLAG_FIN) != 0);
  return taken > 0 && TCP_SEQ_GT(segment->sequence, pcb->rcv_nxt) &&
         TCP_SEQ_GT(segment->sequence + taken, pcb->rcv_nxt + relay_window(flow));
}

int32_t packet_input(uint32_t length) {
  struct segment segment;
  int32_t verdict = parse_segment(&segment, length);
  if (verdict != ABI_INPUT_TAKEN) return verdict;
  uint16_t bucket = bucket_of(&segment.tuple);
  struct flow *flow = flow_find(bucket, &segment.tuple);
  bool opens = (segment.flags & (TCP_FLAG_SYN | TCP_FLAG_ACK | TCP_FLAG_RST)) == TCP_FLAG_SYN;
  if (opens && !flow) return hold_syn(&segment, bucket);
  if (flow) flow->frames_in++;
  if (flow && flow->state == FLOW_SYN_HELD) {
    if (segment.flags & TCP_FLAG_RST) {
      flow_notify(flow, ABI_EVENT_RESET);
      flow_detach(flow);
    }
    return ABI_INPUT_TAKEN;
  }
  bool in_order = flow && flow->pcb && flow->pcb->rcv_nxt == segment.sequence;
  bool has_data = segment.length > (segment.tcp[12] >> 4) * 4u;
  if (flow && has_data && relay_is_over_quota(flow, in_order))
    return ABI_DROP_OVER_QUOTA;
  if (flow && flow->pcb && is_beyond_window(&segment, flow))
    return ABI_DROP_OVER_QUOTA;

  memcpy(mac_in_hand, segment.source_mac, 6);
  struct pbuf *pbuf = segment_pbuf(&segment, in_order, has_data);
  if (!pbuf) return ABI_DROP_NO_MEMORY;
  bucket_select(bucket);
  flow_in_hand = flow;
  feed(pbuf, segment.ip, segment.ip_header, &segment.tuple);
  if (flow) relay_settle(flow);
  flow_in_hand = NULL;
  return ABI_INPUT_TAKEN;
}

/* ---- a connection's beginning ---- */

static struct tuple tuple_of(const struct flow *flow) {
  return (struct tuple){flow->guest, flow->peer, flow->guest_port, flow->peer_port};
}

bool packet_accept(struct flow *flow) {
  struct tuple tuple = tuple_of(flow);
  uint32_t ip_header = IP_IS_V6(&flow->guest) ? IP6_HLEN : (flow->syn[0] & 15u) * 4;
  struct pbuf *pbuf = pbuf_alloc(PBUF_RAW, (u16_t)(flow->syn_length - ip_header), PBUF_RAM);
  if (!pbuf) return false;
  memcpy(pbuf->payload, flow->syn + ip_header, flow->syn_length - ip_header);
  bucket_forget_time_wait(flow->bucket, &tuple);
  const struct tcp_pcb *head = tcp_active_pcbs;
  /* The one listener takes any address; its port is set to the SYN's for this call. */
  listener->local_port = flow->peer_port;
  flow_in_hand = flow;
  feed(pbuf, flow->syn, ip_header, &tuple);
  flow_in_hand = NULL;
  listener->local_port = 0;
  heap_free(flow->syn);
  flow->syn = NULL;
  if (tcp_active_pcbs == head) return false;
  relay_bind(flow, tcp_active_pcbs);
  return true;
}

void packet_refuse(struct flow *flow) {
  uint32_t ip_header = IP_IS_V6(&flow->guest) ? IP6_HLEN : (flow->syn[0] & 15u) * 4;
  uint32_t sequence = load32(flow->syn + ip_header + 4);
  flow_in_hand = flow;
  tcp_rst_netif(&interface, 0, sequence + 1, &flow->peer, &flow->guest, flow->peer_port,
                flow->guest_port);
  flow_in_hand = NULL;
}

bool packet_connect(struct flow *flow) {
  struct tcp_pcb *pcb = tcp_new_ip_type(IP_GET_TYPE(&flow->guest));
  if (!pcb) return false;
  struct tuple tuple = tuple_of(flow);
  bucket_forget_time_wait(flow->bucket, &tuple);
  pcb->local_ip = flow->peer;
  pcb->local_port = flow->peer_port;
  relay_bind(flow, pcb);
  flow_in_hand = flow;
  err_t error = tcp_connect(pcb, &flow->guest, flow->guest_port, relay_on_open);
  flow_in_hand = NULL;
  if (error == ERR_OK) return true;
  flow->pcb = NULL;
  tcp_arg(pcb, NULL);
  tcp_abort(pcb);
  return false;
}

/* ---- out ---- */

static void write_ipv4(uint8_t *ip, const ip_addr_t *from, const ip_addr_t *to, uint8_t ttl,
                       uint32_t length) {
  memset(ip, 0, IP_HLEN);
  ip[0] = 0x45;
  store16(ip + 2, (uint16_t)(length + IP_HLEN));
  ip[6] = 0x40; /* don't fragment: the identification may be 0 (RFC 6864 §4.1) */
  ip[8] = ttl;
  ip[9] = IP_PROTO_TCP;
  memcpy(ip + 12, &ip_2_ip4(from)->addr, 4);
  memcpy(ip + 16, &ip_2_ip4(to)->addr, 4);
  uint16_t sum = (uint16_t)~checksum_fold(checksum_add(0, ip, IP_HLEN));
  memcpy(ip + 10, &sum, 2);
}

static void write_ipv6(uint8_t *ip, const ip_addr_t *from, const ip_addr_t *to, uint8_t ttl,
                       uint32_t length) {
  memset(ip, 0, 8);
  ip[0] = 0x60;
  store16(ip + 4, (uint16_t)length);
  ip[6] = IP_PROTO_TCP;
  ip[7] = ttl;
  memcpy(ip + 8, ip_2_ip6(from)->addr, 16);
  memcpy(ip + 24, ip_2_ip6(to)->addr, 16);
}

static void write_vnet(uint8_t *vnet, bool v6, uint32_t ip_header, uint32_t tcp_header,
                       uint16_t gso_size) {
  memset(vnet, 0, ABI_VNET_HEADER_SIZE);
  uint16_t fields[4] = {(uint16_t)(ETHERNET_SIZE + ip_header + tcp_header), gso_size,
                        (uint16_t)(ETHERNET_SIZE + ip_header), 16};
  vnet[0] = VNET_NEEDS_CSUM;
  if (gso_size) vnet[1] = v6 ? VNET_GSO_TCPV6 : VNET_GSO_TCPV4;
  memcpy(vnet + 2, fields, sizeof fields);
}

/* The sum over a chain whose pieces may begin at odd positions. */
static uint32_t chain_sum(const struct pbuf *chain) {
  uint32_t sum = 0;
  bool odd = false;
  for (; chain; chain = chain->next) {
    uint16_t part = checksum_fold(checksum_add(0, chain->payload, chain->len));
    sum += odd ? lwip_htons(part) : part;
    odd ^= chain->len & 1;
  }
  return sum;
}

static const struct flow *flow_of(const ip_addr_t *from, const ip_addr_t *to, const uint8_t *tcp) {
  struct tuple tuple = {*to, *from, load16(tcp + 2), load16(tcp)};
  const struct flow *hand = flow_in_hand;
  if (hand && hand->guest_port == tuple.guest_port && hand->peer_port == tuple.peer_port &&
      ip_addr_eq(&hand->guest, to) && ip_addr_eq(&hand->peer, from)) {
    return hand;
  }
  return flow_find(bucket_of(&tuple), &tuple);
}

/* lwIP chains more pieces than one writev should take only for many tiny writes: copied once. */
static uint32_t pieces_of(struct pbuf *chain, uint32_t header, struct iov *pieces) {
  static uint8_t linear[HEAP_BLOCK_SIZE];
  uint32_t count = 0;
  for (struct pbuf *part = chain; part; part = part->next) {
    if (count == ABI_MAX_IOV) {
      uint32_t length = pbuf_copy_partial(chain, linear + header, chain->tot_len, 0);
      memcpy(linear, (uint8_t *)chain->payload - header, header);
      pieces[0] = (struct iov){(uint32_t)(uintptr_t)linear, header + length};
      return 1;
    }
    pieces[count++] = (struct iov){(uint32_t)(uintptr_t)part->payload, part->len};
  }
  pieces[0].base -= header;
  pieces[0].length += header;
  return count;
}

static err_t output(struct pbuf *chain, const ip_addr_t *from, const ip_addr_t *to, uint8_t ttl) {
  static struct iov pieces[ABI_MAX_IOV];
  bool v6 = IP_IS_V6(to);
  uint32_t ip_header = v6 ? IP6_HLEN : IP_HLEN;
  uint8_t *tcp = chain->payload, *ip = tcp - ip_header, *frame = ip - ETHERNET_SIZE;
  uint32_t tcp_header = (tcp[12] >> 4) * 4u, payload = chain->tot_len - tcp_header;

  struct flow *flow = (struct flow *)(uintptr_t)flow_of(from, to, tcp);
  uint16_t gso_size = 0;
  if (flow) {
    flow->acknowledged = load32(tcp + 8);
    if (flow->guest_mss && payload > flow->guest_mss) gso_size = flow->guest_mss;
  }
  uint16_t sum = checksum_fold(pseudo_header_sum(from, to, chain->tot_len));
  memcpy(tcp + 16, &sum, 2);
  if (!config.offload) {
    /* The field holds the pseudo header's sum, so the chain's sum includes it. */
    sum = (uint16_t)~checksum_fold(chain_sum(chain));
    memcpy(tcp + 16, &sum, 2);
  }
  if (v6) write_ipv6(ip, from, to, ttl, chain->tot_len);
  else write_ipv4(ip, from, to, ttl, chain->tot_len);
  memcpy(frame, flow ? flow->guest_mac : mac_in_hand, 6);
  memcpy(frame + 6, config.mac, 6);
  store16(frame + 12, v6 ? 0x86dd : 0x0800);

  uint32_t header = ip_header + ETHERNET_SIZE;
  if (config.offload) {
    header += ABI_VNET_HEADER_SIZE;
    write_vnet(frame - ABI_VNET_HEADER_SIZE, v6, ip_header, tcp_header, gso_size);
  }
  output_frames++;
  if (gso_size) output_segmented++;
  if (transmit(pieces, pieces_of(chain, header, pieces)) >= 0) {
    if (flow) flow->frames_out++;
    return ERR_OK;
  }
  output_errors++;
  return ERR_WOULDBLOCK;
}

err_t ip4_output_if(struct pbuf *chain, const ip4_addr_t *from, const ip4_addr_t *to, u8_t ttl,
                    u8_t tos, u8_t protocol, struct netif *netif) {
  ip_addr_t source, destination;
  (void)tos, (void)protocol, (void)netif;
  ip_addr_copy_from_ip4(source, *from);
  ip_addr_copy_from_ip4(destination, *to);
  return output(chain, &source, &destination, ttl);
}

err_t ip6_output_if(struct pbuf *chain, const ip6_addr_t *from, const ip6_addr_t *to, u8_t ttl,
                    u8_t traffic_class, u8_t protocol, struct netif *netif) {
  ip_addr_t source, destination;
  (void)traffic_class, (void)protocol, (void)netif;
  ip_addr_copy_from_ip6(source, *from);
  ip_addr_copy_from_ip6(destination, *to);
  return output(chain, &source, &destination, ttl);
}

/* ---- the rest of what lwIP's TCP asks of an IP layer: there is one link, and all is on it ---- */

struct netif *ip4_route(const ip4_addr_t *destination) { (void)destination; return &interface; }
struct netif *ip6_route(const ip6_addr_t *source, const ip6_addr_t *destination) {
  (void)source, (void)destination;
  return &interface;
}
struct netif *netif_get_by_index(u8_t index) { (void)index; return &interface; }
const ip_addr_t *ip6_select_source_address(struct netif *netif, const ip6_addr_t *destination) {
  (void)netif, (void)destination;
  return NULL;
}
u16_t nd6_get_destination_mtu(const ip6_addr_t *destination, struct netif *netif) {
  (void)destination;
  return netif->mtu;
}
/* Whoever calls into the stack arms the tick itself (loop.ts), so lwIP's own call says nothing new. */
void tcp_timer_needed(void) {}
u8_t ip4_addr_isbroadcast_u32(u32_t address, const struct netif *netif) {
  (void)netif;
  return address == IPADDR_ANY || address == IPADDR_BROADCAST;
}

void packet_init(const struct config *wanted) {
  config = *wanted;
  interface.mtu = wanted->mtu;
  interface.flags = NETIF_FLAG_UP | NETIF_FLAG_LINK_UP;
  current = new_buffer();
  tcp_init();
  struct tcp_pcb *pcb = tcp_new_ip_type(IPADDR_TYPE_ANY);
  tcp_bind(pcb, IP_ANY_TYPE, 1);
  listener = (struct tcp_pcb_listen *)tcp_listen(pcb);
  listener->local_port = 0;
  tcp_accept((struct tcp_pcb *)listener, relay_on_open);
}
