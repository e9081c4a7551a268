import type { GuestConfig } from "../base/plan.js";
import { ArpService } from "./arp.js";
import { DnsService } from "./dns.js";
import { EchoService } from "./echo.js";
import { NdpService } from "./ndp.js";
import type { Announcer, Service } from "./service.js";

export type { Announcer, Service, Verdict } from "./service.js";

/** What Slipway is on one guest's network. */
export interface Services {
  /** In the order in which they are asked; the first that claims decides. */
  readonly responders: readonly Service[];
  readonly announcers: readonly Announcer[];
}

export function servicesFor(config: GuestConfig): Services {
  const { plans, dns } = config;
  const ndp = plans
    .filter(({ prefix }) => prefix.address.family === 6)
    .map((plan) => new NdpService(plan, config));
  return {
    responders: [
      new ArpService(plans),
      ...ndp,
      ...(dns === null ? [] : plans.map((plan) => new DnsService(plan, dns))),
      new EchoService(plans),
    ],
    announcers: ndp,
  };
}
