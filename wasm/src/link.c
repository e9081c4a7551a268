#include "link.h"

#include <string.h>

#include "checksum.h"
#include "heap.h"
#include "lwip/ip.h"
#include "lwip/nd6.h"
#include "lwip/netif.h"
#include "platform.h"
#include "wire.h"

/* Globals that lwIP's own IP layer defines. */
struct ip_globals ip_data;
const ip_addr_t ip_addr_any_type = IPADDR_ANY_TYPE_INIT;
const ip_addr_t ip_addr_any = IPADDR4_INIT(IPADDR_ANY);

struct link_counters link_counters;

static struct link_config config;
struct netif link_interface;
static struct flow *current_flow; /* whose segment lwIP is processing */
static uint8_t answer_mac[6];

void link_init(const struct link_config *wanted) {
  config = *wanted;
  link_interface.mtu = wanted->mtu;
  link_interface.flags = NETIF_FLAG_UP | NETIF_FLAG_LINK_UP;
}

bool link_offload(void) { return config.offload; }

void link_answer_to(const uint8_t *mac) { memcpy(answer_mac, mac, 6); }

/* ---- in ---- */

void link_enter(uint8_t *ip, const struct tuple *tuple, struct flow *flow) {
  bool v6 = IP_IS_V6(&tuple->guest);
  ip_data.current_netif = ip_data.current_input_netif = &link_interface;
  ip_data.current_ip_header_tot_len = (u16_t)ip_header_size(ip);
  ip_data.current_ip4_header = v6 ? NULL : (struct ip_hdr *)ip;
  ip_data.current_ip6_header = v6 ? (struct ip6_hdr *)ip : NULL;
  ip_data.current_iphdr_src = tuple->guest;
  ip_data.current_iphdr_dest = tuple->peer;
  current_flow = flow;
}

void link_leave(void) { current_flow = NULL; }

/* ---- out ---- */

void link_refuse(const struct flow *flow, uint32_t sequence) {
  tcp_rst_netif(&link_interface, 0, sequence + 1, &flow->peer, &flow->guest, flow->peer_port,
                flow->guest_port);
}

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

/* The sum over a chain, in which a buffer may begin at an odd position. */
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

static struct flow *flow_of(const ip_addr_t *from, const ip_addr_t *to, const uint8_t *tcp) {
  struct tuple tuple = {*to, *from, load16(tcp + 2), load16(tcp)};
  struct flow *likely = current_flow;
  if (likely && flow_has_tuple(likely, &tuple)) return likely;
  return flow_find(bucket_of(&tuple), &tuple);
}

/*
 * The chain as an I/O vector, with `header` bytes in front. lwIP chains more buffers than the
 * vector has room for only after many tiny writes: those are copied into one piece.
 */
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
  uint32_t tcp_header = tcp_header_size(tcp), payload = chain->tot_len - tcp_header;

  struct flow *flow = flow_of(from, to, tcp);
  uint16_t gso_size = 0;
  if (flow) {
    flow->acknowledged = load32(tcp + 8);
    if (flow->guest_mss && payload > flow->guest_mss) gso_size = flow->guest_mss;
  }
  uint16_t sum = checksum_fold(checksum_pseudo_header(from, to, chain->tot_len));
  memcpy(tcp + 16, &sum, 2);
  if (!config.offload) {
    /* The checksum field holds the pseudo header's sum, so the sum of the chain includes it. */
    sum = (uint16_t)~checksum_fold(chain_sum(chain));
    memcpy(tcp + 16, &sum, 2);
  }
  if (v6) write_ipv6(ip, from, to, ttl, chain->tot_len);
  else write_ipv4(ip, from, to, ttl, chain->tot_len);
  memcpy(frame, flow ? flow->guest_mac : answer_mac, 6);
  memcpy(frame + 6, config.mac, 6);
  store16(frame + 12, v6 ? ETHERTYPE_IPV6 : ETHERTYPE_IPV4);

  uint32_t header = ip_header + ETHERNET_SIZE;
  if (config.offload) {
    header += ABI_VNET_HEADER_SIZE;
    write_vnet(frame - ABI_VNET_HEADER_SIZE, v6, ip_header, tcp_header, gso_size);
  }
  link_counters.frames++;
  if (gso_size) link_counters.segmented++;
  if (transmit(pieces, pieces_of(chain, header, pieces)) >= 0) {
    if (flow) flow->frames_out++;
    return ERR_OK;
  }
  link_counters.errors++;
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

/* ---- what else lwIP's TCP asks of an IP layer ---- */

struct netif *ip4_route(const ip4_addr_t *destination) { (void)destination; return &link_interface; }
struct netif *ip6_route(const ip6_addr_t *source, const ip6_addr_t *destination) {
  (void)source, (void)destination;
  return &link_interface;
}
struct netif *netif_get_by_index(u8_t index) { (void)index; return &link_interface; }
const ip_addr_t *ip6_select_source_address(struct netif *netif, const ip6_addr_t *destination) {
  (void)netif, (void)destination;
  return NULL;
}
u16_t nd6_get_destination_mtu(const ip6_addr_t *destination, struct netif *netif) {
  (void)destination;
  return netif->mtu;
}
/* Whoever calls into the stack arms the tick itself, so there is nothing to do. */
void tcp_timer_needed(void) {}
u8_t ip4_addr_isbroadcast_u32(u32_t address, const struct netif *netif) {
  (void)netif;
  return address == IPADDR_ANY || address == IPADDR_BROADCAST;
}
