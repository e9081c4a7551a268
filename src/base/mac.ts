import { Address } from "./address.js";

/**
 * An Ethernet address (EUI-48) as a number below 2^48. The first byte on the wire is the most significant.
 */
export type Mac = number;

/** ff:ff:ff:ff:ff:ff */
export const BROADCAST_MAC: Mac = 0xffff_ffff_ffff;

/** Length in bytes. */
export const MAC_LENGTH = 6;

const LOW_BITS = 0x1_0000_0000;
const GROUP_BIT = 0x0100_0000_0000;

/** Reads six bytes. The caller checks bounds. */
export function readMac(bytes: Uint8Array, offset: number): Mac {
  const high = (bytes[offset] << 8) | bytes[offset + 1];
  const low =
    (bytes[offset + 2] << 24) |
    (bytes[offset + 3] << 16) |
    (bytes[offset + 4] << 8) |
    bytes[offset + 5];
  return high * LOW_BITS + (low >>> 0);
}

/** Writes six bytes. */
export function writeMac(bytes: Uint8Array, offset: number, mac: Mac): void {
  const high = Math.floor(mac / LOW_BITS);
  bytes[offset] = high >>> 8;
  bytes[offset + 1] = high;
  bytes[offset + 2] = mac >>> 24;
  bytes[offset + 3] = mac >>> 16;
  bytes[offset + 4] = mac >>> 8;
  bytes[offset + 5] = mac;
}

/** Parses aa:bb:cc:dd:ee:ff; null for anything else. */
export function parseMac(text: string): Mac | null {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text)) return null;
  return Number.parseInt(text.replaceAll(":", ""), 16);
}

/** The same for an address that an interface can have: null for a group address, too, and for all zeros. */
export function parseInterfaceMac(text: string): Mac | null {
  const mac = parseMac(text);
  return mac === null || mac === 0 || isMulticastMac(mac) ? null : mac;
}

/** aa:bb:cc:dd:ee:ff */
export function formatMac(mac: Mac): string {
  return mac
    .toString(16)
    .padStart(12, "0")
    .replace(/..(?!$)/g, "$&:");
}

/** Whether the address is a group address, including broadcast: the I/G bit (IEEE 802-2014 §8.2.2). */
export function isMulticastMac(mac: Mac): boolean {
  return Math.floor(mac / GROUP_BIT) % 2 === 1;
}

/** The link-local address that Linux derives from a MAC (RFC 4291 appendix A). */
export function linkLocalOf(mac: Mac): Address {
  const high = Math.floor(mac / 0x100_0000);
  const upper = ((high ^ 0x02_0000) << 8) | 0xff;
  return Address.ofWords(0xfe80_0000, 0, upper, 0xfe00_0000 | (mac & 0xff_ffff));
}
