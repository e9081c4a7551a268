/*
 * The Internet checksum (RFC 1071). Sums are of little-endian words: the sum commutes with swapping
 * the bytes of every word, so that it is right in memory order without any swap.
 */
#pragma once
#include <stdint.h>

#include "lwip/ip_addr.h"

/* Adds `length` bytes, the first of them at an even position; the result is folded to 16 bits. */
uint32_t checksum_add(uint32_t sum, const void *bytes, uint32_t length);
/* TCP's pseudo header (RFC 9293 §3.1) of a segment of `length` bytes; not folded. */
uint32_t checksum_pseudo_header(const ip_addr_t *a, const ip_addr_t *b, uint32_t length);
uint16_t checksum_fold(uint32_t sum);
