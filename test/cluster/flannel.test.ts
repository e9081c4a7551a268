import { setTimeout as delay } from "node:timers/promises";
import { expect, it } from "vitest";
import { Prefix } from "../../src/base/address.ts";
import { formatMac } from "../../src/base/mac.ts";
import type { FlannelLease } from "../../src/cluster/encoding/flannel.ts";
import { type Flannel, joinFlannel } from "../../src/cluster/flannel.ts";
import { Etcd } from "../lab/etcd.ts";
import { addressOf, freshPlace, openPlace, type StorePlace, until } from "./hosts.ts";

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

const CONFIG = { Network: "10.5.0.0/16", Backend: { Type: "vxlan" } };

/** A host of a flannel network, with the routes that it was told of. */
interface Host extends AsyncDisposable {
  readonly flannel: Flannel;
  readonly routes: Map<string, FlannelLease>;
}

async function join(
  place: StorePlace,
  number: number,
  previous: Prefix | null = null,
): Promise<Host> {
  const routes = new Map<string, FlannelLease>();
  const publicIp = addressOf(`192.0.2.${number}`);
  const self = { publicIp, vtepMac: 0x0200_0000_0000 + number, previous };
  const flannel = await joinFlannel(await openPlace(place), self, {
    onConfig: () => {},
    onRoute: (route) => void routes.set(`${route.subnet}`, route),
    onRouteGone: (subnet) => void routes.delete(`${subnet}`),
  });
  return { flannel, routes, [Symbol.asyncDispose]: async () => flannel.close() };
}

/** As flanneld writes it. */
function leaseOf(number: number, changes: object = {}): string {
  return JSON.stringify({
    PublicIP: `192.0.2.${number}`,
    PublicIPv6: null,
    BackendType: "vxlan",
    BackendData: { VNI: 1, VtepMAC: formatMac(0x0200_0000_0000 + number) },
    ...changes,
  });
}

test("takes a subnet as flanneld does, and knows those of the others", async ({ etcd, place }) => {
  await etcd.put(`${place.prefix}config`, JSON.stringify(CONFIG));
  await etcd.put(`${place.prefix}subnets/10.5.34.0-24`, leaseOf(9));
  await using host = await join(place, 1);
  const { own, config } = host.flannel;
  expect([config.vni, config.port, own.subnet.length]).toEqual([1, 8472, 24]);
  expect(config.network.covers(own.subnet)).toBe(true);
  expect(`${own.subnet}`).not.toBe("10.5.0.0/24");
  expect([...host.routes.keys()]).toEqual(["10.5.34.0/24"]);
  expect(host.routes.get("10.5.34.0/24")).toMatchObject({
    publicIp: addressOf("192.0.2.9"),
    vtepMac: 0x0200_0000_0009,
  });
  const keys = await etcd.read(`${place.prefix}subnets/`);
  const key = `${place.prefix}subnets/${own.subnet.address}-24`;
  expect(JSON.parse(keys.get(key) ?? "")).toEqual({
    PublicIP: "192.0.2.1",
    PublicIPv6: null,
    BackendType: "vxlan",
    BackendData: { VNI: 1, VtepMAC: "02:00:00:00:00:01" },
  });
  const ttl = await leaseTime(etcd, key);
  expect(ttl).toBeGreaterThan(23 * 3600);
  expect(ttl).toBeLessThanOrEqual(24 * 3600);
  await etcd.remove(`${place.prefix}subnets/10.5.34.0-24`);
  await until("it is gone", () => host.routes.size === 0);
});

test("its lease stays, and the next daemon has the same subnet", async ({ etcd, place }) => {
  await etcd.put(`${place.prefix}config`, JSON.stringify({ ...CONFIG, SubnetLen: 26 }));
  const first = await join(place, 1);
  const { subnet } = first.flannel.own;
  expect(subnet.length).toBe(26);
  first.flannel.close();
  await delay(500);
  expect((await etcd.read(`${place.prefix}subnets/`)).size).toBe(1);
  await using second = await join(place, 1);
  expect(`${second.flannel.own.subnet}`).toBe(`${subnet}`);
  await etcd.put(`${place.prefix}config`, JSON.stringify({ ...CONFIG, SubnetLen: 24 }));
  await using third = await join(place, 1);
  expect(third.flannel.own.subnet.length).toBe(24);
  expect((await etcd.read(`${place.prefix}subnets/`)).size).toBe(1);
});

test("a host that leaves gives its subnet back, and gets it again if nobody has it", async ({
  etcd,
  place,
}) => {
  await etcd.put(`${place.prefix}config`, JSON.stringify(CONFIG));
  const previous = Prefix.parse("10.5.77.0/24");
  const first = await join(place, 1, previous);
  expect(first.flannel.own.subnet).toEqual(previous);
  await using second = await join(place, 2, previous);
  expect(second.flannel.own.subnet).not.toEqual(previous);
  await first.flannel.leave();
  expect((await etcd.read(`${place.prefix}subnets/`)).size).toBe(1);
});

test("hosts that join at once have subnets of their own, until there are none", async ({
  etcd,
  place,
}) => {
  const config = { ...CONFIG, SubnetMin: "10.5.8.0", SubnetMax: "10.5.15.0" };
  await etcd.put(`${place.prefix}config`, JSON.stringify(config));
  await using stack = new AsyncDisposableStack();
  const hosts = await Promise.all(
    Array.from({ length: 8 }, async (_, i) => stack.use(await join(place, i + 1))),
  );
  const subnets = hosts.map(({ flannel }) => `${flannel.own.subnet}`);
  expect(subnets.toSorted()).toEqual(
    Array.from({ length: 8 }, (_, i) => `10.5.${i + 8}.0/24`).toSorted(),
  );
  await until("all know all", () => hosts.every(({ routes }) => routes.size === 7));
  await expect(join(place, 9)).rejects.toThrow(/10.5.0.0\/16 in etcd:.* has no subnet left/);
});

test("a subnet that somebody deletes is taken again", async ({ etcd, place }) => {
  await etcd.put(`${place.prefix}config`, JSON.stringify(CONFIG));
  await using a = await join(place, 1);
  await using b = await join(place, 2);
  const subnet = `${a.flannel.own.subnet}`;
  await until("b knows a", () => b.routes.has(subnet));
  await etcd.remove(`${place.prefix}subnets/${a.flannel.own.subnet.address}`);
  await until("b knows it no more", () => !b.routes.has(subnet));
  await until("b knows a again", () => b.routes.has(subnet));
  expect(`${a.flannel.own.subnet}`).toBe(subnet);
});

test("leases that make no sense are left out", async ({ etcd, place }) => {
  await etcd.put(`${place.prefix}config`, JSON.stringify(CONFIG));
  await using host = await join(place, 1);
  const put = (subnet: string, value: string) =>
    etcd.put(`${place.prefix}subnets/${subnet}`, value);
  const own = host.flannel.own.subnet.address;
  await put("10.6.1.0-24", leaseOf(20));
  await put("10.5.0.0-16", leaseOf(20));
  await put("10.5.1.1-24", leaseOf(20));
  await put("10.5.200.0-24", "{");
  await put("10.5.201.0-24", leaseOf(21, { BackendType: "udp" }));
  await put(
    "10.5.202.0-24",
    leaseOf(22, { BackendData: { VNI: 7, VtepMAC: "02:00:00:00:00:01" } }),
  );
  await put(
    "10.5.203.0-24",
    leaseOf(23, { BackendData: { VNI: 1, VtepMAC: "ff:ff:ff:ff:ff:ff" } }),
  );
  await put("10.5.204.0-24", leaseOf(24, { PublicIP: "224.0.0.1" }));
  await put(`${own}-25`, leaseOf(25));
  await put("10.5.250.0-24", leaseOf(30));
  await until("it knows the one that does", () => host.routes.has("10.5.250.0/24"));
  expect([...host.routes.keys()]).toEqual(["10.5.250.0/24"]);
});

test.for([
  [null, /has no flannel network there: give --opt etcd-prefix/],
  ["{", /config of the flannel network in etcd:.*: it is not JSON/],
  [{ Network: "10.5.0.0/16" }, /its Backend makes no sense/],
  [{ ...CONFIG, Backend: { Type: "host-gw" } }, /its backend is host-gw, and vxlan alone/],
  [{ ...CONFIG, Network: "fd00::/48" }, /its Network makes no sense/],
  [{ ...CONFIG, Network: "10.5.0.0/29" }, /has no room for four subnets/],
  [{ ...CONFIG, SubnetMin: "10.6.0.0" }, /SubnetMin or SubnetMax 10.6.0.0 is no subnet/],
] as const)("a config %j is refused", async ([config, sentence], { etcd, place }) => {
  if (config !== null) {
    const text = typeof config === "string" ? config : JSON.stringify(config);
    await etcd.put(`${place.prefix}config`, text);
  }
  await expect(join(place, 1)).rejects.toThrow(sentence);
});

/** Seconds until a key goes. */
async function leaseTime(etcd: Etcd, key: string): Promise<number> {
  const found = JSON.parse(await etcd.ctl(["get", "-w", "json", key])) as {
    kvs: { lease: number }[];
  };
  // The number has more digits than a double: etcdctl lists leases in hexadecimal.
  const ids = (await etcd.ctl(["lease", "list"]))
    .split("\n")
    .filter((line) => /^[0-9a-f]+$/.test(line));
  const id = ids.find((each) => Math.abs(Number(`0x${each}`) - found.kvs[0].lease) < 4096);
  const text = await etcd.ctl(["lease", "timetolive", id ?? ""]);
  return Number(/remaining\((\d+)s\)/.exec(text)?.[1]);
}
