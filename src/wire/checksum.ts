import type { Address } from "../base/address.js";

/**
 * Adds bytes to a ones' complement sum (RFC 1071) and returns it folded to 16 bits. The pieces of a
 * message may be added one after another.
 *
 * @param sum 0, or what an earlier call returned
 * @param length at most 128 KiB
 * @param position 1 when an odd number of the message's bytes precedes these; otherwise 0
 */
export function addToSum(
  sum: number,
  bytes: Uint8Array,
  offset: number,
  length: number,
  position: 0 | 1 = 0,
): number {
  // Even and odd bytes are summed apart: both sums stay small integers for any frame (64 Ki of 255
  // are 2^24), and the shift is done once.
  let even = 0;
  let odd = 0;
  const end = offset + length;
  const pairsEnd = end - (length & 1);
  let at = offset;
  for (; at < pairsEnd; at += 2) {
    even += bytes[at];
    odd += bytes[at + 1];
  }
  if (at < end) even += bytes[at];
  return position === 0 ? fold(sum + even * 256 + odd) : fold(sum + odd * 256 + even);
}

/**
 * The sum over the pseudo-header of UDP, TCP and ICMPv6 (RFC 768, RFC 9293 §3.1, RFC 8200 §8.1),
 * folded to 16 bits and not inverted. That is what a checksum field holds when the kernel is to complete
 * the checksum (VNET_NEEDS_CHECKSUM).
 *
 * @param length of the transport header and its payload, in bytes
 */
export function pseudoHeaderSum(
  source: Address,
  destination: Address,
  protocol: number,
  length: number,
): number {
  return fold(addressSum(source) + addressSum(destination) + protocol + length);
}

/** The checksum of a message with this folded sum. */
export function complement(sum: number): number {
  return ~sum & 0xffff;
}

/** Whether a message is intact. @param sum folded, over the message and its checksum */
export function isIntact(sum: number): boolean {
  return sum === 0xffff;
}

function addressSum(address: Address): number {
  const low = wordSum(address.w3);
  if (address.family === 4) return low;
  return wordSum(address.w0) + wordSum(address.w1) + wordSum(address.w2) + low;
}

function wordSum(word: number): number {
  return (word >>> 16) + (word & 0xffff);
}

function fold(sum: number): number {
  const once = (sum >>> 16) + (sum & 0xffff);
  return (once >>> 16) + (once & 0xffff);
}
