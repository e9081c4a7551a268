import type { GuestConfig } from "../config/guest-config.js";
import { ArpService } from "./arp.js";
import { DhcpService } from "./dhcp.js";
import { Dhcpv6Service } from "./dhcpv6.js";
import { DnsService } from "./dns.js";
import { EchoService } from "./echo.js";
import { NdpService } from "./ndp.js";
import type { Announcer, Service } from "./service.js";

export { DNS_SERVICE } from "./dns.js";
export type { Announcer, Service, Verdict } from "./service.js";

/** The services of one guest. */
export interface Services {
  /** In the order in which they are asked; the first that claims a frame decides about it. */
  readonly responders: readonly Service[];
  readonly announcers: readonly Announcer[];
}

export function servicesFor(config: GuestConfig): Services {
  const { plans, dns, gatewayMac, protocols, services } = config;
  const ipv4 = plans.filter(({ guest }) => guest.family === 4);
  const ipv6 = plans.filter(({ guest }) => guest.family === 6);
  // A guest makes its link-local address itself.
  const leased = services.dhcpv6 ? ipv6.filter(({ guest }) => !guest.isLinkLocal) : [];
  const ndp = services.ndp || services.ra ? ipv6.map((plan) => new NdpService(plan, config)) : [];
  const dhcp = services.dhcp ? ipv4.map((plan) => new DhcpService(plan, config)) : [];
  const dhcpv6 = leased.map((plan) => new Dhcpv6Service(plan, config));
  const names =
    dns !== null && protocols.udp
      ? plans.map(({ guest }) => new DnsService(guest.family, dns, gatewayMac, config))
      : [];
  const echo = protocols.icmp ? [new EchoService(plans)] : [];
  const arp = new ArpService(config);
  return { responders: [arp, ...ndp, ...dhcp, ...dhcpv6, ...names, ...echo], announcers: ndp };
}
