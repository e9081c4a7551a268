import { Address } from "../base/address.js";
import { MAC_LENGTH, type Mac, readMac, writeMac } from "../base/mac.js";
import { readU16, writeU16 } from "./bytes.js";
import { EtherType } from "./ethernet.js";

export const ARP_LENGTH = 28;

export const ArpOperation = { Request: 1, Reply: 2 } as const;

/** Hardware type of Ethernet in ARP and DHCP (ARPHRD_ETHER). */
export const HARDWARE_ETHERNET = 1;
const IPV4_LENGTH = 4;

/** An ARP message for IPv4 over Ethernet (RFC 826). */
export interface ArpMessage {
  readonly operation: number;
  readonly senderMac: Mac;
  readonly senderAddress: Address;
  readonly targetMac: Mac;
  readonly targetAddress: Address;
}

/** Parses `length` bytes at `offset`; null when malformed, or not for IPv4 over Ethernet. */
export function parseArp(bytes: Uint8Array, offset: number, length: number): ArpMessage | null {
  if (length < ARP_LENGTH) return null;
  if (readU16(bytes, offset) !== HARDWARE_ETHERNET) return null;
  if (readU16(bytes, offset + 2) !== EtherType.Ipv4) return null;
  if (bytes[offset + 4] !== MAC_LENGTH || bytes[offset + 5] !== IPV4_LENGTH) return null;
  return {
    operation: readU16(bytes, offset + 6),
    senderMac: readMac(bytes, offset + 8),
    senderAddress: Address.read(bytes, offset + 14, 4),
    targetMac: readMac(bytes, offset + 18),
    targetAddress: Address.read(bytes, offset + 24, 4),
  };
}

/** Writes the message and returns its length. */
export function emitArp(bytes: Uint8Array, offset: number, message: ArpMessage): number {
  writeU16(bytes, offset, HARDWARE_ETHERNET);
  writeU16(bytes, offset + 2, EtherType.Ipv4);
  bytes[offset + 4] = MAC_LENGTH;
  bytes[offset + 5] = IPV4_LENGTH;
  writeU16(bytes, offset + 6, message.operation);
  writeMac(bytes, offset + 8, message.senderMac);
  message.senderAddress.write(bytes, offset + 14);
  writeMac(bytes, offset + 18, message.targetMac);
  message.targetAddress.write(bytes, offset + 24);
  return ARP_LENGTH;
}
