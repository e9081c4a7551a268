import { Address, type Family, Prefix } from "../base/address.js";
import {
  attributesIn,
  composeRequest,
  familyOfNumber,
  NLM_F_DUMP,
  readDump,
  viewOf,
} from "./netlink.js";

/** A network interface. */
export interface Link {
  readonly index: number;
  readonly name: string;
  /** In bytes, without the link's header. */
  readonly mtu: number;
  readonly isLoopback: boolean;
  readonly isUp: boolean;
  /** Whether it has a carrier, as far as its driver tells. */
  readonly isRunning: boolean;
}

/** An address of an interface. */
export interface LinkAddress {
  /** Of the interface. */
  readonly link: number;
  readonly address: Address;
  /** Bits of its network. */
  readonly length: number;
  readonly isGlobal: boolean;
  /** Whether the host sends from it by itself: neither deprecated nor being checked for duplicates. */
  readonly isPreferred: boolean;
  /** Of RFC 8981: random, and replaced within a day. */
  readonly isTemporary: boolean;
}

/** A unicast route of the main table. */
export interface LinkRoute {
  /** The interface; of several next hops, that of the first. */
  readonly link: number;
  readonly destination: Prefix;
  /** null: the destination is on the link. */
  readonly via: Address | null;
  /** Whether the next hop is of the other family; `via` is null then. */
  readonly isViaOtherFamily: boolean;
  readonly metric: number;
  /** Whether the kernel made it for an address of the interface. */
  readonly isOfKernel: boolean;
}

/** What the kernel knows of the network. */
export interface RouteTables {
  readonly links: Link[];
  readonly addresses: LinkAddress[];
  readonly routes: LinkRoute[];
}

/** A dump, and which messages it consists of. */
export const RouteDump = { Links: 16, Addresses: 20, Routes: 24 } as const;
export type RouteDump = (typeof RouteDump)[keyof typeof RouteDump];

/** linux/rtnetlink.h: RTM_GETLINK is RTM_NEWLINK + 2, and so on. */
const GET = 2;

/** struct ifinfomsg, ifaddrmsg and rtmsg. */
const BODY_LENGTH: Readonly<Record<RouteDump, number>> = {
  [RouteDump.Links]: 16,
  [RouteDump.Addresses]: 8,
  [RouteDump.Routes]: 12,
};

// linux/if_link.h, linux/if.h
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFF_UP = 0x1;
const IFF_LOOPBACK = 0x8;
const IFF_RUNNING = 0x40;

// linux/if_addr.h
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_FLAGS = 8;
/** The same bit is IFA_F_SECONDARY in IPv4. */
const IFA_F_TEMPORARY = 0x1;
const IFA_F_DADFAILED = 0x8;
const IFA_F_DEPRECATED = 0x20;
const IFA_F_TENTATIVE = 0x40;
const IFA_F_OPTIMISTIC = 0x4;

// linux/rtnetlink.h
const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PRIORITY = 6;
const RTA_MULTIPATH = 9;
const RTA_TABLE = 15;
const RTA_VIA = 18;
const RT_TABLE_MAIN = 254;
const RT_SCOPE_LINK = 253;
const RTPROT_KERNEL = 2;
const RTN_UNICAST = 1;
const RTNH_F_DEAD = 1;
const RTM_F_CLONED = 0x200;
const NEXT_HOP_LENGTH = 8;

/** A request to a NETLINK_ROUTE socket (rtnetlink(7)) for all entries of a kind, of all families. */
export function emitRouteQuery(dump: RouteDump): Uint8Array {
  return composeRequest(dump + GET, NLM_F_DUMP, [new Uint8Array(BODY_LENGTH[dump])]);
}

/**
 * Reads the messages of an answer and adds what they tell to `tables`: no more than `most` entries of a kind, the rest is
 * read and forgotten.
 * @param bytes the result of one read(2)
 * @param onInterrupted something changed meanwhile: entries may be missing, or there twice
 * @returns DumpEnd, or a negative errno from the kernel; null: malformed
 */
export function parseRouteDump(
  bytes: Uint8Array,
  tables: RouteTables,
  most: number,
  onInterrupted: () => void,
): number | null {
  return readDump(bytes, {
    take: (type, body) => {
      switch (type) {
        case RouteDump.Links:
          return keep(tables.links, most, linkIn(body));
        case RouteDump.Addresses:
          return keep(tables.addresses, most, addressIn(body));
        case RouteDump.Routes:
          return keep(tables.routes, most, routeIn(body));
        default:
          return false;
      }
    },
    interrupted: onInterrupted,
  });
}

/** @param entry undefined: not of interest; null: malformed */
function keep<T>(entries: T[], most: number, entry: T | null | undefined): boolean {
  if (entry === null) return false;
  if (entry !== undefined && entries.length < most) entries.push(entry);
  return true;
}

function linkIn(body: Uint8Array): Link | null {
  const at = BODY_LENGTH[RouteDump.Links];
  if (body.length < at) return null;
  const view = viewOf(body);
  const attributes = attributesIn(body, at);
  const name = attributes.get(IFLA_IFNAME);
  const mtu = wordOf(attributes.get(IFLA_MTU));
  if (name === undefined || mtu === null) return null;
  const flags = view.getUint32(8, true);
  return {
    index: view.getInt32(4, true),
    name: textOf(name),
    mtu,
    isLoopback: (flags & IFF_LOOPBACK) !== 0,
    isUp: (flags & IFF_UP) !== 0,
    isRunning: (flags & IFF_RUNNING) !== 0,
  };
}

function addressIn(body: Uint8Array): LinkAddress | null | undefined {
  const at = BODY_LENGTH[RouteDump.Addresses];
  if (body.length < at) return null;
  const family = familyOfNumber(body[0]);
  if (family === null) return undefined;
  const attributes = attributesIn(body, at);
  // On a point-to-point link IFA_ADDRESS is the other end's. IPv6 has IFA_LOCAL only there.
  const address = addressOf(attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS), family);
  const length = body[1];
  if (address === null || length > address.bits) return undefined;
  const flags = wordOf(attributes.get(IFA_FLAGS)) ?? body[2];
  const isChecked =
    (flags & IFA_F_DADFAILED) === 0 &&
    (flags & (IFA_F_TENTATIVE | IFA_F_OPTIMISTIC)) !== IFA_F_TENTATIVE;
  return {
    link: viewOf(body).getUint32(4, true),
    address,
    length,
    isGlobal: body[3] < RT_SCOPE_LINK,
    isPreferred: isChecked && (flags & IFA_F_DEPRECATED) === 0,
    isTemporary: family === 6 && (flags & IFA_F_TEMPORARY) !== 0,
  };
}

/** Routes by source or type of service are not of interest, as a guest's cannot be like them. */
function routeIn(body: Uint8Array): LinkRoute | null | undefined {
  const at = BODY_LENGTH[RouteDump.Routes];
  if (body.length < at) return null;
  const family = familyOfNumber(body[0]);
  if (family === null) return undefined;
  const attributes = attributesIn(body, at);
  const table = wordOf(attributes.get(RTA_TABLE)) ?? body[4];
  const flags = viewOf(body).getUint32(8, true);
  const isForAll = body[2] === 0 && body[3] === 0;
  if (table !== RT_TABLE_MAIN || body[7] !== RTN_UNICAST || !isForAll) return undefined;
  if ((flags & (RTM_F_CLONED | RTNH_F_DEAD)) !== 0) return undefined;
  const destination = destinationOf(attributes.get(RTA_DST), body[1], family);
  const hop = hopIn(attributes, family);
  if (destination === null || hop === null) return undefined;
  return {
    ...hop,
    destination,
    metric: wordOf(attributes.get(RTA_PRIORITY)) ?? 0,
    isOfKernel: body[5] === RTPROT_KERNEL,
  };
}

function destinationOf(
  bytes: Uint8Array | undefined,
  length: number,
  family: Family,
): Prefix | null {
  const bits = family === 4 ? 32 : 128;
  if (length > bits) return null;
  const address =
    bytes === undefined ? Address.read(new Uint8Array(16), 0, family) : addressOf(bytes, family);
  return address === null ? null : Prefix.of(address, length);
}

type Hop = Pick<LinkRoute, "link" | "via" | "isViaOtherFamily">;

/** @returns null when there is none, or none that lives */
function hopIn(attributes: ReadonlyMap<number, Uint8Array>, family: Family): Hop | null {
  const several = attributes.get(RTA_MULTIPATH);
  if (several !== undefined) return firstHopIn(several, family);
  const link = wordOf(attributes.get(RTA_OIF));
  return link === null ? null : { link, ...viaIn(attributes, family) };
}

/** struct rtnexthop, each with attributes of its own. */
function firstHopIn(bytes: Uint8Array, family: Family): Hop | null {
  const view = viewOf(bytes);
  for (let at = 0; at + NEXT_HOP_LENGTH <= bytes.length; ) {
    const length = view.getUint16(at, true);
    if (length < NEXT_HOP_LENGTH || at + length > bytes.length) return null;
    if ((bytes[at + 2] & RTNH_F_DEAD) === 0) {
      const attributes = attributesIn(bytes.subarray(at, at + length), NEXT_HOP_LENGTH);
      return { link: view.getInt32(at + 4, true), ...viaIn(attributes, family) };
    }
    at += (length + 3) & ~3;
  }
  return null;
}

function viaIn(
  attributes: ReadonlyMap<number, Uint8Array>,
  family: Family,
): Pick<Hop, "via" | "isViaOtherFamily"> {
  return {
    via: addressOf(attributes.get(RTA_GATEWAY), family),
    isViaOtherFamily: attributes.has(RTA_VIA),
  };
}

function addressOf(bytes: Uint8Array | undefined, family: Family): Address | null {
  if (bytes?.length !== (family === 4 ? 4 : 16)) return null;
  const address = Address.read(bytes, 0, family);
  // ::ffff:a.b.c.d would be taken for an IPv4 address.
  return address.family === family ? address : null;
}

function wordOf(bytes: Uint8Array | undefined): number | null {
  return bytes?.length === 4 ? viewOf(bytes).getUint32(0, true) : null;
}

function textOf(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return Buffer.from(end < 0 ? bytes : bytes.subarray(0, end)).toString("utf8");
}
