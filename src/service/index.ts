import type { GuestConfig } from "../base/plan.js";
import { ArpService } from "./arp.js";
import { DnsService } from "./dns.js";
import { EchoService } from "./echo.js";
import type { Service } from "./service.js";

export type { Service, Verdict } from "./service.js";

/** The services of a guest, in the order in which they are asked; the first that claims decides. */
export function servicesFor(config: GuestConfig): readonly Service[] {
  return [
    new ArpService(config.plans),
    ...(config.dns ? config.plans.map((plan) => new DnsService(plan, config.resolvers)) : []),
    new EchoService(config.plans),
  ];
}
