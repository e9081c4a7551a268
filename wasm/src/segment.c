#include "segment.h"

#include <string.h>

#include "checksum.h"
#include "wire.h"

/*
 * Only plain IP headers are read here: all but a few segments have one. Anything else passes to
 * TypeScript, which finds out why a header is wrong, and strips options and extension headers and
 * reassembles fragments before it gives the segment to the stack again.
 */
static int32_t parse_ipv4(struct segment *segment, uint32_t available) {
  const uint8_t *ip = segment->ip;
  if (available < IP_HLEN || ip[0] != 0x45 || ip[9] != IP_PROTO_TCP) return ABI_INPUT_PASS;
  uint32_t total = load16(ip + 2);
  if (total < IP_HLEN || total > available || load16(ip + 6) & 0x3fff) return ABI_INPUT_PASS;
  if (checksum_fold(checksum_add(0, ip, IP_HLEN)) != 0xffff) return ABI_INPUT_PASS;
  segment->tcp = segment->ip + IP_HLEN;
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
  segment->tcp = segment->ip + IP6_HLEN;
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

/*
 * A checksum that the guest's kernel left to the offload was never on a wire: there is nothing to
 * check.
 */
static bool has_good_checksum(const struct segment *segment, uint8_t vnet_flags, bool offload) {
  if (offload && vnet_flags & (VNET_NEEDS_CSUM | VNET_DATA_VALID)) return true;
  const struct tuple *tuple = &segment->tuple;
  uint32_t sum = checksum_pseudo_header(&tuple->guest, &tuple->peer, segment->length);
  return checksum_fold(checksum_add(0, segment->tcp, segment->length) + sum) == 0xffff;
}

/* Bytes of the option; 0 when it does not fit in the `left` bytes of the header. */
static uint32_t option_size(const uint8_t *option, uint32_t left) {
  if (option[0] == LWIP_TCP_OPT_NOP) return 1;
  return left >= 2 && option[1] >= 2 && option[1] <= left ? option[1] : 0;
}

/*
 * lwIP reads the length byte of an option also behind the end of the header, and accepts an MSS in
 * any segment. So options end before the first that does not fit, and at once in a segment without
 * SYN, of which lwIP uses none.
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

int32_t segment_parse(struct segment *segment, uint8_t *frame, uint32_t length, bool offload) {
  if (length > ABI_FRAME_CAPACITY) return ABI_DROP_LENGTH;
  if (length < FRAME_HEADER) return ABI_INPUT_PASS;
  memset(&segment->tuple, 0, sizeof segment->tuple);
  segment->source_mac = frame + ABI_VNET_HEADER_SIZE + 6;
  segment->ip = frame + FRAME_HEADER;
  uint16_t type = load16(frame + ABI_VNET_HEADER_SIZE + 12);
  int32_t verdict = ABI_INPUT_PASS;
  if (type == ETHERTYPE_IPV4) verdict = parse_ipv4(segment, length - FRAME_HEADER);
  if (type == ETHERTYPE_IPV6) verdict = parse_ipv6(segment, length - FRAME_HEADER);
  if (verdict != ABI_INPUT_TAKEN) return verdict;

  const uint8_t *tcp = segment->tcp;
  if (segment->length < TCP_SIZE) return ABI_DROP_TCP_HEADER;
  uint32_t header = tcp_header_size(tcp);
  if (header < TCP_SIZE || header > segment->length) return ABI_DROP_TCP_HEADER;
  if (is_unusable(&segment->tuple.guest) || is_unusable(&segment->tuple.peer))
    return ABI_DROP_ADDRESS;
  if (!has_good_checksum(segment, frame[0], offload)) return ABI_DROP_TCP_CHECKSUM;
  segment->tuple.guest_port = load16(tcp);
  segment->tuple.peer_port = load16(tcp + 2);
  segment->sequence = load32(tcp + 4);
  segment->flags = tcp[13];
  end_options(segment->tcp + TCP_SIZE, header - TCP_SIZE, segment->flags & TCP_FLAG_SYN);
  return ABI_INPUT_TAKEN;
}

uint32_t segment_payload(const struct segment *segment) {
  return segment->length - tcp_header_size(segment->tcp);
}
