import type { Address } from "../base/address.js";
import { DropReason, type DropReasonOrOk } from "../base/drop.js";
import { readU16, writeU16 } from "./bytes.js";
import { addToSum, complement, isIntact, pseudoHeaderSum } from "./checksum.js";
import { type IpHeader, IpProtocol } from "./ip.js";

export const UDP_HEADER_LENGTH = 8;

/** Offset of the checksum in the header: csum_offset of the vnet header. */
export const UDP_CHECKSUM_OFFSET = 6;

export interface UdpHeader {
  sourcePort: number;
  destinationPort: number;
  payloadOffset: number;
  payloadLength: number;
}

/**
 * Reads the UDP header at the start of the payload of `ip` into `header`. The checksum is not verified, as
 * it is mostly partial in frames of a guest; but IPv6 must have one (RFC 8200 §8.1).
 */
export function parseUdp(bytes: Uint8Array, ip: IpHeader, header: UdpHeader): DropReasonOrOk {
  const offset = ip.transportOffset;
  if (ip.transportLength < UDP_HEADER_LENGTH) return DropReason.UdpTruncated;
  const length = readU16(bytes, offset + 4);
  if (length < UDP_HEADER_LENGTH) return DropReason.UdpBadLength;
  if (length > ip.transportLength) return DropReason.UdpBadLength;
  const checksum = readU16(bytes, offset + UDP_CHECKSUM_OFFSET);
  if (checksum === 0 && ip.family === 6) return DropReason.UdpBadChecksum;
  header.sourcePort = readU16(bytes, offset);
  header.destinationPort = readU16(bytes, offset + 2);
  header.payloadOffset = offset + UDP_HEADER_LENGTH;
  header.payloadLength = length - UDP_HEADER_LENGTH;
  return header.destinationPort === 0 ? DropReason.UdpBadPort : 0;
}

/**
 * Writes a UDP header and returns its length.
 *
 * @param checksum pseudoHeaderSum when the kernel completes it; 0 when writeUdpChecksum follows
 */
export function emitUdp(
  bytes: Uint8Array,
  offset: number,
  sourcePort: number,
  destinationPort: number,
  payloadLength: number,
  checksum: number,
): number {
  writeU16(bytes, offset, sourcePort);
  writeU16(bytes, offset + 2, destinationPort);
  writeU16(bytes, offset + 4, UDP_HEADER_LENGTH + payloadLength);
  writeU16(bytes, offset + UDP_CHECKSUM_OFFSET, checksum);
  return UDP_HEADER_LENGTH;
}

/**
 * Computes and writes the checksum of the datagram at `offset`. Its checksum field is 0 and its payload is in
 * place.
 *
 * @param length of header and payload
 */
export function writeUdpChecksum(
  bytes: Uint8Array,
  offset: number,
  length: number,
  source: Address,
  destination: Address,
): void {
  const payload = offset + UDP_HEADER_LENGTH;
  const payloadLength = length - UDP_HEADER_LENGTH;
  writeUdpChecksumApart(bytes, offset, payload, payloadLength, source, destination);
}

/** Same as writeUdpChecksum, for a payload that is not right after its header. */
export function writeUdpChecksumApart(
  bytes: Uint8Array,
  offset: number,
  payload: number,
  payloadLength: number,
  source: Address,
  destination: Address,
): void {
  const length = UDP_HEADER_LENGTH + payloadLength;
  const pseudo = pseudoHeaderSum(source, destination, IpProtocol.Udp, length);
  const header = addToSum(pseudo, bytes, offset, UDP_HEADER_LENGTH);
  const checksum = complement(addToSum(header, bytes, payload, payloadLength));
  // RFC 768: zero means no checksum; a computed zero is sent as all ones.
  writeU16(bytes, offset + UDP_CHECKSUM_OFFSET, checksum === 0 ? 0xffff : checksum);
}

/** Whether the checksum of a parsed datagram is right, or 0, which means none (RFC 768). */
export function udpChecksumIsRight(bytes: Uint8Array, ip: IpHeader): boolean {
  const { source, destination, transportOffset, transportLength } = ip;
  if (readU16(bytes, transportOffset + UDP_CHECKSUM_OFFSET) === 0) return true;
  const length = readU16(bytes, transportOffset + 4);
  const pseudo = pseudoHeaderSum(source, destination, IpProtocol.Udp, length);
  return length <= transportLength && isIntact(addToSum(pseudo, bytes, transportOffset, length));
}
