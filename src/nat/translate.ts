import { type Address, type Family, LONGEST_WITH_BROADCAST } from "../base/address.js";
import { DropReason } from "../base/drop.js";
import { type AddressPlan, findPlan, isGuests } from "../config/address-plan.js";
import type { GuestConfig, Membership } from "../config/guest-config.js";
import { DNS_PORT } from "../wire/dns.js";

/** DNS over TLS, DTLS and QUIC (RFC 7858, RFC 8094, RFC 9250). */
const DNS_TLS_PORT = 853;

/** What decides where a guest's destinations lead. */
export type Reach = Pick<GuestConfig, "plans"> & {
  readonly dns?: GuestConfig["dns"];
  readonly membership?: Pick<Membership, "mayReach">;
};

/**
 * Where a destination of the guest's leads on the host, by the first line that fits (docs/behaviour.md says why):
 *
 * | destination | leads to |
 * |---|---|
 * | a mapped address | what it is mapped to |
 * | the gateway of a network of Slipway's own, also by its link-local address | nowhere: the loopback is closed |
 * | the DNS address, port 853 | the host's first name server of that family |
 * | loopback, unspecified, 0.0.0.0/8 | nowhere, so that no spelling reaches the host's services |
 * | multicast, broadcast, also that of a network that the guest has an address in | nowhere |
 * | a family that the guest does not have | nowhere |
 * | IPv6 link-local, IPv4-compatible | nowhere |
 * | the guest's own addresses | nowhere |
 * | another address of a network of Slipway's own | nowhere |
 * | on a network: what its `mayReach()` denies | nowhere |
 * | anything else: a neighbour of the host's, IPv4 link-local, the world | itself |
 *
 * The DNS address at port 53 is asked for before, by isOurDns(). IPv4-mapped addresses do not occur: frames that carry
 * one are dropped before.
 *
 * @param port 0 for ping
 * @returns the address to connect to on the host, or the reason why there is none
 */
export function translateDestination(
  reach: Reach,
  destination: Address,
  port: number,
): Address | DropReason {
  const plan = findPlan(reach.plans, destination.family);
  if (plan !== null) {
    for (const { at, to } of plan.mapped) if (at.equals(destination)) return to;
    if (isClosedGateway(plan, destination)) return DropReason.PolicyHostLoopback;
    if (port === DNS_TLS_PORT && plan.dns?.equals(destination) === true) {
      const server = nameServer(reach, destination.family);
      if (server !== undefined) return server;
    }
  }
  if (isOfThisHost(destination)) return DropReason.PolicyHostLoopback;
  if (isForAll(plan, destination)) return DropReason.PolicyMulticast;
  if (plan === null || isOfAnotherLink(destination)) return DropReason.PolicyDenied;
  if (isGuests(plan, destination) || isNobodys(plan, destination)) return DropReason.PolicyDenied;
  if (reach.membership?.mayReach(destination) === false) return DropReason.PolicyDenied;
  return destination;
}

/** Whether a destination is Slipway's DNS address and port, even when DNS is disabled. */
export function isOurDns(
  { plans, membership }: Pick<GuestConfig, "plans" | "membership">,
  destination: Address,
  port: number,
): boolean {
  if (port !== DNS_PORT) return false;
  const plan = findPlan(plans, destination.family);
  return plan?.dns?.equals(destination) === true || membership?.isGateway(destination) === true;
}

/** The gateway of a copied plan is the host's, and leads to itself like any neighbour. */
function isClosedGateway({ neighbors, gateway, router }: AddressPlan, address: Address): boolean {
  return neighbors === "nobody" && (gateway.equals(address) || router.equals(address));
}

function isNobodys({ neighbors, prefix }: AddressPlan, address: Address): boolean {
  return neighbors === "nobody" && prefix.contains(address);
}

function nameServer({ dns }: Reach, family: Family): Address | undefined {
  return dns?.upstream.servers.find((server) => server.family === family);
}

/** Linux takes 0.0.0.0 for its loopback; the rest of 0.0.0.0/8 is no destination (RFC 1122 §3.2.1.3). */
function isOfThisHost(address: Address): boolean {
  if (address.isLoopback || address.isUnspecified) return true;
  return address.family === 4 && address.w3 >>> 24 === 0;
}

function isForAll(plan: AddressPlan | null, address: Address): boolean {
  if (address.isMulticast || address.isBroadcast) return true;
  if (plan === null || address.family !== 4) return false;
  if (isBroadcastOf(plan.guest, plan.prefix.length, address)) return true;
  for (const other of plan.others) {
    if (isBroadcastOf(other.address, other.length, address)) return true;
  }
  return false;
}

/** Whether an IPv4 address is the broadcast address of the network that `own` is in. */
function isBroadcastOf(own: Address, length: number, address: Address): boolean {
  if (length > LONGEST_WITH_BROADCAST) return false;
  return address.w3 === (own.w3 | (0xffff_ffff >>> length)) >>> 0;
}

/**
 * fe80::/10 is the guest's own link, where only Slipway is; ::a.b.c.d is deprecated (RFC 4291 §2.5.5.1) and
 * in use nowhere.
 */
function isOfAnotherLink(address: Address): boolean {
  if (address.family === 4) return false;
  return address.isLinkLocal || (address.w0 | address.w1 | address.w2) === 0;
}
