import { Address, type Family, Prefix } from "../base/address.js";

/** As podman: 10.89.0.0/24, 10.89.1.0/24 and so on. */
const FIRST_SUBNET = Address.ofIpv4Word(0x0a59_0000);
/** 10.200.0.0/24 and so on: apart from those that hosts choose for networks of their own. */
const FIRST_OVERLAY_SUBNET = Address.ofIpv4Word(0x0ac8_0000);
const SUBNET_LENGTH = 24;
const SUBNET_SIZE = 256;
/** 10.255.255.0/24. */
const LAST_SUBNET = Address.ofIpv4Word(0x0aff_ff00);

/** RFC 4193 §3.2.1: 40 random bits make the prefix unique. */
const UNIQUE_LOCAL = 0xfd00_0000;
const UNIQUE_LOCAL_LENGTH = 64;

/** RTF_UP and RTF_REJECT of linux/route.h. A reject route leads nowhere, so its network is free. */
const ROUTE_UP = 0x1;
const ROUTE_REJECT = 0x200;

/** Whether the prefixes share an address. */
export function overlaps(a: Prefix, b: Prefix): boolean {
  return a.contains(b.address) || b.contains(a.address);
}

/**
 * The first IPv4 /24 that overlaps none of `taken`; null when there is none.
 * @param isOverlay whether it is for all hosts of a cluster
 */
export function freeSubnet(taken: readonly Prefix[], isOverlay: boolean): Prefix | null {
  const first = isOverlay ? FIRST_OVERLAY_SUBNET : FIRST_SUBNET;
  for (let at = first; at.w3 <= LAST_SUBNET.w3; at = at.plus(SUBNET_SIZE)) {
    const candidate = Prefix.of(at, SUBNET_LENGTH);
    if (!taken.some((each) => overlaps(each, candidate))) return candidate;
  }
  return null;
}

/** A unique local IPv6 /64. @param random two random words */
export function uniqueLocalSubnet(random: Uint32Array): Prefix {
  const address = Address.ofWords(
    UNIQUE_LOCAL | (random[0] & 0xff_ffff),
    random[1] & ~0xffff,
    0,
    0,
  );
  return Prefix.of(address, UNIQUE_LOCAL_LENGTH);
}

/**
 * The networks that the host has routes to, without default routes.
 * @param family of the table in `text`: /proc/net/route or /proc/net/ipv6_route
 */
export function parseRoutes(text: string, family: Family): readonly Prefix[] {
  const lines = text.split("\n").filter((line) => line !== "");
  const prefixes = family === 4 ? lines.slice(1).map(ipv4Route) : lines.map(ipv6Route);
  return prefixes.filter((prefix) => prefix !== null);
}

/** Iface, Destination, Gateway, Flags, RefCnt, Use, Metric, Mask; addresses in hexadecimal, in the machine's byte order. */
function ipv4Route(line: string): Prefix | null {
  const [, destination = "", , flags = "", , , , mask = ""] = line.split("\t");
  const length = bitsOf(swapped(mask));
  if (length === 0 || !isUsed(flags)) return null;
  return Prefix.of(Address.ofIpv4Word(swapped(destination)), length);
}

/** Destination, its length, source, its length, next hop, metric, references, uses, flags, device; in network byte order. */
function ipv6Route(line: string): Prefix | null {
  const [destination = "", lengthText = "", , , , , , , flags = ""] = line.split(/\s+/);
  const length = Number.parseInt(lengthText, 16);
  if (length === 0 || !isUsed(flags)) return null;
  const words = destination.match(/.{8}/g)?.map((word) => Number.parseInt(word, 16)) ?? [];
  const [w0 = 0, w1 = 0, w2 = 0, w3 = 0] = words;
  const address = Address.ofWords(w0, w1, w2, w3);
  const isOfEveryLink = address.isLinkLocal || address.isMulticast || address.isLoopback;
  return isOfEveryLink ? null : Prefix.of(address, length);
}

function isUsed(flags: string): boolean {
  const bits = Number.parseInt(flags, 16);
  return (bits & ROUTE_UP) !== 0 && (bits & ROUTE_REJECT) === 0;
}

function swapped(hex: string): number {
  const word = Number.parseInt(hex, 16);
  return ((word & 0xff) << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24);
}

function bitsOf(mask: number): number {
  return Math.clz32(~mask);
}
