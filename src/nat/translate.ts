import { type Address, type Family, LOOPBACK } from "../base/address.js";
import { DropReason } from "../base/drop.js";
import type { GuestConfig } from "../config/guest-config.js";
import { DNS_PORT } from "../wire/dns.js";

/**
 * Where a destination that the guest names leads on the host (docs/behaviour.md says why):
 *
 * | destination | leads to |
 * |---|---|
 * | the gateway, by its link-local address as well | the host's loopback, if that is allowed |
 * | another address of the guest's network | nowhere |
 * | loopback, unspecified, 0.0.0.0/8 | nowhere: by no spelling to the host's services |
 * | multicast, broadcast | nowhere |
 * | link-local of IPv6, IPv4-compatible | nowhere |
 * | anything else, link-local of IPv4 too | itself |
 *
 * An IPv4-mapped address does not come here: no IPv6 packet may carry one.
 *
 * @returns the host address, or why there is none
 */
export function translateDestination(
  config: GuestConfig,
  destination: Address,
): Address | DropReason {
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

/** Whether that is our own DNS server; there may be none at its address. */
export function isOurDns(config: GuestConfig, destination: Address, port: number): boolean {
  return port === DNS_PORT && config.plans.some(({ dns }) => dns.equals(destination));
}

/** Linux takes 0.0.0.0 for its loopback, and what is left of 0/8 for an error (RFC 1122 §3.2.1.3). */
function isOfThisHost(address: Address): boolean {
  if (address.isLoopback || address.isUnspecified) return true;
  return address.family === 4 && address.w3 >>> 24 === 0;
}

/**
 * fe80::/10 means the sender's own link, where there is nobody but us; ::a.b.c.d is deprecated
 * (RFC 4291 §2.5.5.1), and nobody has such an address.
 */
function isOfAnotherLink(address: Address): boolean {
  if (address.family === 4) return false;
  return address.isLinkLocal || (address.w0 | address.w1 | address.w2) === 0;
}

/**
 * As whom a client of a published port appears to the guest: as itself, so that the guest's logs
 * and rules tell the truth. As the gateway, where that could not be answered: loopback, addresses
 * of the link or of the guest's own network, and clients of the other family.
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

/** The gateway's address, of that family where the guest has it. */
export function gatewayOf({ plans }: Pick<GuestConfig, "plans">, family: Family): Address {
  const plan = plans.find(({ prefix }) => prefix.address.family === family);
  return (plan ?? plans[0]).gateway;
}
