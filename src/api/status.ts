import manifest from "../../package.json" with { type: "json" };
import { monotonicMs } from "../base/clock.js";
import { hasHostLoopback } from "../config/address-plan.js";
import type { ApiFigures, Subject } from "./subject.js";

/** query_status: addresses, statistics and drops of the network. */
export function statusOf({ guest, tap, pid }: Subject, api: Readonly<ApiFigures>): object {
  const { mtu, plans } = guest.config;
  return {
    version: manifest.version,
    pid: process.pid,
    uptime: Math.floor((monotonicMs() - guest.since) / 1000),
    tap,
    target: pid,
    mtu,
    host_loopback: hasHostLoopback(plans),
    networks: plans.map(({ prefix, gateway, dns, guest: own }) => ({
      network: `${prefix}`,
      gateway: `${gateway}`,
      dns: guest.config.dns === null || dns === null ? null : `${dns}`,
      guest: `${own}`,
    })),
    statistics: guest.statistics(),
    api,
    drops: Object.fromEntries(guest.drops.entries()),
  };
}
