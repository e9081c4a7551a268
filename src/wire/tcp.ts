import type { Address } from "../base/address.js";
import { writeU16 } from "./bytes.js";
import { addToSum, complement, pseudoHeaderSum } from "./checksum.js";
import { IpProtocol } from "./ip.js";

/** Header without options, in bytes. */
export const TCP_HEADER_LENGTH = 20;

const CHECKSUM_OFFSET = 16;
const ACK = 0x10;

/**
 * Writes the TCP header of an empty ACK: sequence number, acknowledgment number and window are 0. The stack
 * makes all other TCP.
 *
 * @returns its length
 */
export function emitBareAck(
  bytes: Uint8Array,
  offset: number,
  source: Address,
  sourcePort: number,
  destination: Address,
  destinationPort: number,
): number {
  bytes.fill(0, offset, offset + TCP_HEADER_LENGTH);
  writeU16(bytes, offset, sourcePort);
  writeU16(bytes, offset + 2, destinationPort);
  bytes[offset + 12] = (TCP_HEADER_LENGTH / 4) << 4;
  bytes[offset + 13] = ACK;
  const pseudo = pseudoHeaderSum(source, destination, IpProtocol.Tcp, TCP_HEADER_LENGTH);
  const sum = addToSum(pseudo, bytes, offset, TCP_HEADER_LENGTH);
  writeU16(bytes, offset + CHECKSUM_OFFSET, complement(sum));
  return TCP_HEADER_LENGTH;
}
