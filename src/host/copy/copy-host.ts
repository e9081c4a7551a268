import { log } from "../../base/log.js";
import type { Mac } from "../../base/mac.js";
import { HIGHEST_PORT } from "../../base/port-set.js";
import type { PastaConfig } from "../../commandline/pasta/config.js";
import { DEFAULT_MEMORY_BUDGET, DEFAULT_MTU, TXQUEUELEN } from "../../config/constants.js";
import type { Upstream } from "../../config/dns-config.js";
import { DEFAULT_TIMEOUTS, type GuestConfig } from "../../config/guest-config.js";
import { DEFAULT_LIMITS } from "../../config/limits.js";
import type { TapSettings } from "../../netns/tap.js";
import { randomInterfaceMac } from "../../sys/random.js";
import type { RouteTables } from "../../wire/rtnetlink-dump.js";
import { sourceOf, upstreamOf } from "../guest-config.js";
import {
  MOST_ADDRESSES,
  MOST_ROUTES,
  plansOf,
  requireInterfaces,
  type Templates,
  templatesOf,
} from "./plans.js";

/** The interface's name where the host has none to copy. */
const DEFAULT_NAME = "tap0";

/** A guest that has what the host has. */
export interface HostCopy {
  readonly config: GuestConfig;
  /** Name of its interface. */
  readonly ifname: string;
  /** Of its interface. */
  readonly mac: Mac;
  readonly settings: TapSettings;
  /** What it has copied. */
  readonly templates: Templates;
}

/**
 * What a guest is configured with by a command line of pasta or passt, on this host as it is now.
 * @param host the host's resolv.conf
 * @throws UserError when options contradict each other, or the host
 */
export function copyHost(options: PastaConfig, tables: RouteTables, host: Upstream): HostCopy {
  const { addressing } = options;
  requireInterfaces(tables, addressing);
  const templates = templatesOf(tables, addressing);
  warnOfMany(templates);
  const mac = addressing.guestMac ?? randomInterfaceMac();
  const plans = plansOf(options, templates, host, mac);
  const config: GuestConfig = {
    mtu: addressing.mtu ?? DEFAULT_MTU,
    plans,
    gatewayMac: addressing.gatewayMac,
    protocols: options.protocols,
    services: servicesOf(options),
    dns: { upstream: upstreamOf(host, options.dns.host, options.dns.search), records: new Map() },
    hostname: options.dns.hostname,
    outbound: { 4: sourceOf(options.outbound, 4), 6: sourceOf(options.outbound, 6) },
    udpFiltering: "endpoint",
    timeouts: DEFAULT_TIMEOUTS,
    memoryBudget: DEFAULT_MEMORY_BUDGET,
    // -t all -u all, and two sockets where one of both families cannot be had. Those of auto have a limit of their own.
    limits: { ...DEFAULT_LIMITS, listeners: 4 * HIGHEST_PORT },
  };
  return {
    config,
    ifname: nameOf(options, templates),
    mac,
    settings: settingsOf(options, config, mac),
    templates,
  };
}

/**
 * An interface that is configured here has the host's addresses and no others, as with pasta: an advertisement would have
 * the kernel make one more of the prefix.
 */
function servicesOf({ services, addressing }: PastaConfig): GuestConfig["services"] {
  return { ...services, ra: services.ra && !addressing.configure };
}

function nameOf({ addressing }: PastaConfig, templates: Templates): string {
  const [first, second] = addressing.families.map((family) => templates[family]?.link.name);
  return addressing.ifname ?? first ?? second ?? DEFAULT_NAME;
}

/** An interface that the guest configures by itself keeps its MAC, unless the user gives one, and stays down. */
function settingsOf({ addressing }: PastaConfig, { plans }: GuestConfig, mac: Mac): TapSettings {
  const { configure, guestMac, mtu } = addressing;
  const link = { txqueuelen: TXQUEUELEN, ...(mtu === null ? {} : { mtu }) };
  if (configure) return { ...link, plans, mac };
  return { ...link, plans: [], isUp: false, ...(guestMac === null ? {} : { mac: guestMac }) };
}

function warnOfMany(templates: Templates): void {
  for (const template of [templates[4], templates[6]]) {
    if (template === null) continue;
    const { addresses, routes, link } = template;
    if (addresses.length <= MOST_ADDRESSES && routes.length <= MOST_ROUTES) continue;
    log.warn(
      `${link.name} has ${addresses.length} addresses and ${routes.length} routes: the guest has the first ${MOST_ADDRESSES} and ${MOST_ROUTES}`,
    );
  }
}
