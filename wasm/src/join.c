/*
 * What a tunnel has received, joined to frames for TAPs. Twin of src/stack/joiner.ts.
 *
 * Each datagram is opened and checked, and begins a frame or is appended to one of the last few:
 * that of its own flow, if it is the next of it. Headers are changed in the datagram (ECN, TTL)
 * before it is compared with others, and copied from that of a frame's first.
 */
#include <string.h>

#include "checksum.h"
#include "heap.h"
#include "packet.h"
#include "platform.h"
#include "wire.h"

#define VXLAN_SIZE 8
#define VXLAN_HAS_VNI 0x08
#define ECN 3u
#define ECN_CE 3u
#define ECN_ECT_1 1u
#define ECN_ECT_0 2u
#define IPV4_DONT_FRAGMENT 0x4000

/* Flows of which a frame may grow at once; the kernel's GRO has 8 in a bucket. */
#define GROWING_MOST 8
/* Longest IP packet of a superframe: what its length fields hold. */
#define PACKET_MOST 65535
/* UDP_MAX_SEGMENTS: more than this a socket could not have sent either. */
#define UDP_DATAGRAMS_MOST 64

#define SLOT_SIZE 256
#define HEADERS_MOST ABI_JOIN_HEADERS
_Static_assert(ABI_VNET_HEADER_SIZE + HEADERS_MOST <= SLOT_SIZE, "headers fit a slot");

/* A datagram, opened. */
struct inner {
  uint8_t *ethernet; /* NULL in the layout of IP packets */
  uint32_t vni;
  uint32_t length; /* bytes from `ethernet` on, or of the packet */
  struct packet packet;   /* if is_ip */
  const uint8_t *payload; /* behind the transport header; if is_checked */
  uint32_t payload_length;
  bool is_ip, is_expired;
  bool is_checked; /* its transport checksum was there and right */
  uint16_t next;   /* of the same frame; NONE */
};
#define NONE 0xffff

/* A frame: a chain of datagrams. */
struct group {
  uint16_t first, last, count;
  uint8_t tcp_flags;
  uint16_t id;       /* IPv4: of the next datagram */
  uint32_t sequence; /* TCP: of the next datagram */
  uint32_t length;   /* bytes of its IP packet, if joined */
};

static uint32_t input[ABI_JOIN_MOST * ABI_JOIN_INPUT_WORDS];
static struct inner inners[ABI_JOIN_MOST];
static struct group groups[ABI_JOIN_MOST];
static struct group *growing[GROWING_MOST];
static uint32_t group_count, growing_count;
static uint8_t slots[ABI_JOIN_MOST][SLOT_SIZE] __attribute__((aligned(16)));
/* Headers of each frame, the rest of each datagram. */
static struct iov pieces[2 * ABI_JOIN_MOST];
static uint32_t frames[ABI_JOIN_MOST * ABI_JOIN_FRAME_WORDS];
static uint32_t refusals[ABI_REFUSED_COUNT];

/* ---- opening a datagram ---- */

/* Other bits of the VXLAN header are ignored (RFC 7348 §5). */
static int32_t open_vxlan(struct inner *inner, uint8_t *datagram, uint32_t length) {
  if (length < VXLAN_SIZE + ETHERNET_SIZE) return ABI_REFUSED_TUNNEL;
  if (!(datagram[0] & VXLAN_HAS_VNI)) return ABI_REFUSED_TUNNEL;
  inner->vni = load32(datagram + 4) >> 8;
  inner->ethernet = datagram + VXLAN_SIZE;
  inner->length = length - VXLAN_SIZE;
  uint16_t type = load16(inner->ethernet + 12);
  inner->is_ip = type == ETHERTYPE_IPV4 || type == ETHERTYPE_IPV6;
  if (!inner->is_ip) return 0;
  int32_t verdict = packet_parse(&inner->packet, inner->ethernet + ETHERNET_SIZE,
                                 inner->length - ETHERNET_SIZE);
  if (verdict < 0) return verdict;
  inner->length = ETHERNET_SIZE + inner->packet.length;
  return inner->packet.v6 == (type == ETHERTYPE_IPV6) ? 0 : ABI_REFUSED_IP_HEADER;
}

static int32_t open_ip(struct inner *inner, uint8_t *datagram, uint32_t length) {
  inner->vni = 0;
  inner->ethernet = NULL;
  inner->is_ip = true;
  int32_t verdict = packet_parse(&inner->packet, datagram, length);
  if (verdict == 0) inner->length = inner->packet.length;
  return verdict;
}

/* RFC 6040 §4.2, figure 4. */
static int32_t combine_ecn(uint8_t *ip, uint8_t outer_class) {
  uint8_t inner = packet_class(ip), outer = outer_class & ECN;
  bool is_capable = inner & ECN;
  if (outer == ECN_CE && !is_capable) return ABI_REFUSED_CONGESTION;
  bool marks = outer == ECN_CE || (outer == ECN_ECT_1 && (inner & ECN) == ECN_ECT_0);
  if (marks) packet_set_class(ip, (uint8_t)((inner & ~ECN) | outer));
  return 0;
}

/*
 * TCP and UDP in one piece. The receiver's kernel checks the others, behind options, and datagrams
 * without checksum.
 */
static int32_t check_transport(struct inner *inner) {
  struct packet *packet = &inner->packet;
  bool is_tcp = packet->protocol == IP_PROTO_TCP;
  if (!is_tcp && packet->protocol != IP_PROTO_UDP) return 0;
  uint32_t header = packet_transport_size(packet);
  if (header == 0) return ABI_REFUSED_TRANSPORT;
  uint8_t *transport = packet->ip + packet->transport;
  uint32_t length = packet->length - packet->transport;
  if (!packet->plain) return 0;
  if (!is_tcp && (load16(transport + 6) == 0 || load16(transport + 4) != length)) return 0;
  uint32_t sum = checksum_add(packet_pseudo_sum(packet, length), transport, length);
  if (sum != 0xffff) return is_tcp ? ABI_REFUSED_TCP_CHECKSUM : ABI_REFUSED_UDP_CHECKSUM;
  inner->payload = transport + header;
  inner->payload_length = length - header;
  inner->is_checked = true;
  return 0;
}

static int32_t open(struct inner *inner, const uint32_t *given, uint32_t flags) {
  uint8_t *datagram = (uint8_t *)(uintptr_t)given[0];
  inner->is_expired = inner->is_checked = false;
  inner->next = NONE;
  int32_t verdict = flags & ABI_TUNNEL_IP ? open_ip(inner, datagram, given[1])
                                          : open_vxlan(inner, datagram, given[1]);
  if (verdict < 0) return verdict;
  if (!inner->is_ip) return flags & ABI_TUNNEL_ROUTED ? ABI_REFUSED_NOT_IP : 0;
  uint8_t *ip = inner->packet.ip;
  if (!packet_has_good_ip_checksum(&inner->packet)) return ABI_REFUSED_IP_CHECKSUM;
  verdict = combine_ecn(ip, (uint8_t)given[2]);
  if (verdict < 0) return verdict;
  inner->is_expired = flags & ABI_TUNNEL_ROUTED && packet_hops(ip) <= 1;
  if (flags & ABI_TUNNEL_ROUTED && !inner->is_expired) packet_age(ip);
  return check_transport(inner);
}

/* ---- joining ---- */

static const uint8_t *transport_of(const struct inner *inner) {
  return inner->packet.ip + inner->packet.transport;
}

/* Whether two datagrams are of one flow: all that says from whom to whom. */
static bool is_same_flow(const struct inner *a, const struct inner *b) {
  if (a->vni != b->vni || a->packet.v6 != b->packet.v6) return false;
  if (a->packet.protocol != b->packet.protocol) return false;
  if (memcmp(transport_of(a), transport_of(b), 4) != 0) return false;
  uint32_t at = a->packet.v6 ? 8 : 12, size = a->packet.v6 ? 32 : 8;
  if (memcmp(a->packet.ip + at, b->packet.ip + at, size) != 0) return false;
  return !a->ethernet || memcmp(a->ethernet, b->ethernet, ETHERNET_SIZE) == 0;
}

/* The group of the datagram's flow that may grow, and whose place it has; NULL. */
static struct group **find_growing(const struct inner *inner) {
  for (uint32_t i = growing_count; i-- > 0;) {
    if (is_same_flow(&inners[growing[i]->first], inner)) return &growing[i];
  }
  return NULL;
}

static void stop_growing(struct group **place) {
  growing_count--;
  for (; place < growing + growing_count; place++) place[0] = place[1];
}

/*
 * The fields of IP that a superframe has once: version, class, flow label and hop limit, or TOS,
 * TTL and flags. The identification counts on, unless nobody may fragment the packet (RFC 6864
 * §4.1: it says nothing then).
 */
static bool fits_ip(const struct group *group, const struct inner *first,
                    const struct inner *inner) {
  const uint8_t *a = first->packet.ip, *b = inner->packet.ip;
  if (first->packet.v6) return memcmp(a, b, 4) == 0 && a[7] == b[7];
  if (a[1] != b[1] || a[8] != b[8] || load16(a + 6) != load16(b + 6)) return false;
  return load16(a + 6) & IPV4_DONT_FRAGMENT || load16(b + 4) == group->id;
}

/*
 * A segment is the next: in sequence, of the same acknowledgment, window and options, with the same
 * flags but for FIN and PSH, of which either ends the superframe. CWR may be on the first alone.
 */
static bool fits_tcp(const struct group *group, const struct inner *first,
                     const struct inner *inner) {
  const uint8_t *a = transport_of(first), *b = transport_of(inner);
  uint8_t differs = (uint8_t)(group->tcp_flags ^ b[13]);
  if (differs & ~(TCP_FLAG_FIN | TCP_FLAG_PSH | TCP_FLAG_CWR) || b[13] & TCP_FLAG_CWR) return false;
  uint32_t header = tcp_header_size(a);
  return load32(b + 4) == group->sequence && memcmp(a + 8, b + 8, 5) == 0 &&
         memcmp(a + 14, b + 14, 2) == 0 &&
         memcmp(a + TCP_SIZE, b + TCP_SIZE, header - TCP_SIZE) == 0;
}

static bool fits(const struct group *group, const struct inner *inner) {
  const struct inner *first = &inners[group->first];
  if (inner->payload_length == 0 || inner->payload_length > first->payload_length) return false;
  if (group->length + inner->payload_length > PACKET_MOST) return false;
  if (!fits_ip(group, first, inner)) return false;
  if (inner->packet.protocol == IP_PROTO_TCP) return fits_tcp(group, first, inner);
  return group->count < UDP_DATAGRAMS_MOST;
}

static uint8_t tcp_flags_of(const struct inner *inner) {
  return inner->packet.protocol == IP_PROTO_TCP ? transport_of(inner)[13] : 0;
}

/* Whether another datagram may follow in the same frame. */
static bool may_be_followed(const struct inner *inner) {
  const uint8_t ends = TCP_FLAG_FIN | TCP_FLAG_SYN | TCP_FLAG_RST | TCP_FLAG_PSH | TCP_FLAG_URG;
  return inner->payload_length > 0 && !(tcp_flags_of(inner) & ends);
}

static void append(struct group *group, uint16_t index) {
  struct inner *inner = &inners[index];
  inners[group->last].next = index;
  group->last = index;
  group->count++;
  group->tcp_flags |= tcp_flags_of(inner);
  group->id++;
  group->sequence += inner->payload_length;
  group->length += inner->payload_length;
}

static struct group *begin(uint16_t index) {
  struct group *group = &groups[group_count++];
  *group = (struct group){.first = index, .last = index, .count = 1};
  return group;
}

static void begin_growing(uint16_t index) {
  const struct inner *inner = &inners[index];
  struct group *group = begin(index);
  group->length = inner->packet.length;
  group->id = (uint16_t)(load16(inner->packet.ip + 4) + 1);
  group->tcp_flags = tcp_flags_of(inner);
  group->sequence = load32(transport_of(inner) + 4) + inner->payload_length;
  if (!may_be_followed(inner)) return;
  /* The one that began first: its flow had its chance. */
  if (growing_count == GROWING_MOST) stop_growing(&growing[0]);
  growing[growing_count++] = group;
}

static bool may_join(const struct inner *inner, uint32_t flags) {
  if (!(flags & ABI_TUNNEL_VNET) || !inner->is_checked || inner->is_expired) return false;
  return inner->packet.protocol == IP_PROTO_TCP || flags & ABI_TUNNEL_USO;
}

static void place(uint16_t index, uint32_t flags) {
  struct inner *inner = &inners[index];
  if (!may_join(inner, flags)) {
    begin(index);
    return;
  }
  struct group **growing_group = find_growing(inner);
  if (!growing_group) {
    begin_growing(index);
    return;
  }
  struct group *group = *growing_group;
  if (!fits(group, inner)) {
    stop_growing(growing_group);
    begin_growing(index);
    return;
  }
  append(group, index);
  bool is_short = inner->payload_length < inners[group->first].payload_length;
  if (is_short || !may_be_followed(inner)) stop_growing(growing_group);
}

/* ---- frames ---- */

/* What a superframe's headers have of all its datagrams; the receiver completes the checksum. */
static void write_superframe(const struct group *group, uint8_t *vnet, uint8_t *ip) {
  const struct inner *first = &inners[group->first];
  struct packet packet = first->packet;
  bool is_tcp = packet.protocol == IP_PROTO_TCP;
  packet.ip = ip;
  packet.length = group->length;
  packet_set_length(ip, packet.length);
  packet_set_ip_checksum(ip);
  uint8_t *transport = ip + packet.transport;
  uint32_t length = packet.length - packet.transport;
  if (is_tcp) transport[13] = group->tcp_flags;
  else store16(transport + 4, (uint16_t)length);
  uint16_t sum = (uint16_t)packet_pseudo_sum(&packet, length);
  memcpy(transport + packet_checksum_offset(&packet), &sum, 2);

  uint32_t start = ETHERNET_SIZE + packet.transport;
  uint32_t header = is_tcp ? tcp_header_size(transport) : PACKET_UDP_SIZE;
  uint16_t fields[4] = {(uint16_t)(start + header), (uint16_t)first->payload_length,
                        (uint16_t)start, (uint16_t)packet_checksum_offset(&packet)};
  vnet[0] = VNET_NEEDS_CSUM;
  vnet[1] = is_tcp ? (packet.v6 ? VNET_GSO_TCPV6 : VNET_GSO_TCPV4) : VNET_GSO_UDP_L4;
  if (group->tcp_flags & TCP_FLAG_CWR) vnet[1] |= VNET_GSO_ECN;
  memcpy(vnet + 2, fields, sizeof fields);
}

/* Copies what a reader of headers wants contiguous, and returns what it left of the datagram. */
static struct iov copy_headers(const struct inner *inner, uint8_t *ethernet, uint32_t *size) {
  const uint8_t *from = inner->ethernet;
  uint32_t length = inner->length, wanted = HEADERS_MOST;
  if (!from) {
    from = inner->packet.ip;
    ethernet += ETHERNET_SIZE;
    store16(ethernet - 2, inner->packet.v6 ? ETHERTYPE_IPV6 : ETHERTYPE_IPV4);
    wanted -= ETHERNET_SIZE;
  }
  if (inner->is_checked) wanted = (uint32_t)(inner->payload - from);
  if (wanted > length) wanted = length;
  memcpy(ethernet, from, wanted);
  *size = wanted + (inner->ethernet ? 0 : ETHERNET_SIZE);
  return (struct iov){offset_of(from + wanted), length - wanted};
}

/* Writes the frame's entry and its pieces from `piece` on; returns how many pieces. */
static uint32_t write_frame(uint32_t index, uint32_t piece, uint32_t flags) {
  const struct group *group = &groups[index];
  const struct inner *first = &inners[group->first];
  uint8_t *vnet = slots[index], *ethernet = vnet + ABI_VNET_HEADER_SIZE;
  uint32_t size, front = flags & ABI_TUNNEL_VNET ? ABI_VNET_HEADER_SIZE : 0, count = 1;
  struct iov rest = copy_headers(first, ethernet, &size);
  memset(vnet, 0, ABI_VNET_HEADER_SIZE);
  if (first->is_checked) vnet[0] = VNET_DATA_VALID;
  if (group->count > 1) write_superframe(group, vnet, ethernet + ETHERNET_SIZE);

  uint32_t length = size + rest.length;
  pieces[piece] = (struct iov){offset_of(ethernet) - front, front + size};
  if (rest.length > 0) pieces[piece + count++] = rest;
  for (uint16_t i = first->next; i != NONE; i = inners[i].next) {
    length += inners[i].payload_length;
    pieces[piece + count++] = (struct iov){offset_of(inners[i].payload), inners[i].payload_length};
  }
  uint32_t *entry = frames + index * ABI_JOIN_FRAME_WORDS;
  entry[ABI_JOIN_IOV] = offset_of(pieces + piece);
  entry[ABI_JOIN_IOV_COUNT] = count;
  entry[ABI_JOIN_HEADER_SIZE] = size;
  entry[ABI_JOIN_LENGTH] = length;
  entry[ABI_JOIN_VNI] = first->vni;
  entry[ABI_JOIN_DATAGRAMS] = group->count;
  entry[ABI_JOIN_ETHERNET] = offset_of(ethernet);
  entry[ABI_JOIN_IS_EXPIRED] = first->is_expired;
  return count;
}

/* Makes frames of the first `count` datagrams at join_input_at(); returns how many. */
EXPORT(join) uint32_t join(uint32_t count, uint32_t flags) {
  memset(refusals, 0, sizeof refusals);
  group_count = growing_count = 0;
  if (count > ABI_JOIN_MOST) count = ABI_JOIN_MOST;
  for (uint32_t i = 0; i < count; i++) {
    int32_t verdict = open(&inners[i], input + i * ABI_JOIN_INPUT_WORDS, flags);
    if (verdict == 0) {
      place((uint16_t)i, flags);
      continue;
    }
    refusals[0]++;
    refusals[-verdict]++;
  }
  uint32_t piece = 0;
  for (uint32_t i = 0; i < group_count; i++) piece += write_frame(i, piece, flags);
  return group_count;
}

EXPORT(join_input_at) uint32_t join_input_at(void) { return offset_of(input); }
EXPORT(join_frames_at) uint32_t join_frames_at(void) { return offset_of(frames); }
EXPORT(join_refusals_at) uint32_t join_refusals_at(void) { return offset_of(refusals); }
/* Memory that the heap would have in an instance with a stack: all from here on. */
EXPORT(join_arena_at) uint32_t join_arena_at(void) { return offset_of(heap_region()); }
