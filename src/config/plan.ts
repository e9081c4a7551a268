import { Address, type Family, Prefix } from "../base/address.js";
import type { Mac } from "../base/mac.js";
import type { Limits } from "./limits.js";

/** Who is who on a guest's network. */
export interface AddressPlan {
  readonly prefix: Prefix;
  readonly gateway: Address;
  /** Next hop of the guest's default route: the gateway, in IPv6 by its link-local address. */
  readonly router: Address;
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
  /** What answers at the plans' DNS addresses; null for nothing. */
  readonly dns: DnsConfig | null;
  /** The guest's own name, where it is known. */
  readonly hostname: string | null;
  /** Source address of what leaves the host, by family; null for the one that the kernel takes. */
  readonly outbound: Readonly<Record<Family, Address | null>>;
  /** Who may send to a UDP port of the guest that has sent: anybody, or only whom it has sent to. */
  readonly udpFiltering: "endpoint" | "address";
  readonly timeouts: Timeouts;
  /** Most bytes of memory that the guest's packets and connections may hold. */
  readonly memoryBudget: number;
  readonly limits: Limits;
  /** Absent: it is alone on its network, and may reach what the host reaches. */
  readonly membership?: Membership;
}

/** What follows from being one of several on a network: all settings are made for it beforehand. */
export interface Membership {
  /** Whether an address outside of its network is open to it. */
  mayReach(address: Address): boolean;
}

/** How long a mapping of the guest's datagrams lasts without traffic, in ms. */
export interface Timeouts {
  /** UDP, once a datagram has been answered. */
  readonly udp: number;
  /** UDP before. */
  readonly udpUnanswered: number;
  /** UDP while all went to port 53. */
  readonly udpDns: number;
  /** ICMP echo. */
  readonly ping: number;
}

/**
 * RFC 4787 REQ-5: at least two minutes, five recommended; as slirp and pasta, 180 s once answered.
 * A DNS query is answered soon or not at all, and each takes a port of its own (REQ-5 b). RFC 5508
 * REQ-2: echo not before 60 s.
 */
export const DEFAULT_TIMEOUTS: Timeouts = {
  udp: 180_000,
  udpUnanswered: 30_000,
  udpDns: 10_000,
  ping: 60_000,
};

/** The DNS server of a guest. */
export interface DnsConfig {
  readonly upstream: Upstream;
  readonly records: NameTable;
}

/** Names that we answer ourselves. A map of names in lower case is one. */
export interface NameTable {
  /**
   * The addresses of a name, of both families.
   * @param name in lower case
   * @param type of the records asked for, such as "A"
   */
  get(name: string, type: string): readonly Address[] | undefined;
  /** Who has an address, its own name first. */
  namesOf?(address: Address): readonly string[] | undefined;
}

/** Where other names are resolved. What it says may change from one read to the next. */
export interface Upstream {
  /** First choice first. */
  readonly servers: readonly Address[];
  /** Domains in which short names are searched. */
  readonly search: readonly string[];
}

/** The networks slirp4netns uses, and its users expect. */
export const DEFAULT_PREFIX: Readonly<Record<Family, Prefix>> = {
  4: Prefix.of(Address.ofIpv4Word(0x0a00_0200), 24),
  6: Prefix.of(Address.ofWords(0xfd00_0000, 0, 0, 0), 64),
};

/** slirp4netns's places in the network: gateway +2, DNS +3, DHCP +15..+30, guest +100. */
const PLACE = { gateway: 2, dns: 3, dhcpBegin: 15, dhcpEnd: 30, guest: 100 } as const;

/** As slirp4netns has it. Router advertisements come from a link-local address (RFC 4861 §4.2). */
const LINK_LOCAL_ROUTER = Address.ofWords(0xfe80_0000, 0, 0, PLACE.gateway);

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
  if (length < 1 || length > longest) {
    throw new RangeError(`"${prefix}": the prefix length needs to be 1-${longest}`);
  }
  if (!isUnicast(address) || !isUnicast(prefix.last)) {
    const example = DEFAULT_PREFIX[address.family];
    throw new RangeError(`${prefix} is not a network for hosts; take a private one, ${example}`);
  }
  const gateway = address.plus(PLACE.gateway);
  return {
    prefix,
    gateway,
    router: address.family === 4 ? gateway : LINK_LOCAL_ROUTER,
    dns: address.plus(PLACE.dns),
    dhcpBegin: address.plus(PLACE.dhcpBegin),
    dhcpEnd: address.plus(PLACE.dhcpEnd),
    guest: address.plus(PLACE.guest),
  };
}

/** Every address of the guest's networks that is ours. */
export function ownAddresses(plans: readonly AddressPlan[]): readonly Address[] {
  return plans.flatMap(({ gateway, router, dns }) =>
    router === gateway ? [gateway, dns] : [gateway, router, dns],
  );
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
  if (address.family === 6) return !address.isLinkLocal;
  const firstByte = address.w3 >>> 24;
  return firstByte > 0 && firstByte < 224;
}
