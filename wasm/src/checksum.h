/* The Internet checksum (RFC 1071), summed little-endian; swap-free because it commutes. */
#pragma once
#include <stdint.h>

/* Adds `length` bytes, the first of them at an even position. */
uint32_t checksum_add(uint32_t sum, const void *bytes, uint32_t length);
uint16_t checksum_fold(uint32_t sum);
