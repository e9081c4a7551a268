import { Address, type Family } from "../base/address.js";
import { DropReason, type DropReasonOrOk } from "../base/drop.js";
import { readU16, readU32, writeU16 } from "./bytes.js";
import { addToSum, complement, isIntact, pseudoHeaderSum } from "./checksum.js";
import { type IpHeader, IpProtocol, ipHeaderLength } from "./ip.js";

/** The header of echo messages and errors, before the data or the quoted packet, in bytes. */
export const ICMP_HEADER_LENGTH = 8;

const CHECKSUM_OFFSET = 2;
const IDENTIFIER_OFFSET = 4;

/** RFC 792, RFC 4443 §4. */
const ECHO_REQUEST: Readonly<Record<Family, number>> = { 4: 8, 6: 128 };
const ECHO_REPLY: Readonly<Record<Family, number>> = { 4: 0, 6: 129 };

/** Bit of an ICMPv6 type that is set in all but errors (RFC 4443 §2.1). */
const ICMPV6_QUERY = 0x80;

/** The errors of ICMPv4 (RFC 792, RFC 1122 §3.2.2). */
const ICMPV4_ERRORS: ReadonlySet<number> = new Set([3, 4, 5, 11, 12]);

/** Type and code of an ICMP message. */
export interface IcmpCode {
  readonly type: number;
  readonly code: number;
}

/** An error, as type and code of each version. */
export type IcmpError = Readonly<Record<Family, IcmpCode>>;

/** RFC 792, RFC 1812 §5.2.7 for ICMP; RFC 4443 §3 for ICMPv6. */
export const IcmpError = {
  NetworkUnreachable: { 4: { type: 3, code: 0 }, 6: { type: 1, code: 0 } },
  HostUnreachable: { 4: { type: 3, code: 1 }, 6: { type: 1, code: 3 } },
  PortUnreachable: { 4: { type: 3, code: 3 }, 6: { type: 1, code: 4 } },
  Prohibited: { 4: { type: 3, code: 13 }, 6: { type: 1, code: 1 } },
  PacketTooBig: { 4: { type: 3, code: 4 }, 6: { type: 2, code: 0 } },
  HopLimitExceeded: { 4: { type: 11, code: 0 }, 6: { type: 3, code: 0 } },
  ReassemblyTimeExceeded: { 4: { type: 11, code: 1 }, 6: { type: 3, code: 1 } },
} as const satisfies Record<string, IcmpError>;

/** Largest packet with an error in bytes: it quotes as much as fits (RFC 1812 §4.3.2.3, RFC 4443 §2.4 (c)). */
const ERROR_PACKET_LIMIT: Readonly<Record<Family, number>> = { 4: 576, 6: 1280 };

export interface IcmpHeader {
  /** -1 when the packet is not ICMP. */
  icmpType: number;
  icmpCode: number;
  /** Of echo messages; in others, the bytes at the same offset. */
  identifier: number;
  sequence: number;
  payloadOffset: number;
  payloadLength: number;
}

/** The protocol number of a family's ICMP. */
export function icmpProtocol(family: Family): number {
  return family === 4 ? IpProtocol.Icmp : IpProtocol.Icmpv6;
}

/** Reads the ICMP header at the start of the payload of `ip`; does not verify the checksum. */
export function parseIcmp(bytes: Uint8Array, ip: IpHeader, header: IcmpHeader): DropReasonOrOk {
  const offset = ip.transportOffset;
  if (ip.transportLength < ICMP_HEADER_LENGTH) return DropReason.IcmpTruncated;
  header.icmpType = bytes[offset];
  header.icmpCode = bytes[offset + 1];
  header.identifier = readU16(bytes, offset + 4);
  header.sequence = readU16(bytes, offset + 6);
  header.payloadOffset = offset + ICMP_HEADER_LENGTH;
  header.payloadLength = ip.transportLength - ICMP_HEADER_LENGTH;
  return 0;
}

export function isEchoRequest(family: Family, type: number): boolean {
  return type === ECHO_REQUEST[family];
}

/** A router's report that a packet was too big for the next link. */
export interface TooBig {
  /** MTU of that link, in bytes. */
  readonly mtu: number;
  /** Of the TCP packet that was too big. */
  readonly source: Address;
  readonly destination: Address;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly sequence: number;
}

/** Bytes of TCP that every error quotes: source port, destination port and sequence number. */
const QUOTED_TCP = 8;

/** Parses a Packet Too Big about a TCP packet (RFC 1191 §4, RFC 4443 §3.2); null for any other message. */
export function parseTooBig(bytes: Uint8Array, ip: IpHeader, message: IcmpHeader): TooBig | null {
  const { family } = ip;
  const { type, code } = IcmpError.PacketTooBig[family];
  if (message.icmpType !== type || message.icmpCode !== code) return null;
  const { payloadOffset: quoted, payloadLength: length } = message;
  const isIpv4 = family === 4;
  if (length < ipHeaderLength(family) || bytes[quoted] >>> 4 !== family) return null;
  const header = isIpv4 ? (bytes[quoted] & 0xf) * 4 : ipHeaderLength(6);
  const protocol = bytes[quoted + (isIpv4 ? 9 : 6)];
  if (protocol !== IpProtocol.Tcp || length < header + QUOTED_TCP) return null;
  const [from, to] = isIpv4 ? [12, 16] : [8, 24];
  const tcp = quoted + header;
  const { transportOffset } = ip;
  return {
    mtu: isIpv4 ? readU16(bytes, transportOffset + 6) : readU32(bytes, transportOffset + 4),
    source: Address.read(bytes, quoted + from, family),
    destination: Address.read(bytes, quoted + to, family),
    sourcePort: readU16(bytes, tcp),
    destinationPort: readU16(bytes, tcp + 2),
    sequence: readU32(bytes, tcp + 4),
  };
}

/** Whether the message is an error. Errors are never sent about errors (RFC 1122 §3.2.2, RFC 4443 §2.4 (e)). */
export function isIcmpError(family: Family, type: number): boolean {
  return family === 4 ? ICMPV4_ERRORS.has(type) : (type & ICMPV6_QUERY) === 0;
}

/** Writes the header of an echo reply without its checksum and returns its length. */
export function emitEchoReply(
  bytes: Uint8Array,
  offset: number,
  family: Family,
  identifier: number,
  sequence: number,
): number {
  emitHeader(bytes, offset, ECHO_REPLY[family], 0);
  writeU16(bytes, offset + 4, identifier);
  writeU16(bytes, offset + 6, sequence);
  return ICMP_HEADER_LENGTH;
}

/**
 * Writes the header of an error without its checksum and returns its length.
 *
 * @param mtu of PacketTooBig: MTU of the next link in bytes; 0 in other errors
 */
export function emitIcmpError(
  bytes: Uint8Array,
  offset: number,
  family: Family,
  { type, code }: IcmpCode,
  mtu: number,
): number {
  emitHeader(bytes, offset, type, code);
  // RFC 1191 §4: the lower half in ICMP; RFC 4443 §3.2: the whole word in ICMPv6.
  writeU16(bytes, offset + 4, family === 4 ? 0 : mtu >>> 16);
  writeU16(bytes, offset + 6, mtu);
  return ICMP_HEADER_LENGTH;
}

/**
 * How many bytes of a packet an error about it quotes.
 *
 * @param packetLength from its IP header on, in bytes
 * @param ipHeaderLength of the packet that carries the error, in bytes
 */
export function quotedLength(family: Family, packetLength: number, ipHeaderLength: number): number {
  return Math.min(packetLength, ERROR_PACKET_LIMIT[family] - ipHeaderLength - ICMP_HEADER_LENGTH);
}

/**
 * Computes and writes the checksum of the message at `offset`. Its checksum field is 0 and its payload is
 * in place. ICMPv6 alone includes the addresses.
 *
 * @param length of header and payload
 */
export function writeIcmpChecksum(
  bytes: Uint8Array,
  offset: number,
  length: number,
  source: Address,
  destination: Address,
): void {
  const sum = addToSum(pseudoSum(source, destination, length), bytes, offset, length);
  writeU16(bytes, offset + CHECKSUM_OFFSET, complement(sum));
}

/**
 * Replaces the identifier of the echo message at `offset` and writes its checksum.
 *
 * @param length of header and payload
 */
export function rewriteEcho(
  bytes: Uint8Array,
  offset: number,
  length: number,
  identifier: number,
  source: Address,
  destination: Address,
): void {
  writeU16(bytes, offset + CHECKSUM_OFFSET, 0);
  writeU16(bytes, offset + IDENTIFIER_OFFSET, identifier);
  writeIcmpChecksum(bytes, offset, length, source, destination);
}

/** Whether the checksum of a parsed message is right. */
export function icmpChecksumIsRight(bytes: Uint8Array, ip: IpHeader): boolean {
  const pseudo = pseudoSum(ip.source, ip.destination, ip.transportLength);
  return isIntact(addToSum(pseudo, bytes, ip.transportOffset, ip.transportLength));
}

function pseudoSum(source: Address, destination: Address, length: number): number {
  if (source.family === 4) return 0;
  return pseudoHeaderSum(source, destination, IpProtocol.Icmpv6, length);
}

function emitHeader(bytes: Uint8Array, offset: number, type: number, code: number): void {
  bytes[offset] = type;
  bytes[offset + 1] = code;
  writeU16(bytes, offset + CHECKSUM_OFFSET, 0);
}
