import type { Address, AddressCache, Family } from "../base/address.js";
import { DropReason, type DropReasonOrOk } from "../base/drop.js";
import { readU16, writeU16 } from "./bytes.js";
import { addToSum, complement, isIntact } from "./checksum.js";
import { checkFragment, type FragmentFields } from "./fragment.js";
import {
  Extension,
  emitFragmentHeader,
  FRAGMENT_HEADER_LENGTH,
  walkExtensions,
} from "./ipv6-extensions.js";

export const IPV4_HEADER_LENGTH = 20;
export const IPV6_HEADER_LENGTH = 40;
/** The DSCP bits of a traffic class: all but ECN. */
export const DSCP_MASK = 0xfc;
/** Offsets in the headers. */
export const IPV4_SOURCE = 12;
export const IPV4_DESTINATION = 16;
export const IPV6_NEXT_HEADER = 6;
export const IPV6_SOURCE = 8;

/** Protocol numbers (IANA) that Slipway handles. */
export const IpProtocol = { Icmp: 1, Tcp: 6, Udp: 17, Icmpv6: 58 } as const;

const DONT_FRAGMENT = 0x4000;
const MORE_FRAGMENTS = 0x2000;
const FRAGMENT_OFFSET = 0x1fff;

/** Types of the options of IPv4 (RFC 791 §3.1). */
const Ipv4Option = {
  End: 0,
  NoOperation: 1,
  LooseSourceRoute: 131,
  StrictSourceRoute: 137,
} as const;
const SHORTEST_IPV4_OPTION = 2;

/** Fields of an IP header of either version, read or written. */
export interface IpFields {
  source: Address;
  destination: Address;
  /** Protocol number of the payload, after all extension headers; in a fragment, after the fragment header. */
  protocol: number;
  /** TTL or hop limit. */
  hopLimit: number;
  /** TOS or traffic class: DSCP and ECN. */
  trafficClass: number;
}

/** A parsed IP header. Offsets are from the start of the byte array. */
export interface IpHeader extends IpFields, FragmentFields {
  family: Family;
  ipOffset: number;
  /** DF. In IPv6, where only the sender fragments: whether there is no fragment header. */
  dontFragment: boolean;
  /** Offset of the payload: in an unfragmented packet, of the transport header. */
  transportOffset: number;
  /** Length by the IP header, without Ethernet padding, in bytes. */
  transportLength: number;
}

/** Caches for a parser's addresses: two, so that the ends of a flow do not evict each other. */
export interface AddressCaches {
  readonly source: AddressCache;
  readonly destination: AddressCache;
}

/** Reads the IPv4 packet in `offset..end` into `header`. */
export function parseIpv4(
  bytes: Uint8Array,
  offset: number,
  end: number,
  header: IpHeader,
  caches: AddressCaches,
): DropReasonOrOk {
  if (end - offset < IPV4_HEADER_LENGTH) return DropReason.IpTruncated;
  if (bytes[offset] >>> 4 !== 4) return DropReason.IpBadVersion;
  const headerLength = (bytes[offset] & 0xf) * 4;
  if (headerLength < IPV4_HEADER_LENGTH) return DropReason.IpBadHeaderLength;
  const totalLength = readU16(bytes, offset + 2);
  if (totalLength < headerLength) return DropReason.IpBadLength;
  if (totalLength > end - offset) return DropReason.IpTruncated;
  if (!isIntact(addToSum(0, bytes, offset, headerLength))) return DropReason.IpBadChecksum;
  header.family = 4;
  header.ipOffset = offset;
  header.trafficClass = bytes[offset + 1];
  header.hopLimit = bytes[offset + 8];
  header.protocol = bytes[offset + 9];
  header.source = caches.source.at(bytes, offset + IPV4_SOURCE, 4);
  header.destination = caches.destination.at(bytes, offset + 16, 4);
  header.transportOffset = offset + headerLength;
  header.transportLength = totalLength - headerLength;
  const fragment = readU16(bytes, offset + 6);
  header.identification = readU16(bytes, offset + 4);
  header.fragmentOffset = (fragment & FRAGMENT_OFFSET) * 8;
  header.moreFragments = (fragment & MORE_FRAGMENTS) !== 0;
  header.dontFragment = (fragment & DONT_FRAGMENT) !== 0;
  return (
    checkIpv4Options(bytes, offset + IPV4_HEADER_LENGTH, header.transportOffset) ||
    checkIpv4Addresses(header.source, header.destination) ||
    checkFragment(header)
  );
}

/** Reads the IPv6 packet in `offset..end` into `header`, walking its extension headers. */
export function parseIpv6(
  bytes: Uint8Array,
  offset: number,
  end: number,
  header: IpHeader,
  caches: AddressCaches,
): DropReasonOrOk {
  if (end - offset < IPV6_HEADER_LENGTH) return DropReason.IpTruncated;
  if (bytes[offset] >>> 4 !== 6) return DropReason.IpBadVersion;
  const payloadLength = readU16(bytes, offset + 4);
  if (payloadLength > end - offset - IPV6_HEADER_LENGTH) return DropReason.IpTruncated;
  header.family = 6;
  header.ipOffset = offset;
  header.trafficClass = (readU16(bytes, offset) >>> 4) & 0xff;
  header.protocol = bytes[offset + IPV6_NEXT_HEADER];
  header.hopLimit = bytes[offset + 7];
  header.source = caches.source.at(bytes, offset + IPV6_SOURCE, 6);
  header.destination = caches.destination.at(bytes, offset + 24, 6);
  header.identification = 0;
  header.fragmentOffset = 0;
  header.moreFragments = false;
  header.dontFragment = true;
  header.transportOffset = offset + IPV6_HEADER_LENGTH;
  header.transportLength = payloadLength;
  return (
    checkIpv6Addresses(header.source, header.destination) ||
    walkExtensions(bytes, header) ||
    checkFragment(header)
  );
}

/**
 * Writes an IP header of the addresses' family and returns its length. IPv4 packets go out with DF
 * and identification 0 (RFC 6864 §4.1: atomic datagrams need no other).
 */
export function emitIp(
  bytes: Uint8Array,
  offset: number,
  fields: Readonly<IpFields>,
  payloadLength: number,
): number {
  if (fields.source.family === 6) {
    emitIpv6(bytes, offset, fields, fields.protocol, payloadLength);
    return IPV6_HEADER_LENGTH;
  }
  emitIpv4(bytes, offset, fields, payloadLength);
  finishIpv4(bytes, offset, 0, DONT_FRAGMENT);
  return IPV4_HEADER_LENGTH;
}

/**
 * Writes the IP header of a fragment and returns its length; in IPv6 that includes the fragment
 * header. Offset 0 without more fragments is a whole datagram that may be fragmented.
 *
 * @param payloadLength of this fragment
 */
export function emitIpFragment(
  bytes: Uint8Array,
  offset: number,
  fields: Readonly<IpFields>,
  payloadLength: number,
  part: Readonly<FragmentFields>,
): number {
  if (fields.source.family === 6) {
    const length = payloadLength + FRAGMENT_HEADER_LENGTH;
    emitIpv6(bytes, offset, fields, Extension.Fragment, length);
    const header = offset + IPV6_HEADER_LENGTH;
    return IPV6_HEADER_LENGTH + emitFragmentHeader(bytes, header, fields.protocol, part);
  }
  const { identification, fragmentOffset, moreFragments } = part;
  emitIpv4(bytes, offset, fields, payloadLength);
  const fragment = (fragmentOffset >>> 3) | (moreFragments ? MORE_FRAGMENTS : 0);
  finishIpv4(bytes, offset, identification, fragment);
  return IPV4_HEADER_LENGTH;
}

/** @param nextHeader the protocol, or that of the extension header that follows */
function emitIpv6(
  bytes: Uint8Array,
  offset: number,
  { source, destination, hopLimit, trafficClass }: Readonly<IpFields>,
  nextHeader: number,
  payloadLength: number,
): void {
  writeU16(bytes, offset, 0x6000 | (trafficClass << 4));
  writeU16(bytes, offset + 2, 0);
  writeU16(bytes, offset + 4, payloadLength);
  bytes[offset + IPV6_NEXT_HEADER] = nextHeader;
  bytes[offset + 7] = hopLimit;
  source.write(bytes, offset + IPV6_SOURCE);
  destination.write(bytes, offset + 24);
}

/** Writes the fields that finishIpv4 does not. */
function emitIpv4(
  bytes: Uint8Array,
  offset: number,
  { source, destination, protocol, hopLimit, trafficClass }: Readonly<IpFields>,
  payloadLength: number,
): void {
  bytes[offset] = 0x45;
  bytes[offset + 1] = trafficClass;
  writeU16(bytes, offset + 2, IPV4_HEADER_LENGTH + payloadLength);
  bytes[offset + 8] = hopLimit;
  bytes[offset + 9] = protocol;
  source.write(bytes, offset + IPV4_SOURCE);
  destination.write(bytes, offset + 16);
}

/** Writes identification, flags, offset and checksum. @param fragment flags and offset as in the header */
function finishIpv4(
  bytes: Uint8Array,
  offset: number,
  identification: number,
  fragment: number,
): void {
  writeU16(bytes, offset + 4, identification);
  writeU16(bytes, offset + 6, fragment);
  writeU16(bytes, offset + 10, 0);
  writeU16(bytes, offset + 10, complement(addToSum(0, bytes, offset, IPV4_HEADER_LENGTH)));
}

/** How many bytes emitIp writes. */
export function ipHeaderLength(family: Family): number {
  return family === 4 ? IPV4_HEADER_LENGTH : IPV6_HEADER_LENGTH;
}

/** How many bytes emitIpFragment writes. */
export function ipFragmentHeaderLength(family: Family): number {
  return family === 4 ? IPV4_HEADER_LENGTH : IPV6_HEADER_LENGTH + FRAGMENT_HEADER_LENGTH;
}

/** Skips options, except source routes: RFC 7126 §4.3, §4.4 recommends dropping them. */
function checkIpv4Options(bytes: Uint8Array, offset: number, end: number): DropReasonOrOk {
  let at = offset;
  while (at < end) {
    const type = bytes[at];
    if (type === Ipv4Option.End) return 0;
    if (type === Ipv4Option.NoOperation) {
      at += 1;
      continue;
    }
    if (type === Ipv4Option.LooseSourceRoute || type === Ipv4Option.StrictSourceRoute) {
      return DropReason.IpSourceRoute;
    }
    const length = at + 1 < end ? bytes[at + 1] : 0;
    if (length < SHORTEST_IPV4_OPTION || length > end - at) return DropReason.IpBadOption;
    at += length;
  }
  return 0;
}

/** RFC 1122 §3.2.1.3. The source 0.0.0.0 is allowed: DHCP clients use it. */
function checkIpv4Addresses(source: Address, destination: Address): DropReasonOrOk {
  if (source.isMulticast || source.isBroadcast || source.isLoopback) return DropReason.IpBadSource;
  if (destination.isUnspecified || destination.isLoopback) return DropReason.IpBadDestination;
  return 0;
}

/** RFC 4291 §2.5.2, §2.5.3, §2.7. The source :: is allowed: duplicate address detection uses it. */
function checkIpv6Addresses(source: Address, destination: Address): DropReasonOrOk {
  if (source.isMulticast || source.isLoopback || embedsIpv4(source)) return DropReason.IpBadSource;
  if (destination.isUnspecified || destination.isLoopback || embedsIpv4(destination)) {
    return DropReason.IpBadDestination;
  }
  return isConfinedMulticast(destination) ? DropReason.IpBadDestination : 0;
}

/**
 * An IPv4-mapped address read from the wire would pass for IPv4 in every table; IPv4-compatible addresses
 * (::a.b.c.d) are deprecated (RFC 4291 §2.5.5.1). Neither is valid in an IPv6 packet.
 */
function embedsIpv4(address: Address): boolean {
  if (address.family === 4) return true;
  return (address.w0 | address.w1 | address.w2) === 0 && address.w3 > 1;
}

/** Multicast of scope 0 (reserved) or 1 (interface-local) never crosses a link (RFC 4291 §2.7). */
function isConfinedMulticast(address: Address): boolean {
  return address.isMulticast && ((address.w0 >>> 16) & 0xf) <= 1;
}
