/*
 * Frames of a guest, cut into datagrams for a tunnel. Twin of src/stack/splitter.ts.
 *
 * A frame is checked once, and its headers are copied with all that no segment changes. Each
 * segment gets a copy of them and what it has of its own. The frame itself is only read.
 */
#include <string.h>

#include "checksum.h"
#include "packet.h"
#include "platform.h"
#include "wire.h"

#define VXLAN_SIZE 8
#define VXLAN_HAS_VNI 0x08

/* A segment's headers, with the IP header at the same place for all; multiples of 16 bytes. */
#define IP_AT 48
#define SLOT_SIZE 256
/* Most bytes of IP and transport headers, of extension headers and options, too. */
#define HEADERS_MOST (SLOT_SIZE - IP_AT)
_Static_assert(IP_AT >= ABI_SPLIT_ROOM + VXLAN_SIZE + ETHERNET_SIZE, "room in front of a segment");

/*
 * Segments of one frame: of TCP as many as 64 KB have with 64 bytes each, of UDP what a socket
 * sends (UDP_MAX_SEGMENTS). More would make a hostile member's frame cost thousands of datagrams.
 */
#define TCP_SEGMENTS_MOST 1024
#define UDP_SEGMENTS_MOST 128
/* Bytes that sealing adds to an IP packet in WireGuard at most: header, padding, tag. */
#define SEALED_MORE (16 + 15 + 16)

static struct iov pieces[2 * ABI_SPLIT_MOST];
static uint32_t result[ABI_SPLIT_WORDS];
static uint8_t table[ABI_SPLIT_TABLE] __attribute__((aligned(16)));
static uint8_t batch[ABI_SPLIT_BATCH] __attribute__((aligned(16)));
static uint8_t slots[ABI_SPLIT_MOST][SLOT_SIZE] __attribute__((aligned(16)));

/* What is to be cut. */
static struct {
  uint8_t headers[SLOT_SIZE] __attribute__((aligned(16)));
  uint32_t first;   /* offset in a slot of what a segment begins with */
  uint32_t end;     /* offset of what is behind the headers */
  uint32_t checksum; /* offset of the checksum field; 0: it is not to be written */
  const uint8_t *payload;
  uint32_t left; /* payload that no segment has yet */
  uint32_t size; /* payload of each segment but the last */
  bool more;     /* a segment is due, be it one without payload */
  /* Of a superframe: */
  struct packet packet; /* in `headers` */
  uint16_t id;
  uint32_t sequence;
  uint8_t tcp_flags;
  bool begun;
} cut;

static uint16_t little16(const uint8_t *at) { return (uint16_t)(at[0] | at[1] << 8); }

static void store32(uint8_t *at, uint32_t value) {
  value = lwip_htonl(value);
  memcpy(at, &value, 4);
}

static void put_mac(uint8_t *to, double mac) {
  uint64_t bits = (uint64_t)mac;
  for (int i = 0; i < 6; i++) to[i] = (uint8_t)(bits >> (40 - 8 * i));
}

/* ---- the segments ---- */

static void copy_headers(uint8_t *slot) {
  /* Whole vectors, of which the last may copy what nobody reads. */
  for (uint32_t at = IP_AT - 32; at < cut.end; at += 16) memcpy(slot + at, cut.headers + at, 16);
}

/* A sum over the transport header in the slot, and the payload: what is odd comes last. */
static void complete_checksum(const struct packet *packet, uint8_t *slot, uint32_t start,
                              uint32_t seed, const uint8_t *payload, uint32_t length) {
  uint32_t sum = checksum_add(seed, slot + start, cut.end - start);
  uint16_t complete = (uint16_t)~checksum_add(sum, payload, length);
  /* In UDP 0 says that there is no checksum (RFC 768); elsewhere ~0 is no sum (RFC 1624 §3). */
  if (complete == 0 && packet->protocol == IP_PROTO_UDP) complete = 0xffff;
  memcpy(slot + cut.checksum, &complete, 2);
}

static void write_tcp(uint8_t *tcp, bool is_last) {
  uint8_t flags = cut.tcp_flags;
  if (cut.begun) flags &= (uint8_t)~TCP_FLAG_CWR;
  if (!is_last) flags &= (uint8_t) ~(TCP_FLAG_FIN | TCP_FLAG_PSH);
  tcp[13] = flags;
  store32(tcp + 4, cut.sequence);
}

/* What a segment of a superframe has of its own. */
static void write_segment(uint8_t *slot, const uint8_t *payload, uint32_t length) {
  uint8_t *ip = slot + IP_AT;
  uint32_t transport = IP_AT + cut.packet.transport;
  packet_set_length(ip, cut.end - IP_AT + length);
  if (!cut.packet.v6) store16(ip + 4, cut.id);
  packet_set_ip_checksum(ip);
  uint32_t segment = cut.end - transport + length;
  if (cut.packet.protocol == IP_PROTO_TCP) write_tcp(slot + transport, length == cut.left);
  else store16(slot + transport + 4, (uint16_t)segment);
  memset(slot + cut.checksum, 0, 2);
  uint32_t seed = packet_pseudo_sum(&cut.packet, segment);
  complete_checksum(&cut.packet, slot, transport, seed, payload, length);
  cut.id++;
  cut.sequence += length;
  cut.begun = true;
}

static void add_segment(uint32_t index) {
  uint8_t *slot = slots[index];
  uint32_t length = cut.left < cut.size ? cut.left : cut.size;
  copy_headers(slot);
  if (result[ABI_SPLIT_IS_GSO]) write_segment(slot, cut.payload, length);
  pieces[2 * index] = (struct iov){offset_of(slot + cut.first), cut.end - cut.first};
  pieces[2 * index + 1] = (struct iov){offset_of(cut.payload), length};
  cut.payload += length;
  cut.left -= length;
  cut.more = cut.left > 0;
  result[ABI_SPLIT_LAST_SIZE] = cut.end - cut.first + length;
}

EXPORT(split_next) int32_t split_next(void) {
  if (!cut.more) return 0;
  uint32_t around = cut.first == IP_AT ? SEALED_MORE : 0, count = 0;
  uint32_t most = ABI_SPLIT_BYTES / (result[ABI_SPLIT_SIZE] + around);
  if (most > ABI_SPLIT_MOST) most = ABI_SPLIT_MOST;
  for (; cut.more && count < most; count++) add_segment(count);
  result[ABI_SPLIT_LEFT] = cut.left;
  return (int32_t)count;
}

/* ---- the frame ---- */

/* Everything in front of the IP header. */
static void write_front(const uint8_t *frame, uint32_t flags, uint32_t vni) {
  if (flags & ABI_TUNNEL_IP) {
    cut.first = IP_AT;
    return;
  }
  cut.first = IP_AT - ETHERNET_SIZE - VXLAN_SIZE;
  uint8_t *vxlan = cut.headers + cut.first;
  store32(vxlan, (uint32_t)VXLAN_HAS_VNI << 24);
  store32(vxlan + 4, vni << 8);
  memcpy(vxlan + VXLAN_SIZE, frame, ETHERNET_SIZE);
}

/* The packet with `headers` bytes of it to be copied; the rest stays where it is. */
static int32_t hold(const uint8_t *ip, uint32_t headers, uint32_t length) {
  if (headers > HEADERS_MOST) return ABI_REFUSED_OFFLOAD;
  memcpy(cut.headers + IP_AT, ip, headers);
  cut.end = IP_AT + headers;
  cut.payload = ip + headers;
  cut.left = cut.size = length - headers;
  cut.more = true;
  return 0;
}

/*
 * A checksum that the guest's kernel left open: the field has the sum of the pseudo header (virtio
 * 1.2 §5.1.6.2). Where it is and what it covers is the guest's word, within the packet.
 */
static int32_t hold_open(const struct packet *packet, const uint8_t *vnet) {
  uint32_t start = little16(vnet + 6), field = little16(vnet + 8);
  uint32_t least = ETHERNET_SIZE + (packet->v6 ? IP6_HLEN : IP_HLEN);
  if (start < least || field & 1) return ABI_REFUSED_OFFLOAD;
  start -= ETHERNET_SIZE;
  uint32_t headers = start + field + 2;
  if (headers > packet->length) return ABI_REFUSED_OFFLOAD;
  int32_t verdict = hold(packet->ip, headers, packet->length);
  if (verdict < 0) return verdict;
  cut.checksum = IP_AT + start + field;
  complete_checksum(packet, cut.headers, IP_AT + start, 0, cut.payload, cut.left);
  return 0;
}

static bool is_gso_of(const struct packet *packet, uint8_t type) {
  if (type == VNET_GSO_UDP_L4) return packet->protocol == IP_PROTO_UDP;
  return type == (packet->v6 ? VNET_GSO_TCPV6 : VNET_GSO_TCPV4) &&
         packet->protocol == IP_PROTO_TCP;
}

/* The lengths are those of the headers: hdr_len of virtio is a hint, which may lie. */
static int32_t hold_superframe(const struct packet *packet, const uint8_t *vnet) {
  uint32_t size = little16(vnet + 4);
  if (!is_gso_of(packet, vnet[1] & ~VNET_GSO_ECN) || size == 0) return ABI_REFUSED_OFFLOAD;
  uint32_t transport_size = packet_transport_size(packet);
  if (transport_size == 0) return ABI_REFUSED_TRANSPORT;
  int32_t verdict = hold(packet->ip, packet->transport + transport_size, packet->length);
  if (verdict < 0) return verdict;
  bool is_tcp = packet->protocol == IP_PROTO_TCP;
  uint32_t most = is_tcp ? TCP_SEGMENTS_MOST : UDP_SEGMENTS_MOST;
  if (cut.left > size * most) return ABI_REFUSED_OFFLOAD;
  if (size < cut.size) cut.size = size;
  cut.packet = *packet;
  cut.packet.ip = cut.headers + IP_AT;
  uint32_t transport = IP_AT + packet->transport;
  cut.checksum = transport + packet_checksum_offset(packet);
  cut.id = load16(packet->ip + 4);
  cut.sequence = load32(cut.headers + transport + 4);
  cut.tcp_flags = cut.headers[transport + 13];
  cut.begun = false;
  result[ABI_SPLIT_IS_GSO] = 1;
  return 0;
}

static int32_t hold_packet(const uint8_t *frame, uint32_t length, uint32_t flags) {
  struct packet packet;
  /* Only the copy of it is written to. */
  int32_t verdict = packet_parse(&packet, (uint8_t *)(uintptr_t)(frame + ETHERNET_SIZE),
                                 length - ETHERNET_SIZE);
  if (verdict < 0) return verdict;
  if (packet.v6 != (load16(frame + 12) == ETHERTYPE_IPV6)) return ABI_REFUSED_IP_HEADER;
  if (flags & ABI_TUNNEL_ROUTED && packet_hops(packet.ip) <= 1) return ABI_REFUSED_EXPIRED;
  const uint8_t *vnet = frame - ABI_VNET_HEADER_SIZE;
  uint32_t base = packet.v6 ? IP6_HLEN : (packet.ip[0] & 15u) * 4;
  if (!(flags & ABI_TUNNEL_VNET)) verdict = hold(packet.ip, base, packet.length);
  else if (vnet[1] != VNET_GSO_NONE) verdict = hold_superframe(&packet, vnet);
  else if (vnet[0] & VNET_NEEDS_CSUM) verdict = hold_open(&packet, vnet);
  else verdict = hold(packet.ip, base, packet.length);
  if (verdict < 0) return verdict;
  result[ABI_SPLIT_CLASS] = packet_class(packet.ip);
  if (flags & ABI_TUNNEL_ROUTED) packet_age(cut.headers + IP_AT);
  return 0;
}

static int32_t hold_other(const uint8_t *frame, uint32_t length, uint32_t flags) {
  if (flags & (ABI_TUNNEL_IP | ABI_TUNNEL_ROUTED)) return ABI_REFUSED_NOT_IP;
  const uint8_t *vnet = frame - ABI_VNET_HEADER_SIZE;
  if (flags & ABI_TUNNEL_VNET && (vnet[0] & VNET_NEEDS_CSUM || vnet[1])) return ABI_REFUSED_OFFLOAD;
  return hold(frame + ETHERNET_SIZE, 0, length - ETHERNET_SIZE);
}

/*
 * Begins with the frame of `length` bytes, whose virtio header is in front of it. Returns the
 * segments of the first batch, or ABI_REFUSED_…. `mtu`: of the packets inside, in bytes;
 * `destination`, `source`: MACs for ABI_TUNNEL_ROUTED.
 */
EXPORT(split)
int32_t split(const uint8_t *frame, uint32_t length, uint32_t flags, uint32_t vni, uint32_t mtu,
              double destination, double source) {
  cut.more = false;
  memset(result, 0, sizeof result);
  if (length < ETHERNET_SIZE || length > ABI_FRAME_CAPACITY - ABI_VNET_HEADER_SIZE)
    return ABI_REFUSED_LENGTH;
  uint16_t type = load16(frame + 12);
  bool is_ip = type == ETHERTYPE_IPV4 || type == ETHERTYPE_IPV6;
  int32_t verdict = is_ip ? hold_packet(frame, length, flags) : hold_other(frame, length, flags);
  if (verdict < 0) {
    cut.more = false;
    return verdict;
  }
  write_front(frame, flags, vni);
  if (flags & ABI_TUNNEL_ROUTED) {
    put_mac(cut.headers + IP_AT - ETHERNET_SIZE, destination);
    put_mac(cut.headers + IP_AT - ETHERNET_SIZE + 6, source);
  }
  result[ABI_SPLIT_SIZE] = cut.end - cut.first + cut.size;
  if (cut.end - IP_AT + cut.size > mtu || result[ABI_SPLIT_SIZE] > ABI_SPLIT_BYTES) {
    cut.more = false;
    return ABI_REFUSED_TOO_BIG;
  }
  return split_next();
}

EXPORT(split_iov_at) uint32_t split_iov_at(void) { return offset_of(pieces); }
EXPORT(split_result_at) uint32_t split_result_at(void) { return offset_of(result); }
EXPORT(split_table_at) uint32_t split_table_at(void) { return offset_of(table); }
EXPORT(split_batch_at) uint32_t split_batch_at(void) { return offset_of(batch); }
