import { Address, Prefix } from "../base/address.js";
import { DEFAULT_MEMORY_BUDGET, HOST_NAMES } from "../base/constants.js";
import { DEFAULT_LIMITS } from "../base/limits.js";
import {
  DEFAULT_TIMEOUTS,
  type DnsConfig,
  type GuestConfig,
  type NameTable,
  type Upstream,
} from "../base/plan.js";
import { NetworkNames } from "../network/names.js";
import { type MemberSubnet, memberPlans } from "../network/plans.js";
import type { Fact, NameFact, NetworkFact, PortConfig } from "./messages.js";

/** A network as it is known in this thread. */
export interface KnownNetwork {
  readonly subnets: readonly MemberSubnet[];
  readonly internal: boolean;
  readonly mtu: number;
  readonly names: NetworkNames;
}

/** What is known of all networks, those of other threads, too. */
export class Directory {
  readonly #upstream: Upstream;
  readonly #networks = new Map<string, KnownNetwork>();
  /** On which networks each member is. */
  readonly #members = new Map<string, readonly string[]>();
  /** How what was learnt under a key is forgotten. */
  readonly #undo = new Map<string, () => void>();

  /** @param upstream the host's resolvers */
  constructor(upstream: Upstream) {
    this.#upstream = upstream;
  }

  learn(key: string, fact: Fact): void {
    this.forget(key);
    this.#undo.set(key, this.#take(fact));
  }

  forget(key: string): void {
    this.#undo.get(key)?.();
    this.#undo.delete(key);
  }

  /** @throws RangeError when there is none of that id: it was to be told before */
  network(id: string): KnownNetwork {
    const network = this.#networks.get(id);
    if (network === undefined) throw new RangeError(`network ${id} is unknown`);
    return network;
  }

  /** On which networks a member is, in the order in which they are asked for a name. */
  networksOf(member: string): readonly KnownNetwork[] {
    const ids = this.#members.get(member) ?? [];
    return ids.flatMap((id) => this.#networks.get(id) ?? []);
  }

  /** What a place on a network is to be. */
  configOf(port: PortConfig): GuestConfig {
    const network = this.network(port.network);
    const { internal, mtu, subnets } = network;
    return {
      mtu,
      plans: memberPlans(subnets, port.addresses.map(addressOf)),
      hostLoopback: port.hostLoopback && !internal,
      hostname: port.hostname,
      dns: this.#dnsOf(port, network),
      outbound: { 4: null, 6: null },
      udpFiltering: "endpoint" as const,
      memoryBudget: DEFAULT_MEMORY_BUDGET,
      limits: DEFAULT_LIMITS,
      timeouts: DEFAULT_TIMEOUTS,
      membership: { mayReach: (address) => !internal && !this.#contains(address) },
    };
  }

  #dnsOf(port: PortConfig, network: KnownNetwork): DnsConfig {
    const upstream = this.#upstream;
    const own = port.dns.map(addressOf);
    const none: readonly Address[] = [];
    return {
      upstream: {
        get servers() {
          if (network.internal) return none;
          return own.length > 0 ? own : upstream.servers;
        },
        search: [],
      },
      records: new MemberNames(this, port, network),
    };
  }

  /** Whether an address is on some network of ours, so that no other reaches it. */
  #contains(address: Address): boolean {
    for (const { subnets } of this.#networks.values()) {
      if (subnets.some(({ prefix }) => prefix.contains(address))) return true;
    }
    return false;
  }

  /** @returns what undoes it */
  #take(fact: Fact): () => void {
    switch (fact.kind) {
      case "network":
        this.#networks.set(fact.id, knownNetwork(fact));
        return () => this.#networks.delete(fact.id);
      case "member":
        this.#members.set(fact.id, fact.networks);
        return () => this.#members.delete(fact.id);
      case "name":
        return this.#takeName(fact);
    }
  }

  #takeName({ network, names, addresses }: NameFact): () => void {
    const table = this.network(network).names;
    const named = { names, addresses: addresses.map(addressOf) };
    table.add(named);
    return () => table.remove(named);
  }
}

/** The names that one member can resolve: those of all networks that it is on, and no others. */
class MemberNames implements NameTable {
  readonly #directory: Directory;
  readonly #member: string;
  readonly #network: KnownNetwork;
  readonly #hosts: ReadonlyMap<string, readonly Address[]>;

  constructor(directory: Directory, { member, hosts }: PortConfig, network: KnownNetwork) {
    this.#directory = directory;
    this.#member = member;
    this.#network = network;
    this.#hosts = new Map(hosts.map(([name, addresses]) => [name, addresses.map(addressOf)]));
  }

  get(name: string, type: string): readonly Address[] | undefined {
    const given = this.#hosts.get(name);
    if (given !== undefined) return given;
    for (const { names } of this.#directory.networksOf(this.#member)) {
      const found = names.addressesOf(name, type);
      if (found !== undefined) return found;
    }
    if (!HOST_NAMES.includes(name)) return undefined;
    return this.#network.subnets.map(({ gateway }) => gateway);
  }

  namesOf(address: Address): readonly string[] | undefined {
    for (const { names } of this.#directory.networksOf(this.#member)) {
      const found = names.namesOf(address);
      if (found !== undefined) return found;
    }
    return undefined;
  }
}

function knownNetwork({ subnets, internal, mtu }: NetworkFact): KnownNetwork {
  const known = subnets.map(({ prefix, gateway }) => ({
    prefix: Prefix.parse(prefix),
    gateway: addressOf(gateway),
  }));
  return { subnets: known, internal, mtu, names: new NetworkNames() };
}

/** @throws RangeError for what the main thread would not send */
export function addressOf(text: string): Address {
  const address = Address.parse(text);
  if (address === null) throw new RangeError(`${text} is not an address`);
  return address;
}
