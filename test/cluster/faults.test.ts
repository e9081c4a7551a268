import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { Etcd } from "../lab/etcd.ts";
import { Relay } from "../lab/relay.ts";
import {
  addressOf,
  freshPlace,
  hex,
  hostRecord,
  type StorePlace,
  TestHost,
  until,
  withSubnets,
} from "./hosts.ts";

const test = it
  .extend(
    "etcd",
    { scope: "file" },
    // biome-ignore lint/correctness/noEmptyPattern: vitest reads the dependencies off the pattern
    async ({}, { onCleanup }) => {
      const etcd = await Etcd.create();
      onCleanup(() => etcd.close());
      return etcd;
    },
  )
  .extend("place", ({ etcd }): StorePlace => freshPlace(etcd));

/** Two hosts that follow one network. @param far how the second reaches the store */
async function pair(stack: AsyncDisposableStack, place: StorePlace, far: StorePlace = place) {
  const a = stack.use(await TestHost.join(place, hostRecord(1)));
  const b = stack.use(await TestHost.join(far, hostRecord(2)));
  const { id } = await a.createNetwork("web", withSubnets("10.100.0.0/24"));
  await until("b has it", () => b.networks.has(id));
  await Promise.all([a, b].map(({ cluster }) => cluster.follow(id)));
  return { a, b, id };
}

/** A place behind a relay. */
async function behind(relay: Relay, place: StorePlace): Promise<StorePlace> {
  return { ...place, endpoints: [{ host: "127.0.0.1", port: relay.port }] };
}

async function relayTo(etcd: Etcd): Promise<Relay> {
  const [{ place }] = etcd.members;
  return Relay.open({ address: place.address, port: place.clientPort });
}

async function leases(etcd: Etcd): Promise<readonly string[]> {
  const text = await etcd.ctl(["lease", "list"]);
  return text.split("\n").filter((line) => /^[0-9a-f]{12,16}$/.test(line));
}

describe("a host", () => {
  test("that is dead, and all that it had, is gone within 20 s, and its addresses rest", async ({
    place,
  }) => {
    await using stack = new AsyncDisposableStack();
    const { a, b, id } = await pair(stack, place);
    const { record } = await b.join(id, "t1");
    await until("a sees t1", () => a.members.has("t1"));
    b.kill();
    const began = performance.now();
    await until("a sees neither", () => a.members.size === 0 && a.hosts.size === 0);
    expect(performance.now() - began).toBeLessThan(20_000);
    await expect(a.claim(id, "t2", { addresses: record.addresses })).rejects.toThrow(/is taken by/);
    await a.claim(id, "t1");
  });

  test("that was killed takes back what it had", async ({ place }) => {
    await using stack = new AsyncDisposableStack();
    const { a, b, id } = await pair(stack, place);
    const member = { id: hex(32), name: "t1" };
    const { record } = await b.join(id, "t1", { member });
    const old = await b.join(id, "old");
    b.kill();
    await using again = await TestHost.join(place, b.record);
    const { addresses, mac } = record;
    const claim = await again.join(id, "t1", { member, addresses, mac });
    expect(claim.record).toEqual(record);
    // No member of the daemon before: its name and address are left to this host.
    await again.join(id, "old", { addresses: old.record.addresses });
    await delay(16_000);
    expect(a.names).toEqual(["old", "t1"]);
    expect(a.members.get("t1")).toEqual(record);
  });

  test("that lost its leases comes back with all that it has", async ({ place, etcd }) => {
    await using stack = new AsyncDisposableStack();
    const { a, b, id } = await pair(stack, place);
    const { record } = await b.join(id, "t1");
    const held = await b.claim(id, "t2");
    for (const lease of await leases(etcd)) await etcd.ctl(["lease", "revoke", lease]);
    await until("both noticed", () => [a, b].every(({ states }) => states.length > 1));
    await until("both are back", () => a.isConnected && b.isConnected);
    await until("a sees t1 again", () => a.members.has("t1") && a.hosts.has(b.record.id));
    expect(a.members.get("t1")).toEqual(record);
    await expect(a.claim(id, "t2")).rejects.toThrow(/^name t2 is taken by member .* on host host2/);
    await held.announce();
    await until("a sees t2", () => a.members.has("t2"));
    expect(b.lost).toEqual([]);
  });

  test("whose records somebody deletes puts them there again", async ({ place, etcd }) => {
    await using stack = new AsyncDisposableStack();
    const { a, b, id } = await pair(stack, place);
    await b.join(id, "t1");
    await until("a sees t1", () => a.members.has("t1"));
    await etcd.remove(`${place.prefix}members/`);
    await until("a sees t1 no more", () => a.members.size === 0);
    await until("a sees t1 again", () => a.members.has("t1"));
    await etcd.remove(`${place.prefix}hosts/`);
    await until("they see each other again", () => a.hosts.size === 1 && b.hosts.size === 1);
    await until("both are connected", () => a.isConnected && b.isConnected);
  });

  test("that is cut off keeps its members, takes no new ones, and catches up", async ({
    place,
    etcd,
  }) => {
    await using stack = new AsyncDisposableStack();
    const relay = stack.use(await relayTo(etcd));
    const { a, b, id } = await pair(stack, place, await behind(relay, place));
    const [t1, t2] = [await b.join(id, "t1"), await b.claim(id, "t2")];
    const other = await a.join(id, "other");
    const t3 = await b.join(id, "t3");
    await until("both see all", () => a.members.size === 2 && b.members.size === 1);
    relay.silence();
    relay.cut();
    await until("it notices", () => b.cluster.state === "cut off");
    expect(b.names).toEqual(["other"]);
    await expect(b.claim(id, "t4")).rejects.toThrow(
      /^this host is cut off from the store etcd:.* since \d\d:\d\d:\d\d .*: overlay networks take no changes; local networks work$/,
    );
    await expect(b.createNetwork("n")).rejects.toThrow(/^this host is cut off/);
    // What is asked for now is done later.
    await Promise.all([t2.announce(), t3.release()]);
    await until("a sees none of it", () => a.members.size === 0 && a.hosts.size === 0);
    await other.release();
    relay.speak();
    await until("it is back", () => b.isConnected);
    await until("a sees what it has now", () => a.names.join() === "t1,t2");
    await until("it sees what a has now", () => b.members.size === 0);
    expect(a.members.get("t1")).toEqual(t1.record);
    expect(b.lost).toEqual([]);
  });

  test("that was cut off for too long loses what others have meanwhile", async ({
    place,
    etcd,
  }) => {
    await using stack = new AsyncDisposableStack();
    const relay = stack.use(await relayTo(etcd));
    const { a, b, id } = await pair(stack, place, await behind(relay, place));
    const [t1, t2] = [await b.join(id, "t1"), await b.join(id, "t2")];
    relay.silence();
    relay.cut();
    await until("a sees none of it", () => a.members.size === 0 && a.hosts.size === 0);
    await a.join(id, "t1");
    relay.speak();
    await until("it is back", () => b.isConnected);
    expect(b.lost.map(({ claim }) => claim)).toEqual([t1]);
    expect(b.lost[0].why).toMatch(/^name t1 is taken by member \w+ on host host1/);
    await until("a sees the other", () => a.names.join() === "t2");
    expect(a.members.get("t2")).toEqual(t2.record);
    await until("b sees the one that has the name now", () => b.names.join() === "t1");
  });

  test("starts without the store, and joins when it is there", async ({ place, etcd }) => {
    await using relay = await relayTo(etcd);
    relay.silence();
    await using host = await TestHost.open(await behind(relay, place), hostRecord(1));
    await expect(host.cluster.joined).rejects.toThrow(/etcd:/);
    expect(host.cluster.state).toBe("joining");
    await expect(host.createNetwork("n")).rejects.toThrow(/overlay networks take no changes/);
    relay.cut();
    relay.speak();
    await until("it joins", () => host.isConnected);
  });
});

describe("the store", () => {
  test("forgets what was, and nobody misses anything", async ({ place, etcd }) => {
    await using stack = new AsyncDisposableStack();
    const relay = stack.use(await relayTo(etcd));
    const { a, b, id } = await pair(stack, place, await behind(relay, place));
    const t1 = await a.join(id, "t1");
    await until("b sees t1", () => b.members.has("t1"));
    relay.silence();
    relay.cut();
    await t1.release();
    await a.join(id, "t2");
    await etcd.compact();
    relay.speak();
    await until("b knows", () => b.names.join() === "t2");
  });

  test("answers slowly, and members come and go all the same", async ({ place, etcd }) => {
    await using stack = new AsyncDisposableStack();
    const relay = stack.use(await relayTo(etcd));
    relay.delayMs = 400;
    const { a, b, id } = await pair(stack, place, await behind(relay, place));
    const claims = await Promise.all(Array.from({ length: 20 }, (_, i) => b.join(id, `t${i}`)));
    await until("a sees all", () => a.members.size === 20);
    await Promise.all(claims.map((claim) => claim.release()));
    await until("a sees none", () => a.members.size === 0);
    expect(b.states).toEqual(["connected"]);
  });

  it("loses its leader, and members come and go", async () => {
    await using etcd = await Etcd.create({ size: 3 });
    await using stack = new AsyncDisposableStack();
    const { a, b, id } = await pair(stack, freshPlace(etcd));
    await b.join(id, "t1");
    await until("a sees t1", () => a.members.has("t1"));
    const leader = await etcd.leader();
    await leader.kill();
    await until("b takes members again", async () => {
      try {
        await b.join(id, "t2");
        return true;
      } catch {
        return false;
      }
    });
    await until("a sees both", () => a.names.join() === "t1,t2");
    expect(b.lost).toEqual([]);
  });

  it("is restarted, and all are there again", async () => {
    await using etcd = await Etcd.create();
    await using stack = new AsyncDisposableStack();
    const { a, b, id } = await pair(stack, freshPlace(etcd));
    await b.join(id, "t1");
    const [member] = etcd.members;
    await member.kill();
    await until("both notice", () => !a.isConnected && !b.isConnected);
    expect(a.names).toEqual(["t1"]);
    member.restart();
    await until("both are back", () => a.isConnected && b.isConnected);
    await b.join(id, "t2");
    await until("a sees both", () => a.names.join() === "t1,t2");
  });
});

describe("what makes no sense is left out", () => {
  test("garbage everywhere below the prefix", async ({ place, etcd }) => {
    await using stack = new AsyncDisposableStack();
    const { a, b, id } = await pair(stack, place);
    const { prefix } = place;
    const garbage = ["x", "{", "null", "[]", '{"name":1}', "[{}]", "x".repeat(70_000)];
    for (const [i, value] of garbage.entries()) {
      await etcd.put(`${prefix}hosts/${hex(32)}`, value);
      await etcd.put(`${prefix}networks/${hex(32)}`, value);
      await etcd.put(`${prefix}members/${id}/${hex(32)}`, value);
      await etcd.put(`${prefix}peers/${id}/p${i}`, value);
      await etcd.put(`${prefix}hosts/../${i}`, value);
    }
    await etcd.put(`${prefix}addresses/${id}/10.100.0.9`, "{");
    await b.join(id, "t1");
    await until("a sees t1", () => a.members.has("t1"));
    expect([a.hosts.size, a.networks.size, a.members.size]).toEqual([1, 1, 1]);
    expect(await a.cluster.membersOf(id)).toHaveLength(1);
    expect([...(await a.cluster.population())]).toEqual([[b.record.id, 1]]);
    await expect(a.claim(id, "t2", { addresses: [addressOf("10.100.0.9")] })).rejects.toThrow(
      "address 10.100.0.9 is taken by something that is not Slipway's: choose another",
    );
    await a.createNetwork("other");
  });

  test("lies of a host", async ({ place, etcd }) => {
    await using stack = new AsyncDisposableStack();
    const { a, b, id } = await pair(stack, place);
    const { record } = await b.join(id, "t1");
    await until("a sees t1", () => a.members.has("t1"));
    const rogue = hex(32);
    const put = (host: string, changes: object) =>
      etcd.put(
        `${place.prefix}members/${id}/${hex(32)}`,
        JSON.stringify({
          host,
          names: ["x"],
          addresses: ["10.100.0.99"],
          mac: "02:42:00:00:00:99",
          ...changes,
        }),
      );
    await put(rogue, { addresses: ["10.101.0.1"] });
    await put(rogue, { addresses: ["10.100.0.1"] });
    await put(rogue, { addresses: ["10.100.0.255"] });
    await put(rogue, { addresses: record.addresses.map(String) });
    await put(rogue, { names: ["t1"] });
    await put(rogue, { mac: "52:55:0a:64:00:01" });
    await put(rogue, { mac: "03:42:00:00:00:99" });
    await put(rogue, { names: ["../x"] });
    await etcd.put(
      `${place.prefix}hosts/${rogue}`,
      JSON.stringify({ ...b.record, addresses: ["192.0.2.2"], name: "rogue" }),
    );
    await put(rogue, { names: ["honest"] });
    await until("a sees the honest one", () => a.members.has("honest"));
    expect(a.names).toEqual(["honest", "t1"]);
    expect(a.members.get("t1")).toEqual(record);
    expect([...a.hosts.values()].map(({ name }) => name)).toEqual(["host2"]);
  });
});

test("of two records with one address the first is seen, then the other", async ({
  place,
  etcd,
}) => {
  await using stack = new AsyncDisposableStack();
  const { a, id } = await pair(stack, place);
  const keys = [hex(32), hex(32)].map((member) => `${place.prefix}members/${id}/${member}`);
  for (const [i, key] of keys.entries()) {
    const mac = `02:42:00:00:00:0${i}`;
    const record = { host: hex(32), names: [`m${i}`], addresses: ["10.100.0.99"], mac };
    await etcd.put(key, JSON.stringify(record));
  }
  await until("a sees the first", () => a.members.has("m0"));
  await delay(200);
  expect(a.names).toEqual(["m0"]);
  await etcd.remove(keys[0]);
  await until("a sees the second", () => a.names.join() === "m1");
});
