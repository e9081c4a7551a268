import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { Address, Prefix } from "../../src/base/address.ts";
import type { Claim, Cluster, NewNetwork, Wish } from "../../src/cluster/cluster.ts";
import { openCluster } from "../../src/cluster/open.ts";
import type { HostRecord, MemberRecord, NetworkRecord } from "../../src/cluster/records.ts";
import { freeSubnet } from "../../src/network/subnets.ts";
import { openEtcd } from "../../src/store/etcd/open.ts";
import type { Store } from "../../src/store/store.ts";
import type { Etcd } from "../lab/etcd.ts";

/** Where the store of a test is. */
export interface StorePlace {
  readonly endpoints: readonly { readonly host: string; readonly port: number }[];
  readonly prefix: string;
}

/** One with a prefix of its own: other tests are not in the way. */
export function freshPlace(etcd: Etcd): StorePlace {
  const endpoints = etcd.members.map(({ place }) => ({
    host: place.address,
    port: place.clientPort,
  }));
  return { endpoints, prefix: `/test-${randomBytes(6).toString("hex")}/` };
}

export function openPlace({ endpoints, prefix }: StorePlace): Promise<Store> {
  return openEtcd({ kind: "etcd", endpoints, tls: null, user: null, prefix });
}

/** A host of a cluster, as the daemon makes one, with what it was told. */
export class TestHost {
  readonly record: HostRecord;
  readonly store: Store;
  readonly cluster: Cluster;
  readonly states: string[] = [];
  readonly hosts = new Map<string, HostRecord>();
  readonly networks = new Map<string, NetworkRecord>();
  /** By name. */
  readonly members = new Map<string, MemberRecord>();
  readonly lost: { readonly claim: Claim; readonly why: string }[] = [];

  private constructor(store: Store, record: HostRecord) {
    this.store = store;
    this.record = record;
    this.cluster = openCluster(store, record, {
      onState: (state, why) => void this.states.push(why === null ? state : `${state}: ${why}`),
      onHost: (host) => void this.hosts.set(host.id, host),
      onHostGone: (id) => void this.hosts.delete(id),
      onNetwork: (network) => void this.networks.set(network.id, network),
      onNetworkGone: (id) => void this.networks.delete(id),
      onMember: (member) => void this.members.set(member.names[0], member),
      onMemberGone: (_, id) => {
        for (const [name, member] of this.members) if (member.id === id) this.members.delete(name);
      },
      onClaimLost: (claim, why) => void this.lost.push({ claim, why }),
    });
  }

  static of(store: Store, record: HostRecord): TestHost {
    return new TestHost(store, record);
  }

  /** One that has not joined yet. */
  static async open(place: StorePlace, record: HostRecord): Promise<TestHost> {
    return new TestHost(await openPlace(place), record);
  }

  static async join(place: StorePlace, record: HostRecord): Promise<TestHost> {
    const host = await TestHost.open(place, record);
    await host.cluster.joined;
    return host;
  }

  get isConnected(): boolean {
    return this.cluster.state === "connected";
  }

  /** Names of the members that it knows of, without its own. */
  get names(): readonly string[] {
    return [...this.members.keys()].toSorted();
  }

  createNetwork(name: string, wanted: Partial<NewNetwork> = {}): Promise<NetworkRecord> {
    return this.cluster.createNetwork(newNetwork(name, wanted));
  }

  /** A member that others see. */
  async join(network: string, name: string, wish: Partial<Wish> = {}): Promise<Claim> {
    const claim = await this.claim(network, name, wish);
    await claim.announce();
    return claim;
  }

  claim(network: string, name: string, wish: Partial<Wish> = {}): Promise<Claim> {
    const member = { id: hex(32), name };
    return this.cluster.claim({ network, member, aliases: [], addresses: [], mac: null, ...wish });
  }

  /** Ends as a daemon that is killed: what it has hangs on its leases. */
  kill(): void {
    this.store.close();
  }

  close(): Promise<void> {
    return this.cluster.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** @param number 1 to 250, for the address */
export function hostRecord(number: number, changes: Partial<HostRecord> = {}): HostRecord {
  return {
    id: hex(32),
    name: `host${number}`,
    addresses: [addressOf(`192.0.2.${number}`)],
    vxlanPort: 4789,
    wireguardPort: 51_820,
    publicKey: randomBytes(32).toString("base64"),
    version: "0.1.0",
    ...changes,
  };
}

export function newNetwork(name: string, wanted: Partial<NewNetwork> = {}): NewNetwork {
  return {
    id: hex(32),
    name,
    internal: false,
    mtu: 1420,
    labels: {},
    options: {},
    carriage: { kind: "wireguard" },
    subnets: (others) => {
      const taken = others.flatMap(({ subnets }) => subnets.map(({ prefix }) => prefix));
      return [subnetOf(`${freeSubnet(taken, true)}`)];
    },
    ...wanted,
  };
}

export function subnetOf(text: string): NetworkRecord["subnets"][number] {
  const prefix = Prefix.parse(text);
  return { prefix, gateway: prefix.address.plus(1), range: prefix };
}

export function withSubnets(...texts: readonly string[]): Partial<NewNetwork> {
  return { subnets: () => texts.map(subnetOf) };
}

export function addressOf(text: string): Address {
  const address = Address.parse(text);
  if (address === null) throw new Error(`${text} is no address`);
  return address;
}

export function hex(length: number): string {
  return randomBytes(length).toString("hex");
}

/** Waits until something is so, or for 30 s. */
export async function until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (!(await isSo())) {
    if (performance.now() > deadline) throw new Error(`not within 30 s: ${what}`);
    await delay(5);
  }
}
