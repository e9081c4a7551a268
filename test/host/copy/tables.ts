import { Prefix, parseCidr } from "../../../src/base/address.js";
import type { PastaConfig } from "../../../src/commandline/pasta/config.js";
import type { AddressPlan, Route } from "../../../src/config/address-plan.js";
import type { Upstream } from "../../../src/config/dns-config.js";
import { type PlanOptions, plansOf, templatesOf } from "../../../src/host/copy/plans.js";
import type {
  Link,
  LinkAddress,
  LinkRoute,
  RouteTables,
} from "../../../src/wire/rtnetlink-dump.js";
import { address } from "../../base/addresses.js";

export const MAC = 0x02_00_00_00_00_64;

/** A link that is up, or with `changes`. */
export function link(index: number, name: string, changes: Partial<Link> = {}): Link {
  return {
    index,
    name,
    mtu: 1500,
    isLoopback: name === "lo",
    isUp: true,
    isRunning: true,
    ...changes,
  };
}

/** @param text as `192.0.2.5/24` */
export function own(link: number, text: string, changes: Partial<LinkAddress> = {}): LinkAddress {
  const { address, prefix } = parseCidr(text);
  const flags = { isGlobal: true, isPreferred: true, isTemporary: false };
  return { link, address, length: prefix.length, ...flags, ...changes };
}

/** @param via next hop; null: on the link */
export function route(
  link: number,
  destination: string,
  via: string | null,
  changes: Partial<LinkRoute> = {},
): LinkRoute {
  const flags = { isViaOtherFamily: false, metric: 0, isOfKernel: false };
  const next = via === null ? null : address(via);
  return { link, destination: Prefix.parse(destination), via: next, ...flags, ...changes };
}

export function tables(links: Link[], addresses: LinkAddress[], routes: LinkRoute[]): RouteTables {
  return {
    links: [link(1, "lo"), ...links],
    addresses: [own(1, "127.0.0.1/8"), ...addresses],
    routes,
  };
}

/** A host with eth0, one address and a default route in each family. */
export const HOST = tables(
  [link(2, "eth0")],
  [own(2, "192.0.2.5/24"), own(2, "2001:db8::5/64"), own(2, "fe80::5/64")],
  [
    route(2, "0.0.0.0/0", "192.0.2.1", { metric: 100 }),
    route(2, "192.0.2.0/24", null, { isOfKernel: true }),
    route(2, "2001:db8::/64", null, { isOfKernel: true, metric: 256 }),
    route(2, "fe80::/64", null, { isOfKernel: true, metric: 256 }),
    route(2, "::/0", "fe80::1", { metric: 1024 }),
  ],
);

export const NOTHING = tables([], [], []);

export interface Changes {
  readonly addressing?: Partial<PastaConfig["addressing"]>;
  readonly mapping?: Partial<PastaConfig["mapping"]>;
  readonly dns?: Partial<PastaConfig["dns"]>;
}

/** What a command line without options asks for, or with `changes`. */
export function options({ addressing, mapping, dns }: Changes = {}): PlanOptions {
  return {
    addressing: {
      families: [4, 6],
      template: { 4: null, 6: null },
      addresses: [],
      netmask: null,
      gateways: [],
      ifname: null,
      mtu: 65520,
      configure: true,
      copiesAll: { addresses: true, routes: true },
      guestMac: MAC,
      gatewayMac: MAC + 1,
      follows: true,
      ...addressing,
    },
    mapping: {
      toLoopback: { 4: "gateway", 6: "gateway" },
      toShadowed: { 4: null, 6: null },
      ...mapping,
    },
    dns: {
      forward: [],
      host: [],
      announced: null,
      search: null,
      hostname: null,
      ...dns,
    },
  };
}

/** @param servers of the host's resolv.conf */
export function upstream(...servers: readonly string[]): Upstream {
  return { servers: servers.map(address), search: [] };
}

export function plans(
  host: RouteTables,
  changes: Changes = {},
  resolvers: Upstream = upstream("203.0.113.53"),
): readonly AddressPlan[] {
  const wanted = options(changes);
  return plansOf(wanted, templatesOf(host, wanted.addressing), resolvers, MAC);
}

/** The routes of a plan as ip(8) has them. */
export function routeTexts({ routes }: Pick<AddressPlan, "routes">): readonly string[] {
  return routes.map(routeText);
}

function routeText({ destination, via, metric }: Route): string {
  const parts = [`${destination}`];
  if (via !== null) parts.push(`via ${via}`);
  if (metric !== null) parts.push(`metric ${metric}`);
  return parts.join(" ");
}

export function addressTexts({ guest, prefix, others }: AddressPlan): readonly string[] {
  return [{ address: guest, length: prefix.length }, ...others].map(
    ({ address, length }) => `${address}/${length}`,
  );
}
