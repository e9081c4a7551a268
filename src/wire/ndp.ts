import { Address, type Prefix } from "../base/address.js";
import { type Mac, readMac, writeMac } from "../base/mac.js";
import { readU32, writeU16, writeU32 } from "./bytes.js";
import { encodeDomainNames } from "./domain-names.js";
import { ETHERNET_HEADER_LENGTH, EtherType, emitEthernet } from "./ethernet.js";
import { writeIcmpChecksum } from "./icmp.js";
import { emitIp, IPV6_HEADER_LENGTH, IpProtocol } from "./ip.js";

/** ICMPv6 types of neighbor discovery (RFC 4861 §4). */
export const NdpType = {
  RouterSolicitation: 133,
  RouterAdvertisement: 134,
  NeighborSolicitation: 135,
  NeighborAdvertisement: 136,
  Redirect: 137,
} as const;

/** Hop limit of valid messages: one from outside the link has less (RFC 4861 §6.1, §7.1). */
export const NDP_HOP_LIMIT = 255;

/** Flags of a neighbor advertisement (RFC 4861 §4.4): router, solicited, override. */
export const NeighborFlags = {
  Router: 0x8000_0000,
  Solicited: 0x4000_0000,
  Override: 0x2000_0000,
} as const;

const ICMP_HEADER = 4;
const NEIGHBOR_LENGTH = 24;
const SOLICITATION_LENGTH = 8;
const ADVERTISEMENT_LENGTH = 16;

/** RFC 4861 §4.6, RFC 8106 §5. Lengths of options count units of 8 bytes. */
const Option = {
  SourceLinkAddress: 1,
  TargetLinkAddress: 2,
  PrefixInformation: 3,
  Mtu: 5,
  RecursiveDnsServers: 25,
  DnsSearchList: 31,
} as const;
const UNIT = 8;
const LINK_ADDRESS_LENGTH = 8;
const PREFIX_LENGTH = 32;
const MTU_LENGTH = 8;
const DNS_HEADER_LENGTH = 8;
/** Longest advertisement, in bytes: it must fit the least MTU of IPv6, 1280. */
const LONGEST_ADVERTISEMENT = 1280 - IPV6_HEADER_LENGTH;

/** Flags of a prefix (RFC 4861 §4.6.2): on-link, autonomous address configuration. */
const ON_LINK = 0x80;
const AUTONOMOUS = 0x40;

/** Flags of a router advertisement (RFC 4861 §4.2): addresses, or other settings, by DHCPv6. */
const MANAGED = 0x80;
const OTHER = 0x40;

/** The only prefix length from which hosts form addresses (RFC 4291 §2.5.1, RFC 4862 §5.5.3). */
const AUTONOMOUS_PREFIX_LENGTH = 64;

/** A neighbor solicitation or advertisement. */
export interface NeighborMessage {
  readonly type: 135 | 136;
  /** NeighborFlags of an advertisement, 0 in a solicitation. */
  readonly flags: number;
  readonly target: Address;
  /** Link address of a solicitation's sender or an advertisement's target; null without the option. */
  readonly mac: Mac | null;
}

/** A prefix of a router advertisement; lifetimes in seconds. */
export interface AdvertisedPrefix {
  readonly prefix: Prefix;
  readonly validLifetime: number;
  readonly preferredLifetime: number;
}

/** A router advertisement; lifetimes in seconds. */
export interface RouterAdvertisement {
  readonly mac: Mac;
  readonly mtu: number;
  readonly hopLimit: number;
  readonly routerLifetime: number;
  readonly prefixes: readonly AdvertisedPrefix[];
  /** Whether DHCPv6 leases an address, though one can be made of each prefix. */
  readonly isLeased: boolean;
  readonly dnsLifetime: number;
  readonly dnsServers: readonly Address[];
  readonly dnsSearch: readonly string[];
}

/**
 * Parses a neighbor solicitation or advertisement, `length` bytes with the ICMPv6 header at `offset`; null
 * when not valid by RFC 4861 §7.1. The caller checks hop limit, checksum and IP addresses.
 */
export function parseNeighbor(
  bytes: Uint8Array,
  offset: number,
  length: number,
): NeighborMessage | null {
  const type = bytes[offset];
  if (type !== NdpType.NeighborSolicitation && type !== NdpType.NeighborAdvertisement) return null;
  if (length < NEIGHBOR_LENGTH || bytes[offset + 1] !== 0) return null;
  const target = Address.read(bytes, offset + 8, 6);
  if (target.isMulticast) return null;
  const solicits = type === NdpType.NeighborSolicitation;
  const option = solicits ? Option.SourceLinkAddress : Option.TargetLinkAddress;
  const mac = parseLinkAddress(bytes, offset + NEIGHBOR_LENGTH, offset + length, option);
  if (mac === undefined) return null;
  return { type, flags: solicits ? 0 : readU32(bytes, offset + ICMP_HEADER), target, mac };
}

/** The solicited-node multicast group of an address (RFC 4291 §2.7.1). */
export function solicitedNodeGroup(address: Address): Address {
  return Address.ofWords(0xff02_0000, 0, 1, 0xff00_0000 | address.w3);
}

/** The Ethernet address of an IPv6 multicast group (RFC 2464 §7). */
export function groupMac(group: Address): Mac {
  return 0x3333_0000_0000 + group.w3;
}

/** Composes an Ethernet frame with a message of neighbor discovery, and fills in the checksum. */
export function composeNdpFrame(
  from: Address,
  fromMac: Mac,
  to: Address,
  toMac: Mac,
  message: Uint8Array,
): Uint8Array {
  const { length } = message;
  const start = ETHERNET_HEADER_LENGTH + IPV6_HEADER_LENGTH;
  const frame = new Uint8Array(start + length);
  emitEthernet(frame, 0, toMac, fromMac, EtherType.Ipv6);
  const fields = {
    source: from,
    destination: to,
    protocol: IpProtocol.Icmpv6,
    hopLimit: NDP_HOP_LIMIT,
    trafficClass: 0,
  };
  emitIp(frame, ETHERNET_HEADER_LENGTH, fields, length);
  frame.set(message, start);
  writeIcmpChecksum(frame, start, length, from, to);
  return frame;
}

/** How many bytes emitNeighbor writes. */
export function neighborLength(message: NeighborMessage): number {
  return NEIGHBOR_LENGTH + (message.mac === null ? 0 : LINK_ADDRESS_LENGTH);
}

/** Writes the message with a checksum of 0 and returns its length. */
export function emitNeighbor(bytes: Uint8Array, offset: number, message: NeighborMessage): number {
  emitHeader(bytes, offset, message.type);
  writeU32(bytes, offset + ICMP_HEADER, message.flags);
  message.target.write(bytes, offset + 8);
  if (message.mac !== null) {
    const solicits = message.type === NdpType.NeighborSolicitation;
    const option = solicits ? Option.SourceLinkAddress : Option.TargetLinkAddress;
    emitLinkAddress(bytes, offset + NEIGHBOR_LENGTH, option, message.mac);
  }
  return neighborLength(message);
}

/**
 * Parses a router solicitation, `length` bytes with the ICMPv6 header at `offset`; null when not valid by
 * RFC 4861 §6.1.1. The caller checks the same as for parseNeighbor.
 */
export function parseRouterSolicitation(
  bytes: Uint8Array,
  offset: number,
  length: number,
): { readonly mac: Mac | null } | null {
  if (bytes[offset] !== NdpType.RouterSolicitation) return null;
  if (length < SOLICITATION_LENGTH || bytes[offset + 1] !== 0) return null;
  const options = offset + SOLICITATION_LENGTH;
  const mac = parseLinkAddress(bytes, options, offset + length, Option.SourceLinkAddress);
  return mac === undefined ? null : { mac };
}

/** Composes the message, with a checksum of 0. The search list is cut to what fits. */
export function composeRouterAdvertisement(message: RouterAdvertisement): Uint8Array {
  const bytes = Buffer.concat([
    advertisementHeader(message),
    linkAddressOption(message.mac),
    mtuOption(message.mtu),
    ...message.prefixes.map(prefixOption),
    ...(message.dnsServers.length > 0 ? [serversOption(message)] : []),
  ]);
  if (message.dnsSearch.length === 0) return bytes;
  return Buffer.concat([bytes, searchOption(message, LONGEST_ADVERTISEMENT - bytes.length)]);
}

function advertisementHeader(message: RouterAdvertisement): Uint8Array {
  const bytes = new Uint8Array(ADVERTISEMENT_LENGTH);
  emitHeader(bytes, 0, NdpType.RouterAdvertisement);
  bytes[4] = message.hopLimit;
  const isManaged =
    message.isLeased || message.prefixes.some(({ prefix }) => !isAutonomous(prefix));
  bytes[5] = OTHER | (isManaged ? MANAGED : 0);
  writeU16(bytes, 6, message.routerLifetime);
  return bytes;
}

function linkAddressOption(mac: Mac): Uint8Array {
  const bytes = new Uint8Array(LINK_ADDRESS_LENGTH);
  emitLinkAddress(bytes, 0, Option.SourceLinkAddress, mac);
  return bytes;
}

function mtuOption(mtu: number): Uint8Array {
  const bytes = option(Option.Mtu, MTU_LENGTH);
  writeU32(bytes, 4, mtu);
  return bytes;
}

function prefixOption({ prefix, validLifetime, preferredLifetime }: AdvertisedPrefix): Uint8Array {
  const bytes = option(Option.PrefixInformation, PREFIX_LENGTH);
  bytes[2] = prefix.length;
  bytes[3] = isAutonomous(prefix) ? ON_LINK | AUTONOMOUS : ON_LINK;
  writeU32(bytes, 4, validLifetime);
  writeU32(bytes, 8, preferredLifetime);
  prefix.address.write(bytes, 16);
  return bytes;
}

function serversOption({ dnsServers, dnsLifetime }: RouterAdvertisement): Uint8Array {
  const bytes = option(Option.RecursiveDnsServers, DNS_HEADER_LENGTH + 16 * dnsServers.length);
  writeU32(bytes, 4, dnsLifetime);
  dnsServers.forEach((server, index) => {
    server.write(bytes, DNS_HEADER_LENGTH + 16 * index);
  });
  return bytes;
}

/** @param room for it, in bytes, a multiple of UNIT */
function searchOption({ dnsSearch, dnsLifetime }: RouterAdvertisement, room: number): Uint8Array {
  const names = encodeDomainNames(dnsSearch, room - DNS_HEADER_LENGTH);
  const length = DNS_HEADER_LENGTH + names.length;
  const bytes = option(Option.DnsSearchList, Math.ceil(length / UNIT) * UNIT);
  writeU32(bytes, 4, dnsLifetime);
  bytes.set(names, DNS_HEADER_LENGTH);
  return bytes;
}

/** Makes an option with its header. @param length in bytes, a multiple of UNIT */
function option(type: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  bytes[0] = type;
  bytes[1] = length / UNIT;
  return bytes;
}

function isAutonomous(prefix: Prefix): boolean {
  return prefix.length === AUTONOMOUS_PREFIX_LENGTH;
}

/** The link address among the options; null: none; undefined: the options are malformed. */
function parseLinkAddress(
  bytes: Uint8Array,
  start: number,
  end: number,
  wanted: number,
): Mac | null | undefined {
  let mac: Mac | null = null;
  for (let at = start; at < end; ) {
    const length = at + 1 < end ? bytes[at + 1] * UNIT : 0;
    // RFC 4861 §4.6: a message with an option of length zero is discarded.
    if (length === 0 || length > end - at) return undefined;
    if (bytes[at] === wanted && length === LINK_ADDRESS_LENGTH) mac = readMac(bytes, at + 2);
    at += length;
  }
  return mac;
}

function emitLinkAddress(bytes: Uint8Array, offset: number, type: number, mac: Mac): void {
  bytes[offset] = type;
  bytes[offset + 1] = 1;
  writeMac(bytes, offset + 2, mac);
}

function emitHeader(bytes: Uint8Array, offset: number, type: number): void {
  bytes[offset] = type;
  bytes[offset + 1] = 0;
  writeU16(bytes, offset + 2, 0);
}
