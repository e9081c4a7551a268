/*
 * Hosts of a cluster without daemons: a process of bench/control-plane.ts. It has the code of `src/cluster` and
 * `src/store` alone, and is told what to do by messages.
 */
import { randomBytes } from "node:crypto";
import { subscribe } from "node:diagnostics_channel";
import { setTimeout as delay } from "node:timers/promises";
import { Address, Prefix } from "../src/base/address.ts";
import type { Claim, Cluster } from "../src/cluster/cluster.ts";
import { openCluster } from "../src/cluster/open.ts";
import type { NetworkRecord } from "../src/cluster/records.ts";
import type { EtcdOptions } from "../src/config/store-options.ts";
import { openEtcd } from "../src/store/etcd/open.ts";

/** Members whose name begins so are reported by every host that sees them. */
export const PROBE = "probe-";

export type Order =
  /** Opens hosts by their numbers; `members`: of each of them on each of its networks. */
  | { readonly kind: "open"; readonly store: EtcdOptions; readonly hosts: readonly number[] }
  | { readonly kind: "create networks"; readonly count: number }
  | {
      readonly kind: "fill";
      readonly plan: readonly { readonly host: number; readonly networks: readonly number[] }[];
      readonly members: number;
    }
  | {
      readonly kind: "probe";
      readonly host: number;
      readonly network: number;
      readonly name: string;
    }
  | { readonly kind: "report" };

export type Answer =
  | { readonly kind: "done" }
  | { readonly kind: "failed"; readonly why: string }
  | { readonly kind: "asked"; readonly at: number; readonly name: string }
  | { readonly kind: "seen"; readonly at: number; readonly name: string }
  | {
      readonly kind: "report";
      readonly connected: number;
      readonly lost: number;
      readonly requests: number;
      /** Bytes. */
      readonly rss: number;
    };

/** Hosts, or members, that do something at a time. */
const AT_ONCE = 16;

const clusters = new Map<number, Cluster>();
let requests = 0;
let lost = 0;

subscribe("http.client.request.start", () => {
  requests += 1;
});

function tell(answer: Answer): void {
  process.send?.(answer);
}

/** In ms, the same for all processes of the machine. */
function now(): number {
  return Number(process.hrtime.bigint() / 1_000n) / 1_000;
}

function hex(bytes: number): string {
  return randomBytes(bytes).toString("hex");
}

async function inParallel<T>(all: readonly T[], action: (each: T) => Promise<void>): Promise<void> {
  const rest = all.values();
  const workers = Array.from({ length: AT_ONCE }, async () => {
    for (const each of rest) await action(each);
  });
  await Promise.all(workers);
}

async function open(options: EtcdOptions, number: number): Promise<void> {
  const store = await openEtcd(options);
  const address = Address.parse(`10.255.${number >> 8}.${number & 255}`);
  if (address === null) throw new Error("no address");
  const record = {
    id: hex(32),
    name: `host${number}`,
    addresses: [address],
    vxlanPort: 4789,
    wireguardPort: 51_820,
    publicKey: randomBytes(32).toString("base64"),
    version: "0.1.0",
  };
  const nothing = (): void => undefined;
  const cluster = openCluster(store, record, {
    onState: nothing,
    onHost: nothing,
    onHostGone: nothing,
    onNetwork: nothing,
    onNetworkGone: nothing,
    onMember: ({ names: [name] }) => {
      if (name.startsWith(PROBE)) tell({ kind: "seen", at: now(), name });
    },
    onMemberGone: nothing,
    onClaimLost: () => {
      lost += 1;
    },
  });
  clusters.set(number, cluster);
  await cluster.joined;
}

function clusterOf(host: number): Cluster {
  const cluster = clusters.get(host);
  if (cluster === undefined) throw new Error(`no host ${host}`);
  return cluster;
}

/** The cluster's network of a number, as soon as this host knows it. */
async function networkOf(cluster: Cluster, number: number): Promise<NetworkRecord> {
  for (;;) {
    const network = cluster.networks.find(({ name }) => name === `net${number}`);
    if (network !== undefined) return network;
    await delay(50);
  }
}

async function createNetworks(count: number): Promise<void> {
  const [cluster] = clusters.values();
  for (let number = 0; number < count; number++) {
    const prefix = Prefix.parse(`10.${number >> 6}.${(number & 63) * 4}.0/22`);
    await cluster.createNetwork({
      id: hex(32),
      name: `net${number}`,
      internal: false,
      mtu: 1420,
      labels: {},
      options: {},
      subnets: () => [{ prefix, gateway: prefix.address.plus(1), range: prefix }],
      carriage: { kind: "wireguard" },
    });
  }
}

async function join(cluster: Cluster, network: string, name: string): Promise<Claim> {
  const member = { id: hex(32), name };
  for (let attempt = 1; ; attempt++) {
    try {
      const claim = await cluster.claim({ network, member, aliases: [], addresses: [], mac: null });
      await claim.announce();
      return claim;
    } catch (error) {
      // The machine is far smaller than that of such a cluster.
      if (attempt === 5) throw error;
      await delay(1_000 * attempt);
    }
  }
}

async function fill(host: number, networks: readonly number[], members: number): Promise<void> {
  const cluster = clusterOf(host);
  for (const number of networks) {
    const { id } = await networkOf(cluster, number);
    await cluster.follow(id);
    for (let i = 0; i < members; i++) await join(cluster, id, `m-${host}-${number}-${i}`);
  }
}

async function probe(host: number, network: number, name: string): Promise<void> {
  const cluster = clusterOf(host);
  const { id } = await networkOf(cluster, network);
  tell({ kind: "asked", at: now(), name });
  await join(cluster, id, name);
}

async function carryOut(order: Order): Promise<void> {
  switch (order.kind) {
    case "open":
      await inParallel(order.hosts, (host) => open(order.store, host));
      break;
    case "create networks":
      await createNetworks(order.count);
      break;
    case "fill":
      await inParallel(order.plan, ({ host, networks }) => fill(host, networks, order.members));
      break;
    case "probe":
      await probe(order.host, order.network, order.name);
      break;
    case "report": {
      const connected = [...clusters.values()].filter(({ state }) => state === "connected").length;
      const { rss } = process.memoryUsage();
      tell({ kind: "report", connected, lost, requests, rss });
      return;
    }
  }
  tell({ kind: "done" });
}

process.on("message", (order: Order) => {
  carryOut(order).catch((error) => tell({ kind: "failed", why: String(error?.stack ?? error) }));
});
