import { type Address, Prefix } from "./address.js";
import type { Mac } from "./mac.js";

/** Who is who on a guest's network. */
export interface AddressPlan {
  readonly prefix: Prefix;
  readonly gateway: Address;
  readonly dns: Address;
  readonly guest: Address;
  /** First and last address of the DHCP pool. */
  readonly dhcpBegin: Address;
  readonly dhcpEnd: Address;
}

/** What one guest's network shall be; checked, never changed. */
export interface GuestConfig {
  /** Of the TAP, in bytes without the Ethernet header. */
  readonly mtu: number;
  /** At least one, at most one a family, in the order in which they shall be configured. */
  readonly plans: readonly AddressPlan[];
  /** Whether the gateway's address leads to the host's loopback. */
  readonly hostLoopback: boolean;
  /** The host's DNS servers, first choice first. */
  readonly resolvers: readonly Address[];
  /** Whether anything answers at the plans' DNS addresses. */
  readonly dns: boolean;
}

/** The network slirp4netns uses, and its users expect. */
export const DEFAULT_PREFIX = Prefix.parse("10.0.2.0/24");

/** slirp4netns's places in the network: gateway +2, DNS +3, DHCP +15..+30, guest +100. */
const PLACE = { gateway: 2, dns: 3, dhcpBegin: 15, dhcpEnd: 30, guest: 100 } as const;

/** Host bits that PLACE needs: a /25 has room for +100 below its broadcast address. */
const HOST_BITS = 7;

/**
 * The addresses of a guest's network.
 * @throws RangeError with a sentence for the user when the prefix has no room for them, or does not
 * hold addresses that a host can have.
 */
export function planFor(prefix: Prefix): AddressPlan {
  const { address, length } = prefix;
  const longest = address.bits - HOST_BITS;
  if (length > longest) {
    throw new RangeError(`${prefix} is too small; the prefix length must be ${longest} or less`);
  }
  if (!isUnicast(address) || !isUnicast(prefix.last)) {
    throw new RangeError(`${prefix} is not a network for hosts; take a private one, 10.0.2.0/24`);
  }
  return {
    prefix,
    gateway: address.plus(PLACE.gateway),
    dns: address.plus(PLACE.dns),
    dhcpBegin: address.plus(PLACE.dhcpBegin),
    dhcpEnd: address.plus(PLACE.dhcpEnd),
    guest: address.plus(PLACE.guest),
  };
}

/** 52:55 in the upper bytes, as libslirp has it: locally administered, not a group's. */
const GATEWAY_MAC_PREFIX = 0x5255_0000_0000;

/**
 * The gateway's Ethernet address, that of every address on the guest's network which is ours:
 * 52:55 and the last four bytes of the first plan's gateway.
 */
export function gatewayMac(plans: readonly AddressPlan[]): Mac {
  return GATEWAY_MAC_PREFIX + plans[0].gateway.w3;
}

/** Linux gives no interface an address of 0/8, and sends none to 224/3 (RFC 1122 §3.2.1.3). */
function isUnicast(address: Address): boolean {
  if (address.isLoopback || address.isMulticast || address.isUnspecified) return false;
  const firstByte = address.w3 >>> 24;
  return address.family === 6 || (firstByte > 0 && firstByte < 224);
}
