import { type Address, Prefix } from "../../base/address.js";
import { DEFAULT_MEMORY_BUDGET } from "../../config/constants.js";
import type { DnsConfig, Upstream } from "../../config/dns-config.js";
import {
  ALL_PROTOCOLS,
  ALL_SERVICES,
  DEFAULT_TIMEOUTS,
  type GuestConfig,
} from "../../config/guest-config.js";
import { DEFAULT_LIMITS } from "../../config/limits.js";
import { hostGateway } from "../../nat/host-gateway.js";
import { type NamedMember, NetworkNames } from "../../network/names.js";
import {
  type MemberSubnet,
  memberPlans,
  memberReach,
  networkMac,
  parseAddress,
  parseSubnet,
} from "../../network/plans.js";
import type { Overlay } from "../../overlay/overlay.js";
import type { Location, OverlayHost, OverlayNetwork } from "../../overlay/tunnel.js";
import { MemberNames, type NamedNetwork } from "./member-names.js";
import type {
  AttachmentConfig,
  Fact,
  HostFact,
  NameFact,
  NetworkFact,
  OverlayFact,
  RemoteFact,
  RemoteLocation,
  RouteFact,
} from "./messages.js";

/** A network as this thread knows it. */
export interface KnownNetwork extends NamedNetwork {
  readonly subnets: readonly MemberSubnet[];
  readonly internal: boolean;
  readonly mtu: number;
}

/** What this thread knows of all networks, also of those that other threads serve. */
export class Directory {
  readonly #upstream: Upstream;
  readonly #overlay: Overlay;
  readonly #networks = new Map<string, KnownNetwork>();
  /** On which networks each member is. */
  readonly #members = new Map<string, readonly string[]>();
  /** By key: withdraws its fact. */
  readonly #undo = new Map<string, () => void>();

  readonly #onFlannelGone: (network: string) => void;

  /**
   * @param upstream the host's resolvers
   * @param overlay is told of hosts, remote members and routes, too
   * @param onFlannelGone a flannel network is being forgotten
   */
  constructor(upstream: Upstream, overlay: Overlay, onFlannelGone: (network: string) => void) {
    this.#upstream = upstream;
    this.#overlay = overlay;
    this.#onFlannelGone = onFlannelGone;
  }

  learn(key: string, fact: Fact): void {
    this.forget(key);
    this.#undo.set(key, this.#take(fact));
  }

  forget(key: string): void {
    this.#undo.get(key)?.();
    this.#undo.delete(key);
  }

  /** @throws RangeError when it is unknown, which is a bug: the main thread sends networks before it uses them */
  network(id: string): KnownNetwork {
    const network = this.#networks.get(id);
    if (network === undefined) throw new RangeError(`network ${id} is unknown`);
    return network;
  }

  /** The networks that a member is on, in the order in which names are looked up. */
  networksOf(member: string): readonly KnownNetwork[] {
    const ids = this.#members.get(member) ?? [];
    return ids.flatMap((id) => this.#networks.get(id) ?? []);
  }

  /** The configuration of the guest that serves an attachment. @throws RangeError when its network is unknown */
  configOf(attachment: AttachmentConfig): GuestConfig {
    const network = this.network(attachment.network);
    const { internal, mtu, subnets } = network;
    const hostLoopback = attachment.hostLoopback && !internal;
    return {
      mtu,
      plans: memberPlans(subnets, attachment.addresses.map(parseAddress), hostLoopback),
      gatewayMac: networkMac(subnets),
      protocols: ALL_PROTOCOLS,
      services: ALL_SERVICES,
      hostname: attachment.hostname,
      dns: this.#dnsOf(attachment, network),
      outbound: outboundOf(attachment),
      udpFiltering: "endpoint",
      memoryBudget: DEFAULT_MEMORY_BUDGET,
      limits: DEFAULT_LIMITS,
      timeouts: DEFAULT_TIMEOUTS,
      membership: {
        mayReach: (address) => !internal && !this.#contains(address),
        isGateway: (address) => this.#isGateway(address),
      },
    };
  }

  /** The addresses at which a member reaches the host. */
  #hostOf({ member, hostLoopback }: AttachmentConfig): readonly Address[] {
    const outbound = this.networksOf(member).find(({ internal }) => !internal);
    const isInside = (address: Address): boolean => this.#contains(address);
    return hostGateway(memberReach(outbound?.subnets ?? [], hostLoopback, isInside));
  }

  #dnsOf(attachment: AttachmentConfig, network: KnownNetwork): DnsConfig {
    const upstream = this.#upstream;
    const { member, hosts } = attachment;
    const own = attachment.dns.map(parseAddress);
    const none: readonly Address[] = [];
    return {
      upstream: {
        get servers() {
          if (network.internal) return none;
          return own.length > 0 ? own : upstream.servers;
        },
        search: [],
      },
      records: new MemberNames({
        networks: () => this.networksOf(member),
        isInside: (address) => this.#contains(address),
        hosts: new Map(hosts.map(([name, addresses]) => [name, addresses.map(parseAddress)])),
        host: () => this.#hostOf(attachment),
      }),
    };
  }

  /** Whether an address is on some network of the daemon: no other network reaches it. */
  #contains(address: Address): boolean {
    for (const { subnets } of this.#networks.values()) {
      if (subnets.some(({ prefix }) => prefix.contains(address))) return true;
    }
    return false;
  }

  #isGateway(address: Address): boolean {
    for (const { subnets } of this.#networks.values()) {
      if (subnets.some(({ gateway }) => gateway.equals(address))) return true;
    }
    return false;
  }

  /** @returns withdraws the fact */
  #take(fact: Fact): () => void {
    switch (fact.kind) {
      case "network":
        return this.#takeNetwork(fact);
      case "member":
        this.#members.set(fact.id, fact.networks);
        return () => this.#members.delete(fact.id);
      case "name":
        return this.#takeName(fact);
      case "host":
        return this.#overlay.addHost(overlayHost(fact));
      case "remote":
        return this.#takeRemote(fact);
      case "route":
        return this.#takeRoute(fact);
    }
  }

  #takeNetwork(fact: NetworkFact): () => void {
    const { id, overlay, mtu } = fact;
    const known = knownNetwork(fact);
    this.#networks.set(id, known);
    const { subnets } = known;
    const remove = overlay === null ? null : this.#addOverlay({ id, subnets, mtu }, overlay);
    return () => {
      this.#networks.delete(id);
      remove?.();
    };
  }

  #addOverlay(network: Omit<OverlayNetwork, "carrier">, overlay: OverlayFact): () => void {
    if (overlay.kind !== "flannel") {
      return this.#overlay.addNetwork({ ...network, carrier: overlay });
    }
    const { vni, port, vtepMac } = overlay;
    const remove = this.#overlay.addFlannel({ ...network, vni, port, vtepMac });
    return () => {
      this.#onFlannelGone(network.id);
      remove();
    };
  }

  /** What this host has in another network, or in its own, is not a route. */
  #takeRoute({ network, subnet, address, vtepMac }: RouteFact): () => void {
    const route = { subnet: Prefix.parse(subnet), address: parseAddress(address), vtepMac };
    return this.#overlay.flannel(network)?.add(route) ?? (() => undefined);
  }

  #takeName({ network, names, addresses }: NameFact): () => void {
    return this.#addNames(network, { names, addresses: addresses.map(parseAddress) });
  }

  #takeRemote(fact: RemoteFact): () => void {
    const { network, names, mac } = fact;
    const addresses = fact.addresses.map(parseAddress);
    const location = locationOf(fact.location);
    const remove = this.#overlay.addRemote(network, { mac, addresses, location });
    if (remove === null) return () => undefined;
    const removeNames = this.#addNames(network, { names, addresses });
    return () => {
      removeNames();
      remove();
    };
  }

  #addNames(network: string, named: NamedMember): () => void {
    const table = this.network(network).names;
    table.add(named);
    return () => table.remove(named);
  }
}

function overlayHost({ id, address, vxlanPort, wireguardPort, publicKey }: HostFact): OverlayHost {
  return {
    id,
    address: parseAddress(address),
    vxlanPort,
    wireguardPort,
    publicKey: Buffer.from(publicKey, "base64"),
  };
}

function locationOf(location: RemoteLocation): Location {
  switch (location.kind) {
    case "host":
      return location;
    case "vtep":
      return { kind: "vtep", address: parseAddress(location.address), port: location.port };
    case "wireguard":
      return { kind: "wireguard", publicKey: Buffer.from(location.publicKey, "base64") };
  }
}

function knownNetwork({ name, subnets, internal, mtu }: NetworkFact): KnownNetwork {
  const known = subnets.map(({ prefix, gateway }) => parseSubnet(prefix, gateway));
  return { name, subnets: known, internal, mtu, names: new NetworkNames() };
}

function outboundOf({ sources }: AttachmentConfig): GuestConfig["outbound"] {
  const addresses = sources.map(parseAddress);
  return {
    4: addresses.find(({ family }) => family === 4) ?? null,
    6: addresses.find(({ family }) => family === 6) ?? null,
  };
}
