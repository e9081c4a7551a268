/*
 * IP packets as they are in a frame or a tunnel: their headers found and checked, fields changed
 * with the checksum kept right. Takes every byte for hostile.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define PACKET_UDP_SIZE 8

struct packet {
  uint8_t *ip;
  uint32_t length;    /* bytes of the packet; what is behind it is padding */
  uint32_t transport; /* offset of the transport header in the packet */
  uint8_t protocol;   /* of that header; PACKET_OPAQUE when it cannot be known */
  bool v6;
  bool plain; /* neither options nor extension headers */
};

/* A fragment, or an extension header that is broken or not walked. */
#define PACKET_OPAQUE 255

/*
 * Reads the packet at `ip` of at most `available` bytes. 0, or ABI_REFUSED_IP_HEADER. The IPv4
 * header's checksum is not looked at.
 */
int32_t packet_parse(struct packet *packet, uint8_t *ip, uint32_t available);
bool packet_has_good_ip_checksum(const struct packet *packet);

/*
 * Bytes of the TCP or UDP header; 0 for another protocol, and for a header that is malformed or
 * leaves the packet.
 */
uint32_t packet_transport_size(const struct packet *packet);
/* Where the checksum field is in that header. */
uint32_t packet_checksum_offset(const struct packet *packet);
/*
 * The sum of the pseudo header of a segment of `length` bytes (RFC 9293 §3.1, RFC 768, RFC 8200
 * §8.1); folded.
 */
uint32_t packet_pseudo_sum(const struct packet *packet, uint32_t length);

/* DSCP and ECN: TOS, or the traffic class. */
uint8_t packet_class(const uint8_t *ip);
void packet_set_class(uint8_t *ip, uint8_t value);
/* TTL, or hop limit. */
uint8_t packet_hops(const uint8_t *ip);
void packet_age(uint8_t *ip);
/* Writes the length of a packet of `length` bytes, and no checksum. */
void packet_set_length(uint8_t *ip, uint32_t length);
/* Writes the IPv4 header's checksum; nothing for IPv6. */
void packet_set_ip_checksum(uint8_t *ip);
