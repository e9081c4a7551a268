import { setTimeout as delay } from "node:timers/promises";
import { expect, it, onTestFinished } from "vitest";
import { openMirror } from "../../src/store/mirror.ts";
import type { Store } from "../../src/store/store.ts";
import { Etcd, type EtcdMember } from "../lab/etcd.ts";
import { Relay } from "../lab/relay.ts";
import { at, failureOf, LeaseLog, openStore, put } from "./stores.ts";

/** Values that a mirror has reported, by key. */
function reflect(store: Store): Map<string, string> {
  const values = new Map<string, string>();
  const mirror = openMirror(store, "", {
    onPut: ({ key, value }) => values.set(key, value),
    onDelete: (key) => values.delete(key),
    onState: () => undefined,
  });
  onTestFinished(() => mirror.close());
  return values;
}

/** Stores that begin at each of the members, whichever they choose by chance. */
function storeAtEach(etcd: Etcd): Promise<Store[]> {
  const { members } = etcd;
  return Promise.all(
    members.map((_, i) => {
      const order = [...members.slice(i), ...members.slice(0, i)];
      const endpoints = order.map(({ place }) => ({ host: place.address, port: place.clientPort }));
      return openStore(etcd, { endpoints });
    }),
  );
}

/** What stands in for a fault of the leader: its crash, or that it stops and its connections stay. */
const faults: readonly (readonly [string, (member: EtcdMember) => Promise<void>])[] = [
  ["is killed", (member) => member.kill()],
  ["answers nothing", async (member) => member.pause()],
];

it.each(faults)(
  "the leader of three %s: reads, leases, watches and writes go on",
  async (_, fault) => {
    await using etcd = await Etcd.create({ size: 3 });
    const stores = await storeAtEach(etcd);
    const logs = stores.map(() => new LeaseLog());
    const leases = await Promise.all(stores.map((store, i) => store.lease(9, logs[i])));
    const reflections = stores.map(reflect);
    await put(stores[0], "before", "x");
    for (const values of reflections) await expect.poll(() => values.get("before")).toBe("x");

    const leader = await etcd.leader();
    await fault(leader);
    onTestFinished(() => leader.resume());
    // A transaction at that very member may have failed, and says so; later ones find another.
    for (const [i, store] of stores.entries()) {
      const operation = { kind: "put", key: `after${i}`, value: "y", lease: leases[i] } as const;
      await expect
        .poll(async () =>
          store.commit([], [operation]).then(
            ({ done }) => done,
            () => false,
          ),
        )
        .toBe(true);
      expect((await store.list("after")).entries.length).toBeGreaterThan(i);
    }
    for (const values of reflections) await expect.poll(() => values.get("after2")).toBe("y");
    // Longer than a lease without a word.
    await delay(10_000);
    for (const log of logs) expect(log.events).not.toContain("lost");
    expect((await stores[0].list("after")).entries).toHaveLength(3);
  },
);

it("a store that is slow to answer loses no lease, and everything goes on", async () => {
  await using etcd = await Etcd.create();
  const [{ place }] = etcd.members;
  await using relay = await Relay.open({ address: place.address, port: place.clientPort });
  const store = await openStore(etcd, at(relay.port));
  const log = new LeaseLog();
  const lease = await store.lease(3, log);
  const values = reflect(store);
  await expect.poll(async () => (await store.list("")).entries).toEqual([]);
  relay.delayMs = 900;
  await store.commit([], [{ kind: "put", key: "slow", value: "x", lease }]);
  await expect.poll(() => values.get("slow")).toBe("x");
  await delay(7_000);
  expect(log.events).toEqual([]);
  expect((await store.list("")).entries).toHaveLength(1);
});

it("a lease outlives a store that is away for a while, and says so", async () => {
  await using etcd = await Etcd.create();
  const store = await openStore(etcd);
  const log = new LeaseLog();
  const lease = await store.lease(6, log);
  await store.commit([], [{ kind: "put", key: "key", value: "x", lease }]);
  await etcd.members[0].kill();
  await expect.poll(() => log.events).toEqual(["away"]);
  expect((await failureOf(store.list(""))).failure).toBe("unreachable");
  etcd.members[0].restart();
  await expect.poll(() => log.events).toEqual(["away", "back"]);
  expect((await store.list("")).entries).toHaveLength(1);
  expect(lease.isAlive).toBe(true);
});

it("a lease that the store forgot while it could not be reached is lost", async () => {
  await using etcd = await Etcd.create();
  const [{ place }] = etcd.members;
  await using relay = await Relay.open({ address: place.address, port: place.clientPort });
  const store = await openStore(etcd, at(relay.port));
  const log = new LeaseLog();
  const lease = await store.lease(2, log);
  await store.commit([], [{ kind: "put", key: "key", value: "x", lease }]);
  relay.silence();
  await expect.poll(async () => (await etcd.read("")).size).toBe(0);
  relay.speak();
  await expect.poll(() => log.events.at(-1)).toBe("lost");
  expect(lease.isAlive).toBe(false);
  await delay(2_000);
  expect(log.events.filter((event) => event === "lost")).toHaveLength(1);
  expect(log.events.at(-1)).toBe("lost");
});

it("a transaction whose answer is lost says that the store is away, and is carried out once at most", async () => {
  await using etcd = await Etcd.create();
  const [{ place }] = etcd.members;
  await using relay = await Relay.open({ address: place.address, port: place.clientPort });
  const store = await openStore(etcd, at(relay.port));
  await put(store, "counter", "0");
  relay.delayMs = 500;
  const written = put(store, "counter", "1");
  const failure = failureOf(written);
  await delay(750);
  relay.cut();
  expect((await failure).failure).toBe("unreachable");
  relay.delayMs = 0;
  const [entry] = (await store.list("counter")).entries;
  expect(entry.modified - entry.created).toBeLessThanOrEqual(1);
});

it("calls find another endpoint where one leads nowhere, and where one refuses", async () => {
  await using etcd = await Etcd.create();
  const [{ place }] = etcd.members;
  const target = { address: place.address, port: place.clientPort };
  await using silent = await Relay.open(target);
  silent.silence();
  const gone = await Relay.open(target);
  await gone.close();
  const ports = [silent.port, gone.port, place.clientPort];
  for (let i = 0; i < ports.length; i++) {
    const order = [...ports.slice(i), ...ports.slice(0, i)];
    const endpoints = order.map((port) => ({ host: "127.0.0.1", port }));
    const store = await openStore(etcd, { endpoints });
    await store.list("");
    await put(store, "key", `${i}`);
  }
});

it("twenty prefixes come back together, with one connection", async () => {
  await using etcd = await Etcd.create();
  const [{ place }] = etcd.members;
  await using relay = await Relay.open({ address: place.address, port: place.clientPort });
  const store = await openStore(etcd, at(relay.port));
  const states = new Map<string, string>();
  const values = new Map<string, string>();
  for (let i = 0; i < 20; i++) {
    const mirror = openMirror(store, `${i}/`, {
      onPut: ({ key, value }) => values.set(key, value),
      onDelete: (key) => values.delete(key),
      onState: (state) => states.set(`${i}/`, state),
    });
    onTestFinished(() => mirror.close());
  }
  const count = (state: string) => [...states.values()].filter((each) => each === state).length;
  await expect.poll(() => count("current")).toBe(20);
  for (let round = 0; round < 3; round++) {
    const before = relay.connections;
    relay.cut();
    await expect.poll(() => count("stale")).toBe(20);
    await expect.poll(() => count("current")).toBe(20);
    // One more carries whatever the gateway has not read in time.
    expect(relay.connections - before).toBeLessThan(5);
    await etcd.put(`/slipway/v1/${round}/key`, `${round}`);
    await expect.poll(() => values.get(`${round}/key`)).toBe(`${round}`);
  }
});
