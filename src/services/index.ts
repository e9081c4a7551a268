import { gatewayMac } from "../config/address-plan.js";
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
  const { plans, dns } = config;
  const mac = gatewayMac(plans);
  const ipv4 = plans.filter(({ prefix }) => prefix.address.family === 4);
  const ipv6 = plans.filter(({ prefix }) => prefix.address.family === 6);
  const ndp = ipv6.map((plan) => new NdpService(plan, config));
  return {
    responders: [
      new ArpService(plans),
      ...ndp,
      ...ipv4.map((plan) => new DhcpService(plan, config)),
      ...ipv6.map((plan) => new Dhcpv6Service(plan, config)),
      ...(dns === null
        ? []
        : plans.map(({ guest }) => new DnsService(guest.family, dns, mac, config))),
      new EchoService(plans),
    ],
    announcers: ndp,
  };
}
