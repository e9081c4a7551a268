import type * as v from "valibot";
import type { Address, Family } from "../base/address.js";
import type { Limits } from "../base/limits.js";
import {
  type AddressPlan,
  DEFAULT_PREFIX,
  DEFAULT_TIMEOUTS,
  type GuestConfig,
  planFor,
  type Timeouts,
} from "../base/plan.js";
import type { attachOptions, HostRecord, runOptions, slirp4netnsOptions } from "./options.js";

/** What the user asked of the guest's network. */
export interface NetworkOptions {
  readonly mtu: number;
  readonly ipv4: AddressPlan;
  readonly ipv6: Ipv6Options;
  readonly hostLoopback: boolean;
  /** null when nothing shall answer at the DNS address. */
  readonly dns: DnsOptions | null;
  /** An address or an interface, by family; null for what the kernel takes. */
  readonly outbound: Readonly<Record<Family, string | null>>;
  readonly udpFiltering: GuestConfig["udpFiltering"];
  readonly timeouts: Timeouts;
  /** In bytes. */
  readonly memoryBudget: number;
  readonly limits: Limits;
}

export interface Ipv6Options {
  readonly plan: AddressPlan;
  readonly when: "always" | "if the host has it" | "never";
}

export interface DnsOptions {
  /** Instead of the host's; none: the host's. */
  readonly servers: readonly Address[];
  /** Instead of the host's; none: the host's. */
  readonly search: readonly string[];
  readonly records: readonly HostRecord[];
}

const DEFAULT_IPV6_PLAN = planFor(DEFAULT_PREFIX[6]);

type SlipwayOptions = v.InferOutput<typeof runOptions> | v.InferOutput<typeof attachOptions>;
type Slirp4netnsOptions = v.InferOutput<typeof slirp4netnsOptions>;

/** Of `slipway run` and `slipway attach`. */
export function slipwayNetwork(options: SlipwayOptions): NetworkOptions {
  const { dns: servers, dnsSearch: search, addHost: records } = options;
  return {
    ...commonNetwork(options),
    ipv6: {
      plan: options.ipv6Cidr ?? DEFAULT_IPV6_PLAN,
      when: options.ipv6 ? wanted(options.ipv6Cidr, "if the host has it") : "never",
    },
    hostLoopback: options.hostLoopback,
    dns: options.disableDns ? null : { servers, search, records },
  };
}

/** Of `slirp4netns`, where IPv6 is off unless it is asked for. */
export function slirp4netnsNetwork(options: Slirp4netnsOptions): NetworkOptions {
  return {
    ...commonNetwork(options),
    ipv6: {
      plan: options.ipv6Cidr ?? DEFAULT_IPV6_PLAN,
      when: options.enableIpv6 ? "always" : wanted(options.ipv6Cidr, "never"),
    },
    hostLoopback: !options.disableHostLoopback,
    dns: options.disableDns ? null : { servers: [], search: [], records: [] },
  };
}

function commonNetwork(options: SlipwayOptions | Slirp4netnsOptions) {
  const { mtu, cidr: ipv4, outboundAddr, outboundAddr6, udpFiltering } = options;
  const outbound = { 4: outboundAddr, 6: outboundAddr6 };
  const limits = limitsOf(options);
  // Of those of one kind the last counts.
  const timeouts = Object.assign({ ...DEFAULT_TIMEOUTS }, ...options.timeout);
  const memoryBudget = options.memory;
  return { mtu, ipv4, outbound, udpFiltering, timeouts, memoryBudget, limits };
}

function limitsOf(options: SlipwayOptions | Slirp4netnsOptions): Limits {
  return {
    flows: options.maxFlows,
    flowsPerDestination: options.maxFlowsPerDestination,
    halfOpen: options.maxHalfOpen,
    newFlows: options.maxNewFlows,
    mappings: options.maxMappings,
    newMappings: options.maxNewMappings,
    reassemblies: options.maxReassemblies,
    listeners: options.maxListeners,
    dnsQueries: options.maxDnsQueries,
  };
}

/** Whoever names a network wants it. */
function wanted(plan: AddressPlan | null, otherwise: Ipv6Options["when"]): Ipv6Options["when"] {
  return plan === null ? otherwise : "always";
}
