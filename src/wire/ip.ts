import type { Address, AddressCache, Family } from "../base/address.js";
import { DropReason, type DropReasonOrOk } from "../base/drop.js";
import { readU16, writeU16 } from "./bytes.js";
import { addToSum, complement, isIntact } from "./checksum.js";

export const IPV4_HEADER_LENGTH = 20;
export const IPV6_HEADER_LENGTH = 40;
/** Of a traffic class: all but its ECN bits. */
export const DSCP_MASK = 0xfc;
/** Offsets in the headers. */
export const IPV4_SOURCE = 12;
export const IPV6_NEXT_HEADER = 6;
export const IPV6_SOURCE = 8;
const FRAGMENT_HEADER_LENGTH = 8;

/** Protocol numbers (IANA) that we act on. */
export const IpProtocol = { Icmp: 1, Tcp: 6, Udp: 17, Icmpv6: 58 } as const;

/** Next-header values that are extension headers (RFC 8200 §4). */
const Extension = { HopByHop: 0, Routing: 43, Fragment: 44, DestinationOptions: 60 } as const;

/**
 * How many extension headers we walk. RFC 8200 §4.1 recommends at most six of these kinds; whoever
 * sends more wants to keep us busy (RFC 8504 §5.3 allows a limit).
 */
const MAX_EXTENSIONS = 8;

/** A datagram reassembled from fragments has no more bytes behind its header. */
const MAX_PAYLOAD = 0xffff;

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

/** Type of the one option of IPv6 that has no length (RFC 8200 §4.2). */
const IPV6_PAD1 = 0;

/** What an IP header says, of either version, whether it is read or written. */
export interface IpFields {
  source: Address;
  destination: Address;
  /** The protocol of the payload, behind all extension headers; of a fragment: behind its header. */
  protocol: number;
  /** TTL or hop limit. */
  hopLimit: number;
  /** TOS or traffic class: DSCP and ECN. */
  trafficClass: number;
}

/** What part of which datagram a packet is. */
export interface FragmentFields {
  /** 16 bits in IPv4, 32 in IPv6 (0 without a fragment header). */
  identification: number;
  /** In bytes, a multiple of 8. */
  fragmentOffset: number;
  moreFragments: boolean;
}

/** What was read of an IP header. Offsets count from the start of the byte array. */
export interface IpHeader extends IpFields, FragmentFields {
  family: Family;
  ipOffset: number;
  /** DF; in IPv6, where only the sender fragments: whether there is no fragment header. */
  dontFragment: boolean;
  /** Where the payload starts: for an unfragmented packet the transport header. */
  transportOffset: number;
  /** Length by the IP header, without Ethernet padding. */
  transportLength: number;
}

/** Caches through which a parser makes addresses; apart, so that no flow's two ends collide. */
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
 * and identification 0 (RFC 6864 §4.1: an atomic datagram needs none).
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
  const { identification, fragmentOffset, moreFragments } = part;
  if (fields.source.family === 6) {
    const length = payloadLength + FRAGMENT_HEADER_LENGTH;
    emitIpv6(bytes, offset, fields, Extension.Fragment, length);
    const header = offset + IPV6_HEADER_LENGTH;
    bytes[header] = fields.protocol;
    bytes[header + 1] = 0;
    writeU16(bytes, header + 2, fragmentOffset | (moreFragments ? 1 : 0));
    writeU16(bytes, header + 4, identification >>> 16);
    writeU16(bytes, header + 6, identification);
    return IPV6_HEADER_LENGTH + FRAGMENT_HEADER_LENGTH;
  }
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

/** All but what finishIpv4 writes. */
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

/** @param fragment flags and offset as they stand in the header */
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

/** Options are skipped, but for source routes: RFC 7126 §4.3, §4.4 has them dropped. */
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

/** RFC 1122 §3.2.1.3; the source 0.0.0.0 is a DHCP client's. */
function checkIpv4Addresses(source: Address, destination: Address): DropReasonOrOk {
  if (source.isMulticast || source.isBroadcast || source.isLoopback) return DropReason.IpBadSource;
  if (destination.isUnspecified || destination.isLoopback) return DropReason.IpBadDestination;
  return 0;
}

/** RFC 4291 §2.5.2, §2.5.3, §2.7; the source :: is that of duplicate address detection. */
function checkIpv6Addresses(source: Address, destination: Address): DropReasonOrOk {
  if (source.isMulticast || source.isLoopback || embedsIpv4(source)) return DropReason.IpBadSource;
  if (destination.isUnspecified || destination.isLoopback || embedsIpv4(destination)) {
    return DropReason.IpBadDestination;
  }
  return isConfinedMulticast(destination) ? DropReason.IpBadDestination : 0;
}

/**
 * IPv4-mapped addresses, read from the wire, would pass for IPv4 in every table; IPv4-compatible
 * ones (::a.b.c.d) are deprecated (RFC 4291 §2.5.5.1). Neither is valid in an IPv6 packet.
 */
function embedsIpv4(address: Address): boolean {
  if (address.family === 4) return true;
  return (address.w0 | address.w1 | address.w2) === 0 && address.w3 > 1;
}

/** Multicast of scope 0 (reserved) or 1 (interface-local) never crosses a link (RFC 4291 §2.7). */
function isConfinedMulticast(address: Address): boolean {
  return address.isMulticast && ((address.w0 >>> 16) & 0xf) <= 1;
}

/** Moves the header's payload past the extension headers, up to a fragment's. */
function walkExtensions(bytes: Uint8Array, header: IpHeader): DropReasonOrOk {
  for (let count = 0; count < MAX_EXTENSIONS; count += 1) {
    const type = header.protocol;
    if (!isExtension(type)) return 0;
    // RFC 8200 §4.1: hop-by-hop options come first or not at all.
    if (type === Extension.HopByHop && count > 0) return DropReason.IpBadExtension;
    const reason = checkExtension(bytes, header, type);
    if (reason !== 0) return reason;
    const length = extensionLength(bytes, header.transportOffset, type);
    header.protocol = bytes[header.transportOffset];
    header.transportOffset += length;
    header.transportLength -= length;
    if (isFragment(header)) return 0;
  }
  return isExtension(header.protocol) ? DropReason.IpExtensionLimit : 0;
}

function isExtension(protocol: number): boolean {
  return (
    protocol === Extension.HopByHop ||
    protocol === Extension.Routing ||
    protocol === Extension.Fragment ||
    protocol === Extension.DestinationOptions
  );
}

/** Checks the extension header at the start of the payload; takes a fragment header's fields. */
function checkExtension(bytes: Uint8Array, header: IpHeader, type: number): DropReasonOrOk {
  const offset = header.transportOffset;
  if (header.transportLength < 8) return DropReason.IpBadExtension;
  const length = extensionLength(bytes, offset, type);
  if (length > header.transportLength) return DropReason.IpBadExtension;
  switch (type) {
    case Extension.Fragment:
      readFragmentHeader(bytes, header);
      return 0;
    case Extension.Routing:
      // RFC 8200 §4.4: with no segments left any routing header is ignored; RFC 5095 forbids more.
      return bytes[offset + 3] === 0 ? 0 : DropReason.IpSourceRoute;
    default:
      return checkIpv6Options(bytes, offset + 2, offset + length);
  }
}

/** A fragment header has a reserved byte where the others have their length (RFC 8200 §4.5). */
function extensionLength(bytes: Uint8Array, offset: number, type: number): number {
  return type === Extension.Fragment ? FRAGMENT_HEADER_LENGTH : (bytes[offset + 1] + 1) * 8;
}

function readFragmentHeader(bytes: Uint8Array, header: IpHeader): void {
  const offset = header.transportOffset;
  const fragment = readU16(bytes, offset + 2);
  header.fragmentOffset = fragment & 0xfff8;
  header.moreFragments = (fragment & 1) !== 0;
  header.dontFragment = false;
  header.identification = readU16(bytes, offset + 4) * 0x1_0000 + readU16(bytes, offset + 6);
}

/** We know no option but padding; the top bits of the others say if they may be skipped. */
function checkIpv6Options(bytes: Uint8Array, offset: number, end: number): DropReasonOrOk {
  let at = offset;
  while (at < end) {
    const type = bytes[at];
    if (type === IPV6_PAD1) {
      at += 1;
      continue;
    }
    if (type >>> 6 !== 0 || at + 1 >= end) return DropReason.IpBadOption;
    at += 2 + bytes[at + 1];
  }
  return at === end ? 0 : DropReason.IpBadOption;
}

/** Whether the packet is a part of a larger one; RFC 6946's atomic fragments are whole. */
export function isFragment(header: Pick<IpHeader, "fragmentOffset" | "moreFragments">): boolean {
  return header.moreFragments || header.fragmentOffset > 0;
}

/** RFC 791 §3.2, RFC 8200 §4.5: a fragment is not empty, ends within 64 KiB, and only the last may
 * have a length that is no multiple of 8. */
function checkFragment(header: IpHeader): DropReasonOrOk {
  if (!isFragment(header)) return 0;
  const { fragmentOffset, transportLength } = header;
  if (transportLength === 0 || fragmentOffset + transportLength > MAX_PAYLOAD) {
    return DropReason.IpBadFragment;
  }
  return header.moreFragments && transportLength % 8 !== 0 ? DropReason.IpBadFragment : 0;
}
