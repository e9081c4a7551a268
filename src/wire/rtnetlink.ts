import { LONGEST_WITH_BROADCAST, Prefix } from "../base/address.js";
import { type Mac, writeMac } from "../base/mac.js";
import type { GuestAddress, Route } from "../config/address-plan.js";
import { ADDRESS_FAMILY, ATTRIBUTE_HEADER_LENGTH, composeRequest } from "./netlink.js";

/** The loopback interface has this index in every network namespace (net/core/dev.c, LOOPBACK_IFINDEX). */
export const LOOPBACK_IFINDEX = 1;

/** Settings of a link; absent ones stay unchanged. */
export interface LinkSettings {
  /** In bytes, without the Ethernet header. */
  readonly mtu?: number;
  /** In packets. */
  readonly txqueuelen?: number;
  readonly mac?: Mac;
}

// linux/netlink.h and linux/rtnetlink.h
const RTM_NEWLINK = 16;
const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const NLM_F_ACK = 0x4;
const NLM_F_REPLACE = 0x100;
const NLM_F_EXCL = 0x200;
const NLM_F_CREATE = 0x400;

/** What becomes of an entry that is there. */
export const Mode = {
  Replace: NLM_F_CREATE | NLM_F_REPLACE,
  New: NLM_F_CREATE | NLM_F_EXCL,
} as const;
type Mode = (typeof Mode)[keyof typeof Mode];

// linux/if_link.h, linux/if.h
const IFINFO_LENGTH = 16;
const IFLA_ADDRESS = 1;
const IFLA_MTU = 4;
const IFLA_TXQLEN = 13;
const IFF_UP = 1;

// linux/if_addr.h
const IFADDR_LENGTH = 8;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_BROADCAST = 4;
const IFA_F_NODAD = 0x2;

// linux/rtnetlink.h
const RTMSG_LENGTH = 12;
const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PRIORITY = 6;
const RT_TABLE_MAIN = 254;
const RT_SCOPE_LINK = 253;
const RTPROT_STATIC = 4;
const RTN_UNICAST = 1;

/** RTM_NEWLINK: sets the link up. */
export function linkUp(ifindex: number): Uint8Array {
  return request(RTM_NEWLINK, 0, [linkBody(ifindex, IFF_UP)]);
}

/**
 * RTM_NEWLINK: changes settings of the link. Use it while the link is down: the kernel sets the queue length
 * after the flags (do_setlink in net/core/rtnetlink.c), and if the link is up then, it waits until all
 * processors have left the old queue, 2 ms or more (m).
 */
export function setLink(ifindex: number, settings: LinkSettings): Uint8Array {
  const attributes: Uint8Array[] = [];
  if (settings.mac !== undefined) attributes.push(attribute(IFLA_ADDRESS, macBytes(settings.mac)));
  if (settings.mtu !== undefined) attributes.push(attribute(IFLA_MTU, wordBytes(settings.mtu)));
  if (settings.txqueuelen !== undefined) {
    attributes.push(attribute(IFLA_TXQLEN, wordBytes(settings.txqueuelen)));
  }
  return request(RTM_NEWLINK, 0, [linkBody(ifindex, 0), ...attributes]);
}

function linkBody(ifindex: number, flags: number): Uint8Array {
  const body = new Uint8Array(IFINFO_LENGTH);
  const view = new DataView(body.buffer);
  view.setInt32(4, ifindex, true);
  view.setUint32(8, flags, true);
  view.setUint32(12, flags, true);
  return body;
}

/**
 * RTM_NEWADDR: gives the link an address on a network of `length` bits.
 * @param mode of an address that is there: Replace changes it, New fails
 */
export function addAddress(
  ifindex: number,
  added: GuestAddress,
  mode: Mode = Mode.Replace,
): Uint8Array {
  const { address, length } = added;
  // rtnetlink sets no broadcast address by itself, unlike the ioctl that slirp4netns uses; programs need one.
  const broadcast =
    address.family === 4 && length <= LONGEST_WITH_BROADCAST
      ? [attribute(IFA_BROADCAST, Prefix.of(address, length).last.toBytes())]
      : [];
  return request(RTM_NEWADDR, mode, [...addressParts(ifindex, added), ...broadcast]);
}

/** RTM_DELADDR: takes an address from the link. */
export function deleteAddress(ifindex: number, address: GuestAddress): Uint8Array {
  return request(RTM_DELADDR, 0, addressParts(ifindex, address));
}

function addressParts(ifindex: number, { address, length }: GuestAddress): readonly Uint8Array[] {
  const body = new Uint8Array(IFADDR_LENGTH);
  const view = new DataView(body.buffer);
  view.setUint8(0, ADDRESS_FAMILY[address.family]);
  view.setUint8(1, length);
  // No duplicate address detection: no other host is on the link, and the address would be unusable for a
  // second. IPv4 ignores the flag.
  view.setUint8(2, IFA_F_NODAD);
  view.setUint8(3, address.family === 6 && address.isLinkLocal ? RT_SCOPE_LINK : 0);
  view.setUint32(4, ifindex, true);
  const bytes = address.toBytes();
  return [body, attribute(IFA_LOCAL, bytes), attribute(IFA_ADDRESS, bytes)];
}

/** RTM_NEWROUTE: @param mode as for addAddress */
export function addRoute(ifindex: number, route: Route, mode: Mode = Mode.Replace): Uint8Array {
  return request(RTM_NEWROUTE, mode, routeParts(ifindex, route));
}

/** RTM_DELROUTE: removes a route that addRoute() has made; one that differs stays. */
export function deleteRoute(ifindex: number, route: Route): Uint8Array {
  return request(RTM_DELROUTE, 0, routeParts(ifindex, route));
}

function routeParts(ifindex: number, { destination, via, metric }: Route): readonly Uint8Array[] {
  const body = new Uint8Array(RTMSG_LENGTH);
  const view = new DataView(body.buffer);
  view.setUint8(0, ADDRESS_FAMILY[destination.address.family]);
  view.setUint8(1, destination.length);
  view.setUint8(4, RT_TABLE_MAIN);
  view.setUint8(5, RTPROT_STATIC);
  view.setUint8(6, via === null ? RT_SCOPE_LINK : 0);
  view.setUint8(7, RTN_UNICAST);
  const attributes = [attribute(RTA_OIF, wordBytes(ifindex))];
  if (destination.length > 0) attributes.push(attribute(RTA_DST, destination.address.toBytes()));
  if (via !== null) attributes.push(attribute(RTA_GATEWAY, via.toBytes()));
  if (metric !== null) attributes.push(attribute(RTA_PRIORITY, wordBytes(metric)));
  return [body, ...attributes];
}

/** A request that the kernel acknowledges. */
function request(type: number, flags: number, parts: readonly Uint8Array[]): Uint8Array {
  return composeRequest(type, NLM_F_ACK | flags, parts);
}

/** Composes a struct rtattr with its value, padded to four bytes. */
function attribute(type: number, value: Uint8Array): Uint8Array {
  const length = ATTRIBUTE_HEADER_LENGTH + value.length;
  const bytes = new Uint8Array((length + 3) & ~3);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, length, true);
  view.setUint16(2, type, true);
  bytes.set(value, ATTRIBUTE_HEADER_LENGTH);
  return bytes;
}

function wordBytes(word: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, word, true);
  return bytes;
}

function macBytes(mac: Mac): Uint8Array {
  const bytes = new Uint8Array(6);
  writeMac(bytes, 0, mac);
  return bytes;
}
