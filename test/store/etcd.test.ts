import { describe, expect, it } from "vitest";
import type { Store } from "../../src/store/store.ts";
import { Etcd } from "../lab/etcd.ts";
import { Relay } from "../lab/relay.ts";
import { at, brief, LeaseLog, openStore, prefix, put, watch } from "./stores.ts";

const test = it.extend(
  "etcd",
  { scope: "file" },
  // biome-ignore lint/correctness/noEmptyPattern: vitest reads the dependencies off the pattern
  async ({}, { onCleanup }) => {
    const etcd = await Etcd.create();
    onCleanup(() => etcd.close());
    return etcd;
  },
);

/** Keys of other tests are not in the way: each has a prefix of its own. */
let tests = 0;
async function fresh(etcd: Etcd): Promise<{ store: Store; below: string }> {
  tests += 1;
  return { store: await openStore(etcd), below: `t${tests}/` };
}

describe("transactions", () => {
  test("put, list and delete, below our prefix alone", async ({ etcd }) => {
    const { store, below } = await fresh(etcd);
    await etcd.put(`${below}elsewhere`, "not ours");
    const value = "ä€\n\u0000 end";
    const { done, revision } = await store.commit(
      [],
      [
        { kind: "put", key: `${below}a`, value, lease: null },
        { kind: "put", key: `${below}b/c`, value: "", lease: null },
      ],
    );
    expect(done).toBe(true);
    const listing = await store.list(below);
    expect(listing.entries).toEqual([
      { key: `${below}a`, value, created: revision, modified: revision },
      { key: `${below}b/c`, value: "", created: revision, modified: revision },
    ]);
    expect(listing.revision).toBeGreaterThanOrEqual(revision);
    expect(await etcd.read(prefix + below)).toEqual(
      new Map([
        [`${prefix}${below}a`, value],
        [`${prefix}${below}b/c`, ""],
      ]),
    );
    await store.commit([], [{ kind: "delete", key: `${below}a` }]);
    expect((await store.list(below)).entries.map(({ key }) => key)).toEqual([`${below}b/c`]);
    await store.commit([], [{ kind: "delete below", prefix: below }]);
    expect((await store.list(below)).entries).toEqual([]);
    expect((await etcd.read(`${below}elsewhere`)).size).toBe(1);
  });

  test("each condition holds or not, and then the answer has what is there", async ({ etcd }) => {
    const { store, below } = await fresh(etcd);
    const key = `${below}key`;
    const write = { kind: "put", key: `${below}other`, value: "written", lease: null } as const;
    await put(store, key, "first");
    await put(store, key, "second");
    const [entry] = (await store.list(key)).entries;
    expect(entry.modified).toBeGreaterThan(entry.created);
    const wrong = [
      { kind: "absent", key },
      { kind: "empty", prefix: below },
      { kind: "unchanged", key, modified: entry.created },
      { kind: "equal", key, value: "first" },
    ] as const;
    for (const condition of wrong) {
      const { done, found } = await store.commit([condition], [write]);
      expect(done, condition.kind).toBe(false);
      expect(found).toEqual([entry]);
    }
    const missing = [
      { kind: "equal", key: `${below}missing`, value: "" },
      { kind: "unchanged", key: `${below}missing`, modified: 1 },
    ] as const;
    for (const condition of missing) {
      expect(await store.commit([condition], [write])).toMatchObject({ done: false, found: [] });
    }
    expect((await store.list(below)).entries).toEqual([entry]);
    const right = [
      { kind: "absent", key: `${below}missing` },
      { kind: "empty", prefix: `${key}/` },
      { kind: "unchanged", key, modified: entry.modified },
      { kind: "equal", key, value: "second" },
    ] as const;
    expect(await store.commit(right, [write])).toMatchObject({ done: true, found: [] });
    expect((await store.list(below)).entries).toHaveLength(2);
  });

  test("of two that want one key, one gets it", async ({ etcd }) => {
    const { store, below } = await fresh(etcd);
    const other = await openStore(etcd);
    const key = `${below}key`;
    const outcomes = await Promise.all(
      [store, other, store, other, store].map((each, i) =>
        each.commit([{ kind: "absent", key }], [{ kind: "put", key, value: `${i}`, lease: null }]),
      ),
    );
    expect(outcomes.filter(({ done }) => done)).toHaveLength(1);
    const winner = outcomes.findIndex(({ done }) => done);
    expect((await store.list(below)).entries[0].value).toBe(`${winner}`);
  });
});

describe("lists", () => {
  test("of 5,500 keys, in pages as of one revision", async ({ etcd }) => {
    const { store, below } = await fresh(etcd);
    const keys = Array.from({ length: 5_500 }, (_, i) => `${below}${`${i}`.padStart(5, "0")}`);
    for (let i = 0; i < keys.length; i += 100) {
      const some = keys.slice(i, i + 100);
      await store.commit(
        [],
        some.map((key) => ({ kind: "put", key, value: "v".repeat(300), lease: null })),
      );
    }
    const listing = store.list(below);
    await put(store, `${below}zzz`, "meanwhile");
    const { entries } = await listing;
    expect(entries.slice(0, keys.length).map(({ key }) => key)).toEqual(keys);
    expect(new Set(entries.map(({ key }) => key)).size).toBe(entries.length);
  });

  test("with somebody's huge values, and with keys that are no text", async ({ etcd }) => {
    const { store, below } = await fresh(etcd);
    for (let i = 0; i < 12; i++) {
      const value = `${i}`.repeat(1_000_000).slice(0, 1_000_000);
      await put(store, `${below}${i}`, value);
    }
    const [url] = etcd.url.split("://").slice(1);
    const raw = Buffer.concat([Buffer.from(prefix + below), Buffer.of(0xff, 0xfe)]);
    const body = JSON.stringify({ key: raw.toString("base64"), value: "AAAA" });
    const { status } = await fetch(`http://${url}/v3/kv/put`, { method: "POST", body });
    expect(status).toBe(200);
    const { entries } = await store.list(below);
    expect(entries.map(({ key }) => key).toSorted()).toEqual(
      Array.from({ length: 12 }, (_, i) => `${below}${i}`).toSorted(),
    );
    expect(entries.every(({ value }) => value.length === 1_000_000)).toBe(true);
  });
});

describe("leases", () => {
  test("keep their keys for as long as they are kept alive", async ({ etcd }) => {
    const { store, below } = await fresh(etcd);
    const log = new LeaseLog();
    const lease = await store.lease(2, log);
    const key = `${below}key`;
    await store.commit([], [{ kind: "put", key, value: "1", lease }]);
    await new Promise((resolve) => setTimeout(resolve, 3 * lease.ttl * 1000));
    expect((await store.list(below)).entries).toHaveLength(1);
    await lease.revoke();
    expect(lease.isAlive).toBe(false);
    expect((await store.list(below)).entries).toEqual([]);
    await lease.revoke();
    expect(log.events).toEqual([]);
  });

  test("end by themselves when the store is closed", async ({ etcd }) => {
    const { store, below } = await fresh(etcd);
    const other = await openStore(etcd);
    const lease = await other.lease(2, new LeaseLog());
    await other.commit([], [{ kind: "put", key: `${below}key`, value: "1", lease }]);
    other.close();
    await expect.poll(async () => (await store.list(below)).entries).toEqual([]);
  });

  test("that the store has no more are reported once, and refuse what is written by them", async ({
    etcd,
  }) => {
    const { store, below } = await fresh(etcd);
    const log = new LeaseLog();
    const lease = await store.lease(3, log);
    await store.commit([], [{ kind: "put", key: `${below}key`, value: "1", lease }]);
    const list = await etcd.ctl(["lease", "list"]);
    for (const id of list.match(/^[0-9a-f]+$/gm) ?? []) await etcd.ctl(["lease", "revoke", id]);
    const operation = { kind: "put", key: `${below}other`, value: "1", lease } as const;
    await expect(store.commit([], [operation])).rejects.toThrow("has not heard of us for too long");
    await expect.poll(() => log.events).toEqual(["lost"]);
    expect(lease.isAlive).toBe(false);
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    expect(log.events).toEqual(["lost"]);
  });
});

describe("watches", () => {
  test("report each revision once, whole and in order, from the one asked for on", async ({
    etcd,
  }) => {
    const { store, below } = await fresh(etcd);
    await put(store, `${below}before`, "0");
    const { revision } = await store.list(below);
    await put(store, `${below}a`, "1");
    const seen = watch(store, below, revision);
    await expect.poll(() => brief(seen.changes)).toEqual([`${below}a=1`]);
    expect(seen.isOpen).toBe(true);
    await put(store, "elsewhere", "0");
    const both = await store.commit(
      [],
      [
        { kind: "put", key: `${below}b`, value: "2", lease: null },
        { kind: "delete", key: `${below}a` },
      ],
    );
    await store.commit([], [{ kind: "delete below", prefix: below }]);
    await expect.poll(() => seen.changes).toHaveLength(5);
    expect(brief(seen.changes).slice(1, 3).toSorted()).toEqual([`-${below}a`, `${below}b=2`]);
    expect(brief(seen.changes).slice(3)).toEqual([`-${below}b`, `-${below}before`]);
    expect(seen.revisions).toEqual([both.revision - 2, both.revision, both.revision + 1]);
    seen.close();
    await put(store, `${below}c`, "3");
    expect(seen.changes).toHaveLength(5);
    expect(seen.ends).toEqual([]);
  });

  test("report 5,000 keys that go at once as one revision", async ({ etcd }) => {
    const { store, below } = await fresh(etcd);
    const { revision } = await store.list(below);
    const lease = await store.lease(60, new LeaseLog());
    for (let i = 0; i < 50; i++) {
      const keys = Array.from({ length: 100 }, (_, j) => `${below}${"k".repeat(400)}${i}/${j}`);
      await store.commit(
        [],
        keys.map((key) => ({ kind: "put", key, value: "1", lease })),
      );
    }
    const seen = watch(store, below, revision);
    await expect.poll(() => seen.changes).toHaveLength(5_000);
    expect(seen.revisions).toHaveLength(50);
    await store.commit([], [{ kind: "delete below", prefix: below }]);
    await expect.poll(() => seen.changes).toHaveLength(10_000);
    expect(seen.revisions).toHaveLength(51);
  });

  test("of one store share connections, and go on when some of them are closed", async ({
    etcd,
  }) => {
    const { below } = await fresh(etcd);
    const [{ place }] = etcd.members;
    await using relay = await Relay.open({ address: place.address, port: place.clientPort });
    const store = await openStore(etcd, at(relay.port), 300);
    const { revision } = await store.list(below);
    const connections = relay.connections;
    const all = Array.from({ length: 100 }, (_, i) => watch(store, `${below}${i}/`, revision));
    await expect.poll(() => all.every(({ isOpen }) => isOpen)).toBe(true);
    // One more carries whatever the gateway has not read in time.
    expect(relay.connections - connections).toBeLessThan(10);
    for (const each of all.slice(0, 50)) each.close();
    // Over several renewals.
    for (let i = 0; i < 30; i++) {
      await put(store, `${below}${i}/key`, "closed");
      await put(store, `${below}${50 + i}/key`, "value");
      await new Promise((resolve) => setTimeout(resolve, 40));
    }
    for (const [i, { changes }] of all.entries()) {
      const wanted = i >= 50 && i < 80 ? [`${below}${i}/key=value`] : [];
      await expect.poll(() => brief(changes)).toEqual(wanted);
    }
  });

  test("end when the revisions asked for are gone", async ({ etcd }) => {
    const { store, below } = await fresh(etcd);
    const { revision } = await store.list(below);
    for (let i = 0; i < 3; i++) await put(store, `${below}key`, `${i}`);
    await etcd.compact();
    const seen = watch(store, below, revision);
    await expect.poll(() => seen.ends.map(({ failure }) => failure)).toEqual(["compacted"]);
    expect(seen.changes).toEqual([]);
  });

  test("end when the store is at an earlier revision, as after a restore", async ({ etcd }) => {
    const { store, below } = await fresh(etcd);
    const { revision } = await store.list(below);
    const seen = watch(store, below, revision + 1_000_000);
    await expect.poll(() => seen.ends.map(({ failure }) => failure)).toEqual(["compacted"]);
  });

  test("that are silent are opened anew, and lose and repeat nothing", async ({ etcd }) => {
    const { below } = await fresh(etcd);
    const store = await openStore(etcd, {}, 40);
    const { revision } = await store.list(below);
    const seen = watch(store, below, revision);
    const wanted: string[] = [];
    for (let i = 0; i < 40; i++) {
      await put(store, `${below}key`, `${i}`);
      wanted.push(`${below}key=${i}`);
      await new Promise((resolve) => setTimeout(resolve, 2 * i));
    }
    await expect.poll(() => brief(seen.changes)).toEqual(wanted);
    expect(seen.ends).toEqual([]);
  });
});

it("everything goes over IPv6, too, with TLS for an address", async () => {
  await using etcd = await Etcd.create({ address: "::1", tls: "mutual" });
  const store = await openStore(etcd);
  expect(store.place).toMatch(/^etcds:\/\/\[::1\]:\d+$/);
  const seen = watch(store, "", (await store.list("")).revision);
  await put(store, "key", "value");
  await expect.poll(() => brief(seen.changes)).toEqual(["key=value"]);
});
