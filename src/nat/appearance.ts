import type { Address, Family } from "../base/address.js";
import { type AddressPlan, isGuests, planOfFamily } from "../config/address-plan.js";
import type { GuestConfig } from "../config/guest-config.js";

/**
 * The source address that the guest sees for a client of a published port, by the first line that fits. It is the
 * client's own, so that the guest's logs and filters are right, unless the guest could not answer there:
 *
 * | client | appears as |
 * |---|---|
 * | what a mapped address leads to: the host at a shadowed address, or on its loopback | the mapped address |
 * | another address of the host's loopback | the mapped address that leads to the loopback, or the gateway |
 * | of the other family | the gateway |
 * | an address that the guest has, too | the gateway |
 * | in a network of Slipway's own | the gateway |
 * | in a network that the guest's addresses are in: a neighbour of the host's | itself |
 * | link-local | the gateway |
 * | anybody else | itself |
 *
 * @param family of the guest's address
 */
export function appearanceOf(
  config: Pick<GuestConfig, "plans">,
  client: Address,
  family: Family,
): Address {
  const plan = planOfFamily(config.plans, family);
  for (const { at, to } of plan.mapped) if (to.equals(client)) return at;
  if (client.isLoopback) return loopbackOf(plan);
  if (client.family !== family || isGuests(plan, client)) return plan.gateway;
  if (plan.prefix.contains(client)) return plan.neighbors === "host" ? client : plan.gateway;
  return client.isLinkLocal ? plan.gateway : client;
}

/**
 * As whom somebody appears who sends to a port from which the guest has sent to the world: as himself, as the guest
 * knows him by that address, unless the guest has it, too.
 */
export function appearanceOfPeer(config: Pick<GuestConfig, "plans">, peer: Address): Address {
  const plan = planOfFamily(config.plans, peer.family);
  return isGuests(plan, peer) ? appearanceOf(config, peer, peer.family) : peer;
}

/** The gateway's address of `family`, or of the guest's only family. */
export function gatewayOf({ plans }: Pick<GuestConfig, "plans">, family: Family): Address {
  return planOfFamily(plans, family).gateway;
}

function loopbackOf({ mapped, gateway }: AddressPlan): Address {
  for (const { at, to } of mapped) if (to.isLoopback) return at;
  return gateway;
}
