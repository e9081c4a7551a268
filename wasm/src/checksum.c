#include "checksum.h"

#include <string.h>

#include "lwip/prot/ip.h"

uint32_t checksum_add(uint32_t sum, const void *bytes, uint32_t length) {
  const uint8_t *at = bytes;
  uint64_t wide = sum;
  for (; length >= 4; length -= 4, at += 4) {
    uint32_t word;
    memcpy(&word, at, 4);
    wide += word;
  }
  if (length >= 2) {
    uint16_t half;
    memcpy(&half, at, 2);
    wide += half;
    at += 2;
  }
  if (length & 1) wide += *at;
  wide = (wide & 0xffffffff) + (wide >> 32);
  wide = (wide & 0xffffffff) + (wide >> 32);
  return checksum_fold((uint32_t)wide);
}

uint32_t checksum_pseudo_header(const ip_addr_t *a, const ip_addr_t *b, uint32_t length) {
  uint32_t size = IP_IS_V6(a) ? 16 : 4;
  uint32_t sum = checksum_add(0, a, size);
  return checksum_add(sum, b, size) + (IP_PROTO_TCP << 8) + lwip_htons((uint16_t)length);
}

uint16_t checksum_fold(uint32_t sum) {
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return (uint16_t)sum;
}
