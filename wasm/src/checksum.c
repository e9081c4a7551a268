#include "checksum.h"

#include <string.h>

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

uint16_t checksum_fold(uint32_t sum) {
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return (uint16_t)sum;
}
