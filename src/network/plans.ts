import { Address, Prefix } from "../base/address.js";
import type { Mac } from "../base/mac.js";
import {
  type AddressPlan,
  defaultRoute,
  gatewayMac,
  withHostLoopback,
} from "../config/address-plan.js";
import type { Reach } from "../nat/translate.js";

/** A subnet of a network: one of each family at most. */
export interface MemberSubnet {
  readonly prefix: Prefix;
  readonly gateway: Address;
}

/** @throws RangeError when a text is malformed, which the daemon does not send */
export function parseSubnet(prefix: string, gateway: string): MemberSubnet {
  return { prefix: Prefix.parse(prefix), gateway: parseAddress(gateway) };
}

/** @throws RangeError when the text is malformed, which the daemon does not send */
export function parseAddress(text: string): Address {
  const address = Address.parse(text);
  if (address === null) throw new RangeError(`${text} is not an address`);
  return address;
}

/**
 * The address plans of a member: one for each subnet that one of its addresses is in.
 * @param hostLoopback whether its gateways lead to the host's loopback
 */
export function memberPlans(
  subnets: readonly MemberSubnet[],
  addresses: readonly Address[],
  hostLoopback = false,
): readonly AddressPlan[] {
  const plans = subnets.flatMap((subnet) => {
    const guest = addresses.find((address) => subnet.prefix.contains(address));
    return guest === undefined ? [] : [memberPlan(subnet, guest)];
  });
  return plansTo(hostLoopback, plans);
}

function plansTo(hostLoopback: boolean, plans: readonly AddressPlan[]): readonly AddressPlan[] {
  return hostLoopback ? plans.map(withHostLoopback) : plans;
}

/**
 * Where a member's gateway leads.
 * @param subnets of its first network that is not internal; empty: it has none
 * @param isInside whether an address is on some network of the daemon
 */
export function memberReach(
  subnets: readonly MemberSubnet[],
  hostLoopback: boolean,
  isInside: (address: Address) => boolean,
): Reach {
  return {
    plans: plansTo(
      hostLoopback,
      subnets.map((subnet) => memberPlan(subnet, subnet.gateway)),
    ),
    membership: { mayReach: (address) => !isInside(address) },
  };
}

/** The gateway's MAC, the same for every member of a network. */
export function networkMac(subnets: readonly MemberSubnet[]): Mac {
  return gatewayMac(subnets.map((subnet) => memberPlan(subnet, subnet.gateway)));
}

/** The gateway is router and DNS server, and DHCP offers the one address that the member has. */
export function memberPlan({ prefix, gateway }: MemberSubnet, guest: Address): AddressPlan {
  return {
    prefix,
    gateway,
    router: gateway,
    dns: gateway,
    nameServers: [gateway],
    guest,
    others: [],
    routes: [defaultRoute(gateway)],
    dhcpBegin: guest,
    dhcpEnd: guest,
    mapped: [],
    neighbors: "nobody",
  };
}
