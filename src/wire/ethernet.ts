import type { Family } from "../base/address.js";
import { DropReason, type DropReasonOrOk } from "../base/drop.js";
import { isMulticastMac, type Mac, readMac, writeMac } from "../base/mac.js";
import { readU16, writeU16 } from "./bytes.js";

export const ETHERNET_HEADER_LENGTH = 14;

export const EtherType = { Ipv4: 0x0800, Arp: 0x0806, Ipv6: 0x86dd } as const;

const IP_TYPES: Readonly<Record<Family, number>> = { 4: EtherType.Ipv4, 6: EtherType.Ipv6 };

/** The EtherType of a family's packets. */
export function etherTypeOf(family: Family): number {
  return IP_TYPES[family];
}

/** IEEE 802.1Q, 802.1ad, and the tag of stacked VLANs before it was standardised. */
const VLAN_TAGS = { customer: 0x8100, service: 0x88a8, old: 0x9100 } as const;

export interface EthernetHeader {
  destinationMac: Mac;
  sourceMac: Mac;
  etherType: number;
}

/** Reads the Ethernet header of a frame of `length` bytes into `header`. */
export function parseEthernet(
  bytes: Uint8Array,
  offset: number,
  length: number,
  header: EthernetHeader,
): DropReasonOrOk {
  if (length < ETHERNET_HEADER_LENGTH) return DropReason.EthernetTruncated;
  header.destinationMac = readMac(bytes, offset);
  header.sourceMac = readMac(bytes, offset + 6);
  header.etherType = readU16(bytes, offset + 12);
  if (isMulticastMac(header.sourceMac)) return DropReason.EthernetBadSource;
  if (isVlanTag(header.etherType)) return DropReason.EthernetVlan;
  return 0;
}

/** Writes an Ethernet header and returns its length. */
export function emitEthernet(
  bytes: Uint8Array,
  offset: number,
  destination: Mac,
  source: Mac,
  etherType: number,
): number {
  writeMac(bytes, offset, destination);
  writeMac(bytes, offset + 6, source);
  writeU16(bytes, offset + 12, etherType);
  return ETHERNET_HEADER_LENGTH;
}

/** Composes the Ethernet frame of an IP packet. */
export function composeEthernet(destination: Mac, source: Mac, packet: Uint8Array): Uint8Array {
  const frame = new Uint8Array(ETHERNET_HEADER_LENGTH + packet.length);
  const etherType = etherTypeOf(packet[0] >>> 4 === 4 ? 4 : 6);
  emitEthernet(frame, 0, destination, source, etherType);
  frame.set(packet, ETHERNET_HEADER_LENGTH);
  return frame;
}

function isVlanTag(etherType: number): boolean {
  return (
    etherType === VLAN_TAGS.customer ||
    etherType === VLAN_TAGS.service ||
    etherType === VLAN_TAGS.old
  );
}
