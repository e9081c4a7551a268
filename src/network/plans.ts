import type { Address, Prefix } from "../base/address.js";
import type { Mac } from "../base/mac.js";
import { type AddressPlan, gatewayMac } from "../base/plan.js";

/** One family of a network, as a member sees it. */
export interface MemberSubnet {
  readonly prefix: Prefix;
  readonly gateway: Address;
}

/** Who is who, as the member with these addresses sees it. */
export function memberPlans(
  subnets: readonly MemberSubnet[],
  addresses: readonly Address[],
): readonly AddressPlan[] {
  return subnets.flatMap((subnet) => {
    const guest = addresses.find((address) => subnet.prefix.contains(address));
    return guest === undefined ? [] : [planOf(subnet, guest)];
  });
}

/** At which every member finds the gateway. */
export function networkMac(subnets: readonly MemberSubnet[]): Mac {
  return gatewayMac(subnets.map((subnet) => planOf(subnet, subnet.gateway)));
}

/**
 * The gateway is router and DNS server, and DHCP has nothing to hand out but the address that the
 * member has anyhow.
 */
function planOf({ prefix, gateway }: MemberSubnet, guest: Address): AddressPlan {
  return {
    prefix,
    gateway,
    router: gateway,
    dns: gateway,
    guest,
    dhcpBegin: guest,
    dhcpEnd: guest,
  };
}
