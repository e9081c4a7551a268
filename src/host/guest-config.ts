import { hostname } from "node:os";
import type { Address, Family } from "../base/address.js";
import type { Mac } from "../base/mac.js";
import type { DnsOptions, NetworkOptions } from "../commandline/invocation.js";
import { type AddressPlan, gatewayMac, withHostLoopback } from "../config/address-plan.js";
import { HOST_GATEWAY, HOST_NAMES, IPV6_LEAST_MTU, TXQUEUELEN } from "../config/constants.js";
import type { DnsConfig, Upstream } from "../config/dns-config.js";
import { ALL_PROTOCOLS, ALL_SERVICES, type GuestConfig } from "../config/guest-config.js";
import { hostGateway, type Reach, requireHostGateway } from "../nat/host-gateway.js";
import type { TapSettings } from "../netns/tap.js";
import { native } from "../sys/native.js";
import { hostHasIpv6, outboundAddress } from "./host-addresses.js";

export const RESOLV_CONF = "/etc/resolv.conf";

/**
 * The guest's configuration: the options, completed by what this machine has.
 * @param host the host's resolv.conf
 * @param name the guest's hostname; null: unknown
 * @throws UserError for an outbound address that the machine does not have
 */
export function guestConfig(
  network: NetworkOptions,
  host: Upstream,
  name: string | null,
): GuestConfig {
  const { mtu, hostLoopback, dns, outbound, udpFiltering, memoryBudget } = network;
  const { timeouts, limits } = network;
  const own = plansOf(network);
  const plans = hostLoopback ? own.map(withHostLoopback) : own;
  const reach = { plans };
  return {
    mtu,
    plans,
    gatewayMac: gatewayMac(plans),
    protocols: ALL_PROTOCOLS,
    services: ALL_SERVICES,
    dns: dns === null ? null : dnsConfig(dns, host, reach, name),
    hostname: name,
    outbound: { 4: sourceOf(outbound, 4), 6: sourceOf(outbound, 6) },
    udpFiltering,
    timeouts,
    memoryBudget,
    limits,
  };
}

/** @throws UserError for an outbound address that the machine does not have */
export function sourceOf(outbound: NetworkOptions["outbound"], family: Family): Address | null {
  const wanted = outbound[family];
  return wanted === null ? null : outboundAddress(wanted.option, wanted.source, family);
}

/** @param mac of the TAP; null for the one that the kernel gives it */
export function tapSettings({ plans, mtu }: GuestConfig, mac: Mac | null = null): TapSettings {
  const settings = { plans, mtu, txqueuelen: TXQUEUELEN };
  return mac === null ? settings : { ...settings, mac };
}

/** The hostname of a process that shares ours, as it is in its UTS namespace; otherwise null. */
export function hostnameOf(pid: number | null): string | null {
  if (pid === null) return null;
  const same = native.sameNamespace(`/proc/${pid}/ns/uts`, "/proc/self/ns/uts");
  return same === 1 ? hostname() : null;
}

function plansOf({ mtu, ipv4, ipv6 }: NetworkOptions): readonly AddressPlan[] {
  if (mtu < IPV6_LEAST_MTU) return [ipv4];
  switch (ipv6.when) {
    case "always":
      return [ipv4, ipv6.plan];
    case "if the host has it":
      return hostHasIpv6() ? [ipv4, ipv6.plan] : [ipv4];
    case "never":
      return [ipv4];
  }
}

function dnsConfig(
  { servers, search, records }: DnsOptions,
  host: Upstream,
  reach: Reach,
  name: string | null,
): DnsConfig {
  const { plans } = reach;
  const known = new Map<string, readonly Address[]>();
  if (name !== null) {
    const guests = plans.map(({ guest }) => guest);
    known.set(name.toLowerCase(), guests);
  }
  // Records of the user replace ours of the same name; several of one name are its addresses.
  const given = Map.groupBy(records, (record) => record.name);
  for (const [each, group] of given) {
    known.set(
      each,
      group.flatMap(({ address }) =>
        address === HOST_GATEWAY ? requireHostGateway(each, reach) : [address],
      ),
    );
  }
  const ofHost = (asked: string) => (HOST_NAMES.includes(asked) ? hostGateway(reach) : undefined);
  return {
    upstream: upstreamOf(host, servers, search.length > 0 ? search : null),
    records: { get: (asked) => known.get(asked) ?? ofHost(asked) },
  };
}

/**
 * The host's settings, each replaced by the user's if there are any. They follow the host's resolv.conf.
 * @param servers of the user; empty: the host's @param search of the user; null: the host's
 */
export function upstreamOf(
  host: Upstream,
  servers: readonly Address[],
  search: readonly string[] | null,
): Upstream {
  return {
    get servers() {
      return servers.length > 0 ? servers : host.servers;
    },
    get search() {
      return search ?? host.search;
    },
  };
}
