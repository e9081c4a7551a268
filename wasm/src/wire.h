/* Fields of the headers in front of a TCP segment, and of its own. */
#pragma once
#include <stdint.h>

#include "abi.h"
#include "lwip/prot/ip.h"
#include "lwip/prot/ip4.h"
#include "lwip/prot/ip6.h"

#define ETHERNET_SIZE 14
#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_IPV6 0x86dd
/* Offset of the IP header in a receive buffer. */
#define FRAME_HEADER (ABI_VNET_HEADER_SIZE + ETHERNET_SIZE)

#define TCP_SIZE 20 /* without options */
#define TCP_FLAG_FIN 0x01
#define TCP_FLAG_SYN 0x02
#define TCP_FLAG_RST 0x04
#define TCP_FLAG_PSH 0x08
#define TCP_FLAG_ACK 0x10
#define TCP_FLAG_URG 0x20
#define TCP_FLAG_CWR 0x80

/* virtio_net_hdr, virtio 1.2 §5.1.6 */
#define VNET_NEEDS_CSUM 1
#define VNET_DATA_VALID 2
#define VNET_GSO_NONE 0
#define VNET_GSO_TCPV4 1
#define VNET_GSO_TCPV6 4
#define VNET_GSO_UDP_L4 5
#define VNET_GSO_ECN 0x80 /* ORed: CWR is for the first segment */

static inline uint16_t load16(const uint8_t *at) { return (uint16_t)(at[0] << 8 | at[1]); }
static inline uint32_t load32(const uint8_t *at) {
  return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}
static inline void store16(uint8_t *at, uint16_t value) {
  at[0] = (uint8_t)(value >> 8);
  at[1] = (uint8_t)value;
}

/* Bytes of the IP header at `ip`; of IPv6 without extension headers. */
static inline uint32_t ip_header_size(const uint8_t *ip) {
  return ip[0] >> 4 == 6 ? IP6_HLEN : (ip[0] & 15u) * 4;
}

/* Bytes of the TCP header at `tcp`, with its options. */
static inline uint32_t tcp_header_size(const uint8_t *tcp) { return (tcp[12] >> 4) * 4u; }
