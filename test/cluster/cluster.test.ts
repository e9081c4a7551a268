import { describe, expect, it } from "vitest";
import type { Wish } from "../../src/cluster/cluster.ts";
import { Etcd } from "../lab/etcd.ts";
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

/** Hosts of a cluster, which end with the test. */
async function hosts(stack: AsyncDisposableStack, place: StorePlace, count: number) {
  const all = Array.from({ length: count }, (_, i) => TestHost.join(place, hostRecord(i + 1)));
  return (await Promise.all(all)).map((host) => stack.use(host));
}

describe("hosts", () => {
  test("see each other, and none that has ended", async ({ place }) => {
    await using stack = new AsyncDisposableStack();
    const [a, b] = await hosts(stack, place, 2);
    await until("a sees b", () => a.hosts.has(b.record.id) && b.hosts.has(a.record.id));
    expect(a.hosts.get(b.record.id)).toEqual(b.record);
    expect(a.cluster.hosts.map(({ id }) => id)).toEqual([a.record.id, b.record.id]);
    await b.close();
    await until("a sees b no more", () => a.hosts.size === 0);
  });

  test("with one endpoint are refused, but for those who come back", async ({ place }) => {
    const record = hostRecord(1);
    const first = await TestHost.join(place, record);
    await using other = await TestHost.open(place, hostRecord(1, { name: "other" }));
    await expect(other.cluster.joined).rejects.toThrow(
      "192.0.2.1:4789 is the endpoint of host host1 in the cluster: give another --advertise, --vxlan-port or --wireguard-port",
    );
    expect(other.cluster.state).toBe("joining");
    first.kill();
    await using again = await TestHost.join(place, record);
    expect(again.isConnected).toBe(true);
  });

  test("of one machine share its address by other ports", async ({ place }) => {
    await using first = await TestHost.join(place, hostRecord(1));
    const ports = { vxlanPort: 4790, wireguardPort: 51_821 };
    await using second = await TestHost.join(place, hostRecord(1, ports));
    await until("they see each other", () => first.hosts.has(second.record.id));
  });

  test("with one id are refused while the first lives", async ({ place }) => {
    const record = hostRecord(1);
    const first = await TestHost.join(place, record);
    const moved = { ...record, addresses: [addressOf("192.0.2.9")] };
    await using second = await TestHost.open(place, moved);
    await expect(second.cluster.joined).rejects.toThrow(/host host1 at 192.0.2.1:4789 has the id/);
    await first.close();
    await until("it joins", () => second.isConnected);
  });
});

describe("networks", () => {
  test("made on one host are seen on all, and gone everywhere", async ({ place }) => {
    await using stack = new AsyncDisposableStack();
    const [a, b] = await hosts(stack, place, 2);
    const network = await a.createNetwork("Web", withSubnets("10.100.0.0/16", "fd00:1::/64"));
    await until("b has it", () => b.networks.has(network.id));
    expect(b.networks.get(network.id)).toEqual(network);
    expect(a.cluster.networks).toEqual([network]);
    await b.cluster.removeNetwork(network.id);
    await until("a has it no more", () => a.networks.size === 0);
  });

  test("of one name made on several hosts at once: one is made", async ({ place }) => {
    await using stack = new AsyncDisposableStack();
    const all = await hosts(stack, place, 3);
    const results = await Promise.allSettled(all.map((host) => host.createNetwork("web")));
    const refused = results.filter(({ status }) => status === "rejected");
    expect(refused).toHaveLength(2);
    for (const result of refused) {
      expect(result).toMatchObject({
        reason: { message: expect.stringMatching(/^network web exists in the cluster: choose/) },
      });
    }
    await until("all see it", () => all.every(({ networks }) => networks.size === 1));
  });

  test("made on several hosts at once have subnets and VNIs of their own", async ({ place }) => {
    await using stack = new AsyncDisposableStack();
    const all = await hosts(stack, place, 3);
    const names = Array.from({ length: 12 }, (_, i) => `n${i}`);
    const carriage = { kind: "vxlan", vni: null } as const;
    const made = await Promise.all(
      names.map((name, i) => all[i % 3].createNetwork(name, { carriage })),
    );
    expect(new Set(made.map(({ subnets }) => `${subnets[0].prefix}`)).size).toBe(12);
    const vnis = made.map(({ carriage }) => (carriage.kind === "vxlan" ? carriage.vni : 0));
    expect(new Set(vnis).size).toBe(12);
    await expect(
      all[0].createNetwork("x", { carriage: { kind: "vxlan", vni: vnis[3] } }),
    ).rejects.toThrow(`--opt vni=${vnis[3]} is that of network n3: choose another`);
    await expect(
      all[1].createNetwork("x", withSubnets(`${made[0].subnets[0].prefix}`)),
    ).rejects.toThrow(/overlaps network n0: choose another$/);
  });

  test("in use are not removed", async ({ place }) => {
    await using stack = new AsyncDisposableStack();
    const [a, b] = await hosts(stack, place, 2);
    const { id } = await a.createNetwork("web");
    await until("b has it", () => b.networks.has(id));
    await until("a knows b by name", () => a.hosts.has(b.record.id));
    const claim = await b.join(id, "t1");
    await expect(a.cluster.removeNetwork(id)).rejects.toThrow(
      "network web is in use by t1 on host host2: disconnect its members first",
    );
    await expect(b.cluster.removeNetwork(id)).rejects.toThrow(/in use by members of this host/);
    await claim.release();
    await a.cluster.removeNetwork(id);
    await until("b has it no more", () => !b.networks.has(id));
    await expect(b.claim(id, "t1")).rejects.toThrow(/no network .* in the cluster any more/);
  });

  test("removed before a member is announced leave nothing of it", async ({ place, etcd }) => {
    await using stack = new AsyncDisposableStack();
    const [a, b] = await hosts(stack, place, 2);
    const { id } = await a.createNetwork("web");
    await until("b has it", () => b.networks.has(id));
    const claim = await b.claim(id, "t1");
    await a.cluster.removeNetwork(id);
    await expect(claim.announce()).rejects.toThrow("network web was removed on another host");
    const left = [...(await etcd.read(place.prefix)).keys()].filter((key) => key.includes("t1"));
    expect(left).toEqual([]);
  });
});

describe("members", () => {
  test("are seen with all they have by hosts that follow their network", async ({ place }) => {
    await using stack = new AsyncDisposableStack();
    const [a, b, c] = await hosts(stack, place, 3);
    const { id } = await a.createNetwork("web", withSubnets("10.100.0.0/16", "fd00:1::/64"));
    await until("all have it", () => b.networks.has(id) && c.networks.has(id));
    await Promise.all([a, b].map((host) => host.cluster.follow(id)));
    const claim = await a.claim(id, "T1", { aliases: ["db", "Store"] });
    expect(b.names).toEqual([]);
    await claim.announce();
    await until("b sees it", () => b.members.has("t1"));
    expect(b.members.get("t1")).toEqual(claim.record);
    const { addresses, names, mac } = claim.record;
    expect(names).toEqual(["t1", "db", "store"]);
    expect(addresses.map(({ family }) => family)).toEqual([4, 6]);
    expect(mac).toBe(0x0242_0000_0000 + addresses[0].w3);
    expect(a.names).toEqual([]);
    expect(c.names).toEqual([]);
    expect(await c.cluster.membersOf(id)).toEqual([claim.record]);
    expect([...(await c.cluster.population())]).toEqual([[a.record.id, 1]]);
    await c.cluster.follow(id);
    expect(c.names).toEqual(["t1"]);
    c.cluster.unfollow(id);
    expect(c.names).toEqual([]);
    await claim.release();
    await until("b sees it no more", () => b.names.length === 0);
  });

  test("get one address, MAC or name once, whoever asks when", async ({ place }) => {
    await using stack = new AsyncDisposableStack();
    const [a, b] = await hosts(stack, place, 2);
    const { id } = await a.createNetwork("web", withSubnets("10.100.0.0/16"));
    await until("b has it", () => b.networks.has(id));
    const addresses = [addressOf("10.100.7.7")];
    const both = await Promise.allSettled([
      a.claim(id, "t1", { addresses }),
      b.claim(id, "t2", { addresses }),
    ]);
    expect(both.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    await a.claim(id, "t3", { mac: 0x0242_0000_0003 });
    const wrong: [string, Partial<Wish>, RegExp][] = [
      ["t4", { addresses }, /^address 10.100.7.7 is taken by member \w+ on host/],
      ["T3", {}, /^name T3 is taken by member \w{12} on host host1: choose another$/],
      ["t5", { mac: 0x0242_0000_0003 }, /^MAC 02:42:00:00:00:03 is taken by/],
      ["t6", { mac: 0x5255_0a64_0001 }, /^MAC 52:55:0a:64:00:01 is that of the gateway/],
      ["t7", { addresses: [addressOf("10.101.0.1")] }, /is not in network web \(10/],
      ["t8", { addresses: [addressOf("10.100.0.1")] }, /it is the gateway's/],
    ];
    for (const [name, wish, sentence] of wrong) {
      await expect(b.claim(id, name, wish)).rejects.toThrow(sentence);
    }
    const names = ["t4", "t5", "t6", "t7", "t8"];
    for (const name of names) await b.claim(id, name);
  });

  test("of one member on two networks share its name", async ({ place }) => {
    await using stack = new AsyncDisposableStack();
    const [a, b] = await hosts(stack, place, 2);
    const [n1, n2] = [await a.createNetwork("n1"), await a.createNetwork("n2")];
    await until("b has them", () => b.networks.size === 2);
    const member = { id: hex(32), name: "t1" };
    const claims = await Promise.all([n1, n2].map(({ id }) => a.join(id, "t1", { member })));
    await claims[0].release();
    await expect(b.claim(n1.id, "t1")).rejects.toThrow(/^name t1 is taken/);
    await claims[1].release();
    await b.claim(n1.id, "t1");
  });

  test("a hundred on each of three hosts at once have addresses of their own", async ({
    place,
  }) => {
    await using stack = new AsyncDisposableStack();
    const all = await hosts(stack, place, 3);
    const { id } = await all[0].createNetwork("web", withSubnets("10.100.0.0/23"));
    await until("all have it", () => all.every(({ networks }) => networks.has(id)));
    const claims = await Promise.all(
      all.flatMap((host, h) => Array.from({ length: 100 }, (_, i) => host.join(id, `t${h}-${i}`))),
    );
    expect(new Set(claims.map(({ record }) => `${record.addresses[0]}`)).size).toBe(300);
    expect(await all[1].cluster.membersOf(id)).toHaveLength(300);
  });

  test("get every address of a small subnet, and then a sentence", async ({ place }) => {
    await using stack = new AsyncDisposableStack();
    const all = await hosts(stack, place, 3);
    const { id } = await all[0].createNetwork("web", withSubnets("10.100.0.0/28"));
    await until("all have it", () => all.every(({ networks }) => networks.has(id)));
    const results = await Promise.allSettled(
      Array.from({ length: 15 }, (_, i) => all[i % 3].claim(id, `t${i}`)),
    );
    const given = results.flatMap((each) =>
      each.status === "fulfilled" ? [`${each.value.record.addresses[0]}`] : [],
    );
    expect(given.toSorted()).toEqual(
      Array.from({ length: 13 }, (_, i) => `10.100.0.${i + 2}`).toSorted(),
    );
    await expect(all[0].claim(id, "more")).rejects.toThrow(
      /^network web has no address left in 10.100.0.0\/28: disconnect a member/,
    );
  });

  test("in IPv6 alone have MACs of their own", async ({ place }) => {
    await using stack = new AsyncDisposableStack();
    const [a] = await hosts(stack, place, 1);
    const { id } = await a.createNetwork("web", withSubnets("fd00:1::/64"));
    const addresses = ["fd00:1::1:0:0:7", "fd00:1::2:0:0:7"].map((text) => [addressOf(text)]);
    const claims = [
      await a.claim(id, "t1", { addresses: addresses[0] }),
      await a.claim(id, "t2", { addresses: addresses[1] }),
    ];
    expect(claims[0].record.mac).toBe(0x0242_0000_0007);
    expect(claims[1].record.mac).not.toBe(claims[0].record.mac);
  });

  test("give addresses back that rest", async ({ place }) => {
    await using stack = new AsyncDisposableStack();
    const [a, b] = await hosts(stack, place, 2);
    const { id } = await a.createNetwork("web", withSubnets("10.100.0.0/29"));
    await until("b has it", () => b.networks.has(id));
    const claims = await Promise.all(Array.from({ length: 5 }, (_, i) => a.join(id, `t${i}`)));
    await claims[2].release();
    const { addresses } = claims[2].record;
    await expect(b.claim(id, "new")).rejects.toThrow(/has no address left/);
    await expect(b.claim(id, "new", { addresses })).rejects.toThrow(/rest.* for 60 s/);
    const again = await a.claim(id, "other", { addresses });
    await again.release();
    await b.claim(id, "other", { addresses });
  });
});

describe("peers", () => {
  const vtep = { kind: "vtep", address: addressOf("192.0.2.9"), port: 4789 } as const;
  const plain = { carriage: { kind: "vxlan", vni: null } } as const;

  function wireguard({ record }: TestHost) {
    return { kind: "wireguard", host: record.id, publicKey: record.publicKey } as const;
  }

  test("are members that stay, whoever added them", async ({ place, etcd }) => {
    await using stack = new AsyncDisposableStack();
    const [a, b] = await hosts(stack, place, 2);
    const { id } = await a.createNetwork("web", withSubnets("10.100.0.0/24", "fd00:1::/64"));
    await until("b has it", () => b.networks.has(id));
    await b.cluster.follow(id);
    const location = wireguard(a);
    const wanted = { network: id, name: "Laptop", addresses: [], mac: null, location };
    const peer = await a.cluster.addPeer(wanted);
    expect(peer).toMatchObject({ names: ["laptop"], location });
    expect(peer.addresses.map(({ family }) => family)).toEqual([4, 6]);
    await until("b sees it", () => b.members.has("laptop"));
    expect(b.members.get("laptop")).toEqual(peer);
    expect(await b.cluster.membersOf(id)).toEqual([peer]);
    await expect(b.claim(id, "laptop")).rejects.toThrow(/^name laptop is taken by peer/);
    const { addresses } = peer;
    await expect(b.claim(id, "t1", { addresses })).rejects.toThrow(/is taken by peer/);
    await expect(b.cluster.removeNetwork(id)).rejects.toThrow(
      "network web has peer laptop: slipway network peer rm web laptop",
    );
    await a.close();
    expect(b.members.has("laptop")).toBe(true);
    expect(await b.cluster.removePeer(id, "LAPTOP")).toEqual(peer);
    await until("b sees it no more", () => b.members.size === 0);
    await expect(b.cluster.removePeer(id, "laptop")).rejects.toThrow(/has no peer laptop/);
    await expect(b.claim(id, "t1", { addresses })).rejects.toThrow(/resting for 60 s/);
    await b.claim(id, "laptop", { addresses });
    const left = [...(await etcd.read(place.prefix)).keys()].filter((key) => /peers/.test(key));
    expect(left).toEqual([]);
  });

  test("have the addresses that they are given alone", async ({ place }) => {
    await using stack = new AsyncDisposableStack();
    const [a] = await hosts(stack, place, 1);
    const subnets = withSubnets("10.101.0.0/16", "fd00:2::/64");
    const { id } = await a.createNetwork("box", { ...subnets, ...plain });
    const given = { network: id, name: "box", mac: 0x0200_0000_0902, location: vtep };
    const addresses = [addressOf("10.101.9.2")];
    const peer = await a.cluster.addPeer({ ...given, addresses });
    expect([peer.addresses, peer.mac, peer.location]).toEqual([addresses, given.mac, vtep]);
  });

  test("are of the kind of their network", async ({ place }) => {
    await using stack = new AsyncDisposableStack();
    const [a] = await hosts(stack, place, 1);
    const [open, encrypted] = [await a.createNetwork("o", plain), await a.createNetwork("e")];
    const add = (network: string, location: ReturnType<typeof wireguard> | typeof vtep) =>
      a.cluster.addPeer({ network, name: "p", addresses: [], mac: null, location });
    await expect(add(open.id, wireguard(a))).rejects.toThrow(
      /^network o is plain, and --wireguard/,
    );
    await expect(add(encrypted.id, vtep)).rejects.toThrow(/^network e is encrypted, and --vtep is/);
  });

  test("that are lies do not take what is others' when they are removed", async ({
    place,
    etcd,
  }) => {
    await using stack = new AsyncDisposableStack();
    const [a] = await hosts(stack, place, 1);
    const { id } = await a.createNetwork("web");
    const { record } = await a.join(id, "t1");
    const lie = {
      id: hex(32),
      addresses: record.addresses.map(String),
      mac: "02:00:00:00:00:01",
      wireguard: { host: a.record.id, publicKey: a.record.publicKey },
    };
    await etcd.put(`${place.prefix}peers/${id}/t1`, JSON.stringify(lie));
    await a.cluster.removePeer(id, "t1");
    await expect(a.claim(id, "t1")).rejects.toThrow(/is taken by member/);
    await expect(a.claim(id, "t2", { addresses: record.addresses })).rejects.toThrow(
      /taken by memb/,
    );
  });
});
