import { Address, type Family } from "../base/address.js";
import { DropReason } from "../base/drop.js";
import type { GuestConfig } from "../base/plan.js";

const LOOPBACK: Readonly<Record<Family, Address>> = {
  4: Address.ofIpv4Word(0x7f00_0001),
  6: Address.ofWords(0, 0, 0, 1),
};

/**
 * Where a destination that the guest names leads on the host:
 *
 * | destination | leads to |
 * |---|---|
 * | the gateway | the host's loopback, if that is allowed |
 * | another address of the guest's network | nowhere |
 * | loopback, unspecified, broadcast | nowhere: by no spelling to the host's own services |
 * | multicast | nowhere |
 * | anything else | itself |
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
    if (plan.prefix.contains(destination)) return DropReason.PolicyDenied;
  }
  if (destination.isLoopback || destination.isUnspecified || destination.isBroadcast) {
    return DropReason.PolicyHostLoopback;
  }
  if (destination.isMulticast) return DropReason.PolicyMulticast;
  return destination;
}

/**
 * As whom a client of a published port appears to the guest: as itself, so that the guest's logs
 * and rules tell the truth. As the gateway, where that could not be answered: loopback, addresses
 * of the link or of the guest's own network, and clients of the other family.
 */
export function appearanceOf(config: GuestConfig, client: Address, family: Family): Address {
  const plan = config.plans.find(({ prefix }) => prefix.address.family === family);
  const { gateway } = plan ?? config.plans[0];
  const isForeign = client.family === family && !client.isLoopback && !client.isLinkLocal;
  const isInside = config.plans.some(({ prefix }) => prefix.contains(client));
  return isForeign && !isInside ? client : gateway;
}
