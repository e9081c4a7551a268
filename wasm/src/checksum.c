#include "checksum.h"

#include <string.h>

#include "lwip/prot/ip.h"

#ifdef __wasm_simd128__
#include <wasm_simd128.h>

/* So that no lane overflows: a step of 32 bytes adds at most 2^17 to one. */
#define BLOCK (32u << 13)

/*
 * The sum of `length` bytes, a multiple of 32 and at most BLOCK. One instruction multiplies signed
 * words of 16 bits and adds neighbours. Words are signed once their highest bit is flipped, which
 * makes each smaller by 2^15.
 */
static uint64_t sum_block(const uint8_t *at, uint32_t length) {
  const v128_t ones = wasm_i16x8_splat(1), flip = wasm_i16x8_splat((int16_t)0x8000);
  v128_t even = wasm_i32x4_splat(0), odd = even;
  for (const uint8_t *end = at + length; at < end; at += 32) {
    v128_t first = wasm_v128_xor(wasm_v128_load(at), flip);
    v128_t second = wasm_v128_xor(wasm_v128_load(at + 16), flip);
    even = wasm_i32x4_add(even, wasm_i32x4_dot_i16x8(first, ones));
    odd = wasm_i32x4_add(odd, wasm_i32x4_dot_i16x8(second, ones));
  }
  v128_t all = wasm_i64x2_add(
      wasm_i64x2_add(wasm_i64x2_extend_low_i32x4(even), wasm_i64x2_extend_high_i32x4(even)),
      wasm_i64x2_add(wasm_i64x2_extend_low_i32x4(odd), wasm_i64x2_extend_high_i32x4(odd)));
  int64_t sum = wasm_i64x2_extract_lane(all, 0) + wasm_i64x2_extract_lane(all, 1);
  return (uint64_t)(sum + (int64_t)(length / 2) * 0x8000);
}
#endif

uint32_t checksum_add(uint32_t sum, const void *bytes, uint32_t length) {
  const uint8_t *at = bytes;
  uint64_t wide = sum;
#ifdef __wasm_simd128__
  while (length >= 64) {
    uint32_t block = length < BLOCK ? length & ~31u : BLOCK;
    wide += sum_block(at, block);
    at += block;
    length -= block;
  }
#endif
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
