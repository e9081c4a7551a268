#include "packet.h"

#include <string.h>

#include "checksum.h"
#include "wire.h"

#define IPV6_HOP_BY_HOP 0
#define IPV6_ROUTING 43
#define IPV6_DESTINATION 60

/* ---- finding the headers ---- */

static int32_t parse_ipv4(struct packet *packet, uint32_t available) {
  const uint8_t *ip = packet->ip;
  uint32_t header = (ip[0] & 15u) * 4, total = load16(ip + 2);
  if (header < IP_HLEN || total < header || total > available) return ABI_REFUSED_IP_HEADER;
  packet->length = total;
  packet->transport = header;
  packet->plain = header == IP_HLEN;
  bool is_fragment = load16(ip + 6) & 0x3fff;
  packet->protocol = is_fragment ? PACKET_OPAQUE : ip[9];
  return 0;
}

static bool is_walked(uint8_t next) {
  return next == IPV6_HOP_BY_HOP || next == IPV6_ROUTING || next == IPV6_DESTINATION;
}

/* Extension headers have their length in units of 8 bytes, without the first (RFC 8200 §4). */
static int32_t parse_ipv6(struct packet *packet, uint32_t available) {
  const uint8_t *ip = packet->ip;
  uint32_t length = IP6_HLEN + load16(ip + 4);
  if (available < IP6_HLEN || length > available) return ABI_REFUSED_IP_HEADER;
  packet->length = length;
  uint8_t next = ip[6];
  uint32_t at = IP6_HLEN;
  for (; is_walked(next); next = ip[at], at += 8 + ip[at + 1] * 8u) {
    if (at + 8 > length || at + 8 + ip[at + 1] * 8u > length) {
      next = PACKET_OPAQUE;
      break;
    }
  }
  packet->transport = at;
  packet->plain = at == IP6_HLEN;
  packet->protocol = next == IP6_NEXTH_FRAGMENT ? PACKET_OPAQUE : next;
  return 0;
}

int32_t packet_parse(struct packet *packet, uint8_t *ip, uint32_t available) {
  if (available < IP_HLEN) return ABI_REFUSED_IP_HEADER;
  packet->ip = ip;
  packet->v6 = ip[0] >> 4 == 6;
  if (packet->v6) return parse_ipv6(packet, available);
  return ip[0] >> 4 == 4 ? parse_ipv4(packet, available) : ABI_REFUSED_IP_HEADER;
}

bool packet_has_good_ip_checksum(const struct packet *packet) {
  if (packet->v6) return true;
  return checksum_add(0, packet->ip, (packet->ip[0] & 15u) * 4) == 0xffff;
}

/* ---- the transport header ---- */

static uint32_t checked_udp_size(const uint8_t *udp, uint32_t length) {
  if (length < PACKET_UDP_SIZE) return 0;
  uint32_t stated = load16(udp + 4);
  return stated < PACKET_UDP_SIZE || stated > length ? 0 : PACKET_UDP_SIZE;
}

static uint32_t checked_tcp_size(const uint8_t *tcp, uint32_t length) {
  if (length < TCP_SIZE) return 0;
  uint32_t header = tcp_header_size(tcp);
  return header < TCP_SIZE || header > length ? 0 : header;
}

uint32_t packet_transport_size(const struct packet *packet) {
  const uint8_t *transport = packet->ip + packet->transport;
  uint32_t length = packet->length - packet->transport;
  if (packet->protocol == IP_PROTO_TCP) return checked_tcp_size(transport, length);
  return packet->protocol == IP_PROTO_UDP ? checked_udp_size(transport, length) : 0;
}

uint32_t packet_checksum_offset(const struct packet *packet) {
  return packet->protocol == IP_PROTO_TCP ? 16 : 6;
}

uint32_t packet_pseudo_sum(const struct packet *packet, uint32_t length) {
  const uint8_t *ip = packet->ip;
  uint32_t sum = (uint32_t)packet->protocol << 8 | (uint32_t)lwip_htons((uint16_t)length) << 16;
  return packet->v6 ? checksum_add(sum, ip + 8, 32) : checksum_add(sum, ip + 12, 8);
}

/* ---- fields ---- */

static uint16_t raw16(const uint8_t *at) {
  uint16_t word;
  memcpy(&word, at, 2);
  return word;
}

/* Keeps an IPv4 header's checksum right when the word at `at` was `before` (RFC 1624 §3). */
static void update_ip_checksum(uint8_t *ip, const uint8_t *at, uint16_t before) {
  uint32_t sum = (uint16_t)~raw16(ip + 10);
  sum += (uint16_t)~before;
  uint16_t updated = (uint16_t)~checksum_fold(sum + raw16(at));
  memcpy(ip + 10, &updated, 2);
}

uint8_t packet_class(const uint8_t *ip) {
  return ip[0] >> 4 == 6 ? (uint8_t)(ip[0] << 4 | ip[1] >> 4) : ip[1];
}

void packet_set_class(uint8_t *ip, uint8_t value) {
  if (ip[0] >> 4 == 6) {
    ip[0] = (uint8_t)(0x60 | value >> 4);
    ip[1] = (uint8_t)(value << 4 | (ip[1] & 15));
    return;
  }
  uint16_t before = raw16(ip);
  ip[1] = value;
  update_ip_checksum(ip, ip, before);
}

uint8_t packet_hops(const uint8_t *ip) { return ip[0] >> 4 == 6 ? ip[7] : ip[8]; }

void packet_age(uint8_t *ip) {
  if (ip[0] >> 4 == 6) {
    ip[7]--;
    return;
  }
  uint16_t before = raw16(ip + 8);
  ip[8]--;
  update_ip_checksum(ip, ip + 8, before);
}

void packet_set_length(uint8_t *ip, uint32_t length) {
  if (ip[0] >> 4 == 6) store16(ip + 4, (uint16_t)(length - IP6_HLEN));
  else store16(ip + 2, (uint16_t)length);
}

void packet_set_ip_checksum(uint8_t *ip) {
  if (ip[0] >> 4 == 6) return;
  memset(ip + 10, 0, 2);
  uint16_t sum = (uint16_t)~checksum_fold(checksum_add(0, ip, (ip[0] & 15u) * 4));
  memcpy(ip + 10, &sum, 2);
}
