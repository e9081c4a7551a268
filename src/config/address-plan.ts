import { Address, type Family, LOOPBACK, Prefix, UNSPECIFIED } from "../base/address.js";
import type { Mac } from "../base/mac.js";

/**
 * The addresses of one family on a guest's link. A plan is Slipway's own network (planFor), a member's (network/plans.ts),
 * or a copy of what an interface of the host has.
 */
export interface AddressPlan {
  /** Of `guest`. */
  readonly prefix: Prefix;
  /**
   * Slipway on the guest's link: whom errors come from, DHCP's server, and the source of clients that the guest could not
   * answer.
   */
  readonly gateway: Address;
  /** Next hop of the guest's default route: the gateway, in IPv6 by its link-local address. */
  readonly router: Address;
  /** Where Slipway's DNS server answers; null: nowhere. */
  readonly dns: Address | null;
  /** What DHCP and router advertisements name as DNS servers, unless DNS is disabled. */
  readonly nameServers: readonly Address[];
  /** The guest's first address. */
  readonly guest: Address;
  /** Its further ones. */
  readonly others: readonly GuestAddress[];
  /** What is configured in the namespace, in order; the default route is one of them. */
  readonly routes: readonly Route[];
  /** First and last address of the DHCP pool. */
  readonly dhcpBegin: Address;
  readonly dhcpEnd: Address;
  /** Addresses that lead elsewhere than to themselves; they come before every other rule. */
  readonly mapped: readonly MappedAddress[];
  /**
   * Whose the other addresses of `prefix` are. "nobody": they lead nowhere, and nobody answers for them. "host": they are
   * the host's neighbours, for which Slipway answers, and to which it connects.
   */
  readonly neighbors: "nobody" | "host";
}

/** An address of the guest's interface. */
export interface GuestAddress {
  readonly address: Address;
  /** Bits of its network. */
  readonly length: number;
}

/** A route of the guest's. */
export interface Route {
  /** 0.0.0.0/0 or ::/0 for the default. */
  readonly destination: Prefix;
  /** The next hop; null: the destination is on the link. */
  readonly via: Address | null;
  /** null: the kernel's default. */
  readonly metric: number | null;
}

/** An address on the guest's link that leads to another on the host. */
export interface MappedAddress {
  readonly at: Address;
  readonly to: Address;
}

/** The networks of slirp4netns, which its users expect. */
export const DEFAULT_PREFIX: Readonly<Record<Family, Prefix>> = {
  4: Prefix.of(Address.ofIpv4Word(0x0a00_0200), 24),
  6: Prefix.of(Address.ofWords(0xfd00_0000, 0, 0, 0), 64),
};

/** The default route's destination. */
export const EVERYTHING: Readonly<Record<Family, Prefix>> = {
  4: Prefix.of(UNSPECIFIED[4], 0),
  6: Prefix.of(UNSPECIFIED[6], 0),
};

/**
 * Of a default route that is no copy of the host's. IPv6: more than 1024, the metric of a route from a router
 * advertisement: for the kernel two routes with the same metric and router are one. It fails to add the second, and
 * ignores the whole advertisement (m).
 */
const DEFAULT_METRIC: Readonly<Record<Family, number | null>> = { 4: null, 6: 2048 };

/** The default route through a router on the guest's link. */
export function defaultRoute(router: Address, metric = DEFAULT_METRIC[router.family]): Route {
  return { destination: EVERYTHING[router.family], via: router, metric };
}

/** The route to an address on the link. */
export function hostRoute(address: Address): Route {
  return { destination: Prefix.of(address, address.bits), via: null, metric: null };
}

/** Equal for routes that are equal. */
export function textOfRoute({ destination, via, metric }: Route): string {
  return `${destination} ${via} ${metric}`;
}

/** Equal for addresses that are equal. */
export function textOfAddress({ address, length }: GuestAddress): string {
  return `${address}/${length}`;
}

/** The network that an address is in. */
export function networkOf({ address, length }: GuestAddress): Prefix {
  return Prefix.of(address, length);
}

/** Offsets from the network's address, those of slirp4netns. */
const OFFSET = { gateway: 2, dns: 3, dhcpBegin: 15, dhcpEnd: 30, guest: 100 } as const;

/** fe80::2, as in slirp4netns. Router advertisements come from a link-local address (RFC 4861 §4.2). */
const LINK_LOCAL_ROUTER = Address.ofWords(0xfe80_0000, 0, 0, OFFSET.gateway);

/** Host bits that OFFSET needs: a /25 has room for +100 below its broadcast address. */
const HOST_BITS = 7;

/**
 * The addresses of a guest's network.
 * @throws RangeError with a sentence for the user when the prefix has no room for them, or its addresses
 * cannot be those of a host.
 */
export function planFor(prefix: Prefix): AddressPlan & { readonly dns: Address } {
  const { address, length } = prefix;
  const longest = address.bits - HOST_BITS;
  if (length < 1 || length > longest) {
    throw new RangeError(`"${prefix}": the prefix length needs to be 1-${longest}`);
  }
  if (!isUnicast(address) || !isUnicast(prefix.last)) {
    const example = DEFAULT_PREFIX[address.family];
    throw new RangeError(`${prefix} is not a network for hosts; take a private one, ${example}`);
  }
  const gateway = address.plus(OFFSET.gateway);
  const router = address.family === 4 ? gateway : LINK_LOCAL_ROUTER;
  return {
    prefix,
    gateway,
    router,
    dns: address.plus(OFFSET.dns),
    nameServers: [address.plus(OFFSET.dns)],
    dhcpBegin: address.plus(OFFSET.dhcpBegin),
    dhcpEnd: address.plus(OFFSET.dhcpEnd),
    guest: address.plus(OFFSET.guest),
    others: [],
    routes: [defaultRoute(router)],
    mapped: [],
    neighbors: "nobody",
  };
}

/** The plan with the host's loopback at the addresses of its gateway. */
export function withHostLoopback(plan: AddressPlan): AddressPlan {
  const mapped = routersOf(plan).map((at) => ({ at, to: LOOPBACK[at.family] }));
  return { ...plan, mapped };
}

/** Whether the host's loopback can be reached from the guest. */
export function hasHostLoopback(plans: readonly AddressPlan[]): boolean {
  return plans.some(({ mapped }) => mapped.some(({ to }) => to.isLoopback));
}

export function hasDefaultRoute({ routes }: Pick<AddressPlan, "routes">): boolean {
  return routes.some(({ destination }) => destination.length === 0);
}

/** Whether the guest has that address, of the plan's family. */
export function isGuests({ guest, others }: AddressPlan, address: Address): boolean {
  if (guest.equals(address)) return true;
  for (const other of others) if (other.address.equals(address)) return true;
  return false;
}

/** All addresses of the guest's in a plan, its first one first. */
export function addressesOf({ guest, prefix, others }: AddressPlan): readonly GuestAddress[] {
  return [{ address: guest, length: prefix.length }, ...others];
}

/** The plan of a family; null: the guest has none of that family. A loop, as it is looked for with each datagram. */
export function findPlan(plans: readonly AddressPlan[], family: Family): AddressPlan | null {
  for (const plan of plans) if (plan.guest.family === family) return plan;
  return null;
}

/** The plan of a family, or the first where the guest has none of that family. */
export function planOfFamily(plans: readonly AddressPlan[], family: Family): AddressPlan {
  return findPlan(plans, family) ?? plans[0];
}

/** All addresses of the guest's networks that are Slipway's own. */
export function ownAddresses(plans: readonly AddressPlan[]): readonly Address[] {
  return plans.flatMap((plan) => {
    const routers = routersOf(plan);
    return plan.dns === null ? routers : [...routers, plan.dns];
  });
}

function routersOf({ gateway, router }: AddressPlan): readonly Address[] {
  return router.equals(gateway) ? [gateway] : [gateway, router];
}

/** 52:55 in the upper bytes, as in libslirp: locally administered, unicast. */
const GATEWAY_MAC_PREFIX = 0x5255_0000_0000;

/**
 * The Ethernet address of the gateway and of all other addresses of Slipway's on the guest's network, unless the user
 * chooses another: 52:55 and the last four bytes of the first plan's gateway.
 */
export function gatewayMac(plans: readonly AddressPlan[]): Mac {
  return GATEWAY_MAC_PREFIX + plans[0].gateway.w3;
}

/** Linux gives no interface an address in 0/8 or 224/3 (RFC 1122 §3.2.1.3). */
function isUnicast(address: Address): boolean {
  if (address.isLoopback || address.isMulticast || address.isUnspecified) return false;
  if (address.family === 6) return !address.isLinkLocal;
  const firstByte = address.w3 >>> 24;
  return firstByte > 0 && firstByte < 224;
}
