import type { Address } from "../base/address.js";
import { isMulticastMac } from "../base/mac.js";
import { ETHERNET_HEADER_LENGTH, emitEthernet } from "./ethernet.js";
import type { Frame } from "./frame.js";
import {
  emitIcmpError,
  ICMP_HEADER_LENGTH,
  type IcmpCode,
  icmpProtocol,
  isIcmpError,
  quotedLength,
  writeIcmpChecksum,
} from "./icmp.js";
import { DSCP_MASK, emitIp, type IpFields, ipHeaderLength } from "./ip.js";

/** Hop limit of Slipway's own packets (the default that RFC 1700 recommends). */
export const DEFAULT_HOP_LIMIT = 64;

/** Details of an ICMP error beside its code. */
export interface ErrorDetail {
  /** See emitIcmpError. */
  readonly mtu: number;
  readonly hopLimit: number;
}

const NO_DETAIL: ErrorDetail = { mtu: 0, hopLimit: DEFAULT_HOP_LIMIT };

/**
 * Writes the Ethernet and IP headers of an answer to `frame` and returns their length. The traffic class is
 * that of the frame (RFC 1812 §4.3.2.5).
 *
 * @param source the answer's source address, of the frame's family
 */
export function emitReplyHeaders(
  bytes: Uint8Array,
  offset: number,
  frame: Frame,
  { source, protocol, hopLimit }: Pick<IpFields, "source" | "protocol" | "hopLimit">,
  payloadLength: number,
): number {
  emitEthernet(bytes, offset, frame.sourceMac, frame.destinationMac, frame.etherType);
  const trafficClass = frame.trafficClass & DSCP_MASK;
  const fields = { source, destination: frame.source, protocol, hopLimit, trafficClass };
  const ipLength = emitIp(bytes, offset + ETHERNET_HEADER_LENGTH, fields, payloadLength);
  return ETHERNET_HEADER_LENGTH + ipLength;
}

/** Whether an error about the packet may be sent: RFC 1122 §3.2.2, RFC 4443 §2.4 (e). */
export function mayCauseIcmpError(frame: Frame): boolean {
  if (frame.fragmentOffset > 0 || frame.source.isUnspecified) return false;
  if (frame.destination.isMulticast || frame.destination.isBroadcast) return false;
  if (isMulticastMac(frame.destinationMac)) return false;
  return frame.icmpType < 0 || !isIcmpError(frame.family, frame.icmpType);
}

/** Length of the frame that emitIcmpErrorFrame writes, in bytes. */
export function icmpErrorFrameLength(frame: Frame): number {
  const headers = ipHeaderLength(frame.family);
  const quoted = quotedLength(frame.family, frame.packetLength, headers);
  return ETHERNET_HEADER_LENGTH + headers + ICMP_HEADER_LENGTH + quoted;
}

/**
 * Writes an Ethernet frame with an ICMP error about `frame`, which it quotes, and returns its length. Call
 * it only if mayCauseIcmpError(frame).
 *
 * @param from source address of the error: the packet's destination, or the router
 */
export function emitIcmpErrorFrame(
  bytes: Uint8Array,
  offset: number,
  frame: Frame,
  error: IcmpCode,
  from: Address,
  { mtu, hopLimit }: ErrorDetail = NO_DETAIL,
): number {
  const { family } = frame;
  const quoted = quotedLength(family, frame.packetLength, ipHeaderLength(family));
  const length = ICMP_HEADER_LENGTH + quoted;
  const fields = { source: from, protocol: icmpProtocol(family), hopLimit };
  const message = offset + emitReplyHeaders(bytes, offset, frame, fields, length);
  const quote = message + emitIcmpError(bytes, message, family, error, mtu);
  copyBytes(frame.bytes, frame.ipOffset, bytes, quote, quoted);
  writeIcmpChecksum(bytes, message, length, from, frame.source);
  return message + length - offset;
}

/** Copies bytes without allocating a view. The ranges must not overlap. */
export function copyBytes(
  source: Uint8Array,
  sourceOffset: number,
  target: Uint8Array,
  targetOffset: number,
  length: number,
): void {
  for (let at = 0; at < length; at += 1) target[targetOffset + at] = source[sourceOffset + at];
}
