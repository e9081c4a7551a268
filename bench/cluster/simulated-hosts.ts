/**
 * Hosts of a cluster in one process, without daemons: the control plane's own code, and nothing else. main.ts bundles
 * it, as the sources are for a bundler. Arguments: the store's port, and the layout as JSON.
 */
import { randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { Address, Prefix } from "../../src/base/address.js";
import type { Cluster, ClusterEvents, NewNetwork } from "../../src/cluster/cluster.js";
import { openCluster } from "../../src/cluster/open.js";
import type { HostRecord, NetworkRecord } from "../../src/cluster/records.js";
import { DEFAULT_STORE_PREFIX } from "../../src/config/store-options.js";
import { openEtcd } from "../../src/store/etcd/open.js";
import {
  type Late,
  type Layout,
  type Message,
  networkName,
  networksOf,
  type Order,
} from "./messages.ts";

/**
 * Hosts of a process that join at one time, and that take members: each of these is reported to all hosts of its network, and
 * the store is not to be measured out of breath.
 */
const JOINING = 8;
const POPULATING = 2;
/**
 * Least time that each of those takes for a member. A member is an event for 50 hosts, of 0.1 ms of the store's
 * processor each (m): on two cores with all hosts beside it, 100 a second are what it can do for long.
 */
const MEMBER_MS = 80;
const POLL_MS = 10;

/** Of what the store was out of breath for. */
const MOST_ATTEMPTS = 10;
const RETRY_MS = 200;

const [, , port = "", layoutText = ""] = process.argv;
const layout = JSON.parse(layoutText) as Layout;
const hosts = new Map<number, Cluster>();
/** How many hosts have yet to report a member, by its name. */
const missing = new Map<string, number>();

/** @returns the value of the answer */
async function obey(order: Order): Promise<number> {
  switch (order.kind) {
    case "join":
      await spread(JOINING, range(order.first, order.count), join);
      return hosts.size;
    case "create networks":
      for (const index of range(0, layout.networks)) await createNetwork(index);
      return layout.networks;
    case "populate":
      await spread(POPULATING, [...hosts.keys()], populate);
      return hosts.size;
    case "expect":
      return expect(order.late);
    case "join late":
      await addMember(clusterOf(order.late.host), order.late.network, order.late.name);
      return 1;
    case "count connected":
      return [...hosts.values()].filter(({ state }) => state === "connected").length;
  }
}

async function join(number: number): Promise<void> {
  const endpoints = [{ host: "127.0.0.1", port: Number(port) }];
  const prefix = DEFAULT_STORE_PREFIX;
  const store = await openEtcd({ kind: "etcd", endpoints, tls: null, user: null, prefix });
  const cluster = openCluster(store, recordOf(number), events);
  hosts.set(number, cluster);
  await connected(cluster);
}

/** As a daemon, it tries again when the store is out of breath. */
async function connected(cluster: Cluster): Promise<void> {
  await cluster.joined.catch(ignore);
  while (cluster.state !== "connected") await delay(RETRY_MS);
}

function recordOf(number: number): HostRecord {
  return {
    id: randomBytes(32).toString("hex"),
    name: `host-${number}`,
    addresses: [Address.ofIpv4Word(0xc612_0000 + number)], // 198.18.0.0/15, for benchmarks (RFC 2544)
    vxlanPort: 4789,
    wireguardPort: 51_820,
    publicKey: randomBytes(32).toString("base64"),
    version: "0.1.0",
  };
}

const ignore = (): void => {};
const events: ClusterEvents = {
  onState: ignore,
  onHost: ignore,
  onHostGone: ignore,
  onNetwork: ignore,
  onNetworkGone: ignore,
  onMember: ({ names: [name = ""] }) => onReported(name),
  onMemberGone: ignore,
  onClaimLost: (_, why) => process.stderr.write(`a claim was lost: ${why}\n`),
};

function onReported(name: string): void {
  const left = missing.get(name);
  if (left === undefined) return;
  missing.set(name, left - 1);
  if (left === 1) tell({ kind: "seen", name, at: `${process.hrtime.bigint()}` });
}

function expect({ name, host, network }: Late): number {
  const due = [...hosts.keys()].filter(
    (number) => number !== host && networksOf(number, layout).includes(network),
  ).length;
  missing.set(name, due);
  if (due === 0) tell({ kind: "seen", name, at: "" });
  return due;
}

async function createNetwork(index: number): Promise<void> {
  const prefix = Prefix.of(Address.ofIpv4Word(0x0a00_0000 + (index << 16)), 16);
  const gateway = Address.ofIpv4Word(0x0a00_0001 + (index << 16));
  const wanted: NewNetwork = {
    id: randomBytes(32).toString("hex"),
    name: networkName(index),
    internal: false,
    mtu: 1420,
    labels: {},
    options: {},
    subnets: () => [{ prefix, gateway, range: prefix }],
    carriage: { kind: "wireguard" },
  };
  const [cluster] = hosts.values();
  if (cluster === undefined) throw new Error("this process has no host");
  await patiently(wanted.name, cluster, async () => {
    // The answer of the attempt before may have been lost.
    const isThere = cluster.networks.some(({ name }) => name === wanted.name);
    if (!isThere) await cluster.createNetwork(wanted);
  });
}

async function populate(number: number): Promise<void> {
  const cluster = clusterOf(number);
  const networks = networksOf(number, layout);
  const members = layout.members / layout.hosts / networks.length;
  for (const network of networks) {
    const { id, name } = await networkOf(cluster, network);
    await patiently(`${number} follows ${name}`, cluster, () => cluster.follow(id));
    for (const member of range(0, members)) {
      const pause = delay(MEMBER_MS);
      await addMember(cluster, network, `m-${number}-${network}-${member}`);
      await pause;
    }
  }
}

async function addMember(cluster: Cluster, network: number, name: string): Promise<void> {
  const member = { id: randomBytes(32).toString("hex"), name };
  const { id } = await networkOf(cluster, network);
  await patiently(name, cluster, async () => {
    const wish = { network: id, member, aliases: [], addresses: [], mac: null };
    const claim = await cluster.claim(wish);
    await claim.announce();
  });
}

/** As users do, tries again when the store is out of breath. */
async function patiently(what: string, cluster: Cluster, work: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    await connected(cluster);
    try {
      await work();
      return;
    } catch (error) {
      if (attempt === MOST_ATTEMPTS) throw error;
      process.stderr.write(`${what}: ${error instanceof Error ? error.message : error}\n`);
      await delay(attempt * 1_000);
    }
  }
}

/** Waits until the host has been told of it. */
async function networkOf(cluster: Cluster, index: number): Promise<NetworkRecord> {
  for (;;) {
    const network = cluster.networks.find(({ name }) => name === networkName(index));
    if (network !== undefined) return network;
    await delay(POLL_MS);
  }
}

function clusterOf(number: number): Cluster {
  const cluster = hosts.get(number);
  if (cluster === undefined) throw new Error(`host ${number} is of another process`);
  return cluster;
}

function range(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => first + i);
}

/** Does some work for each of the items, for a few at one time. */
async function spread<T>(
  atOnce: number,
  items: readonly T[],
  work: (item: T) => Promise<void>,
): Promise<void> {
  const left = [...items];
  const worker = async (): Promise<void> => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

function tell(message: Message): void {
  process.send?.(message);
}

process.on("message", async (order: Order) => {
  try {
    tell({ kind: "done", value: await obey(order) });
  } catch (error) {
    tell({ kind: "failed", reason: error instanceof Error ? error.message : String(error) });
  }
});
process.on("disconnect", () => process.exit(0));
