import { type Address, type Family, LOOPBACK } from "../base/address.js";
import { DropReason } from "../base/drop.js";
import { planOfFamily } from "../config/address-plan.js";
import type { GuestConfig, Membership } from "../config/guest-config.js";
import { DNS_PORT } from "../wire/dns.js";

/** What decides where a guest's destinations lead. */
export type Reach = Pick<GuestConfig, "plans" | "hostLoopback"> & {
  readonly membership?: Pick<Membership, "mayReach">;
};

/**
 * Where a destination of the guest's leads on the host (docs/behaviour.md says why):
 *
 * | destination | leads to |
 * |---|---|
 * | the gateway, also by its link-local address | the host's loopback, if that is allowed |
 * | another address of the guest's network | nowhere |
 * | loopback, unspecified, 0.0.0.0/8 | nowhere, so that no spelling reaches the host's services |
 * | multicast, broadcast | nowhere |
 * | IPv6 link-local, IPv4-compatible | nowhere |
 * | on a network: what its `mayReach()` denies | nowhere |
 * | anything else, IPv4 link-local included | itself |
 *
 * IPv4-mapped addresses do not occur: frames that carry one are dropped before.
 *
 * @returns the address to connect to on the host, or the reason why there is none
 */
export function translateDestination(config: Reach, destination: Address): Address | DropReason {
  for (const plan of config.plans) {
    if (plan.gateway.equals(destination) || plan.router.equals(destination)) {
      return config.hostLoopback ? LOOPBACK[destination.family] : DropReason.PolicyHostLoopback;
    }
    if (!plan.prefix.contains(destination)) continue;
    const isForAll = destination.family === 4 && destination.equals(plan.prefix.last);
    return isForAll ? DropReason.PolicyMulticast : DropReason.PolicyDenied;
  }
  if (isOfThisHost(destination)) return DropReason.PolicyHostLoopback;
  if (destination.isMulticast || destination.isBroadcast) return DropReason.PolicyMulticast;
  if (isOfAnotherLink(destination)) return DropReason.PolicyDenied;
  if (config.membership?.mayReach(destination) === false) return DropReason.PolicyDenied;
  return destination;
}

/** Whether a destination is Slipway's DNS address and port, even when DNS is disabled. */
export function isOurDns(
  { plans, membership }: Pick<GuestConfig, "plans" | "membership">,
  destination: Address,
  port: number,
): boolean {
  if (port !== DNS_PORT) return false;
  return (
    plans.some(({ dns }) => dns?.equals(destination) === true) ||
    membership?.isGateway(destination) === true
  );
}

/** Linux takes 0.0.0.0 for its loopback; the rest of 0.0.0.0/8 is no destination (RFC 1122 §3.2.1.3). */
function isOfThisHost(address: Address): boolean {
  if (address.isLoopback || address.isUnspecified) return true;
  return address.family === 4 && address.w3 >>> 24 === 0;
}

/**
 * fe80::/10 is the guest's own link, where only Slipway is; ::a.b.c.d is deprecated (RFC 4291 §2.5.5.1) and
 * in use nowhere.
 */
function isOfAnotherLink(address: Address): boolean {
  if (address.family === 4) return false;
  return address.isLinkLocal || (address.w0 | address.w1 | address.w2) === 0;
}

/**
 * The source address that the guest sees for a client of a published port. It is the client's own, so that
 * the guest's logs and filters are right, or the gateway's where the guest could not answer the client's own:
 * loopback, link-local, an address of the guest's network, or the other family.
 * @param family of the guest's address
 */
export function appearanceOf(
  config: Pick<GuestConfig, "plans">,
  client: Address,
  family: Family,
): Address {
  const isForeign = client.family === family && !client.isLoopback && !client.isLinkLocal;
  const isInside = config.plans.some(({ prefix }) => prefix.contains(client));
  return isForeign && !isInside ? client : gatewayOf(config, family);
}

/** The gateway's address of `family`, or of the guest's only family. */
export function gatewayOf({ plans }: Pick<GuestConfig, "plans">, family: Family): Address {
  return planOfFamily(plans, family).gateway;
}
