import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DumpEnd } from "../../src/wire/netlink.js";
import {
  emitRouteQuery,
  type LinkAddress,
  type LinkRoute,
  parseRouteDump,
  RouteDump,
  type RouteTables,
} from "../../src/wire/rtnetlink-dump.js";
import { TestNamespace } from "./netns.js";

/** What is set up in a namespace, by ip(8). */
const SETUP = `
  ip link set lo up
  ip link add eth0 mtu 1400 type veth peer name peer0
  ip link add down0 type bridge
  ip link set peer0 up
  ip link set eth0 up
  ip addr add 192.0.2.5/24 dev eth0
  ip addr add 192.0.2.6/24 dev eth0
  ip addr add 198.51.100.1 peer 198.51.100.2/32 dev eth0
  ip addr add 169.254.9.9/16 scope link dev eth0
  ip addr add 2001:db8::5/64 dev eth0 nodad
  ip addr add 2001:db8::6/64 dev eth0 nodad preferred_lft 0
  ip route add default via 192.0.2.1 metric 100
  ip route add default via 192.0.2.1 metric 7 table 99
  ip route add 203.0.113.0/24 via 192.0.2.9
  ip route add blackhole 203.0.113.7
  ip route add 203.0.113.16/28 via 192.0.2.1 tos 8
  ip route add 203.0.113.32/28 nexthop via 192.0.2.3 dev eth0 nexthop via 192.0.2.4 dev eth0
  ip route add 203.0.113.64/28 via inet6 fe80::9 dev eth0
  ip -6 route add default via fe80::1 dev eth0 metric 1024
  ip -6 route add 2001:db8:9::/48 from 2001:db8::/64 via fe80::2 dev eth0
`;

let namespace: TestNamespace;
let tables: RouteTables;

beforeAll(async () => {
  namespace = await TestNamespace.open();
  namespace.run("sh", "-ec", SETUP);
  tables = read(1000);
});

afterAll(async () => {
  await namespace.close();
});

function read(most: number): RouteTables {
  const read: RouteTables = { links: [], addresses: [], routes: [] };
  for (const dump of Object.values(RouteDump)) {
    const ends = namespace
      .dump(emitRouteQuery(dump))
      .map((bytes) => parseRouteDump(bytes, read, most, () => {}));
    expect(ends.at(-1)).toBe(DumpEnd.Done);
    expect(new Set(ends.slice(0, -1))).toEqual(new Set(ends.length > 1 ? [DumpEnd.More] : []));
  }
  return read;
}

function indexOf(name: string): number {
  return namespace.link(name).ifindex;
}

function addressOf(text: string): LinkAddress | undefined {
  return tables.addresses.find(({ address }) => `${address}` === text);
}

function routesTo(text: string): readonly LinkRoute[] {
  return tables.routes.filter(({ destination }) => `${destination}` === text);
}

it("links", () => {
  const found = new Map(tables.links.map((link) => [link.name, link]));
  expect([...found.keys()].toSorted()).toEqual(["down0", "eth0", "lo", "peer0"]);
  expect(found.get("lo")).toMatchObject({ index: 1, isLoopback: true, isUp: true });
  expect(found.get("down0")).toMatchObject({ isLoopback: false, isUp: false, isRunning: false });
  const eth0 = { index: indexOf("eth0"), name: "eth0", mtu: 1400 };
  expect(found.get("eth0")).toEqual({ ...eth0, isLoopback: false, isUp: true, isRunning: true });
});

it.each([
  ["127.0.0.1", { length: 8, isGlobal: false }],
  ["192.0.2.5", { length: 24, isGlobal: true, isPreferred: true, isTemporary: false }],
  ["192.0.2.6", { length: 24, isGlobal: true, isPreferred: true, isTemporary: false }],
  ["198.51.100.1", { length: 32, isGlobal: true }],
  ["169.254.9.9", { isGlobal: false }],
  ["2001:db8::5", { length: 64, isGlobal: true, isPreferred: true, isTemporary: false }],
  ["2001:db8::6", { isGlobal: true, isPreferred: false }],
  ["::1", { length: 128, isGlobal: false }],
])("the address %s", (text, expected) => {
  const link = text === "127.0.0.1" || text === "::1" ? 1 : indexOf("eth0");
  expect(addressOf(text)).toMatchObject({ link, ...expected });
});

describe("routes", () => {
  it.each([
    ["0.0.0.0/0", "192.0.2.1", 100, false],
    ["203.0.113.0/24", "192.0.2.9", 0, false],
    ["192.0.2.0/24", "null", 0, true],
    ["198.51.100.2/32", "null", 0, true],
    ["::/0", "fe80::1", 1024, false],
    ["2001:db8::/64", "null", 256, true],
  ])("to %s", (destination, via, metric, isOfKernel) => {
    const link = indexOf("eth0");
    const found = routesTo(destination).map((route) => ({ ...route, via: `${route.via}` }));
    const expected = { link, via, isViaOtherFamily: false, metric, isOfKernel };
    expect(found).toEqual([expect.objectContaining(expected)]);
  });

  it("of several next hops, with the first", () => {
    const [found, ...others] = routesTo("203.0.113.32/28");
    expect(others).toEqual([]);
    expect(`${found?.via}`).toBe("192.0.2.3");
  });

  it("by a next hop of the other family", () => {
    expect(routesTo("203.0.113.64/28")).toEqual([
      expect.objectContaining({ via: null, isViaOtherFamily: true }),
    ]);
  });

  it.each([["203.0.113.7/32"], ["203.0.113.16/28"], ["2001:db8:9::/48"], ["127.0.0.0/8"]])(
    "not that to %s, which no guest can have",
    (text) => expect(routesTo(text)).toEqual([]),
  );
});

it("no more entries are kept than are wanted", () => {
  const few = read(2);
  expect([few.links.length, few.addresses.length, few.routes.length]).toEqual([2, 2, 2]);
});

it("tells of a dump during which something changed, and of malformed ones", () => {
  const [whole] = namespace.dump(emitRouteQuery(RouteDump.Links));
  const into = (): RouteTables => ({ links: [], addresses: [], routes: [] });
  let interruptions = 0;
  const parse = (bytes: Uint8Array) =>
    parseRouteDump(bytes, into(), 1000, () => {
      interruptions += 1;
    });
  expect(parse(whole)).toBeGreaterThanOrEqual(0);
  expect(interruptions).toBe(0);
  const marked = Uint8Array.from(whole);
  marked[6] |= 0x10;
  expect(parse(marked)).toBeGreaterThanOrEqual(0);
  expect(interruptions).toBe(1);
  expect(parse(whole.subarray(0, whole.length - 1))).toBe(null);
  expect(parse(Uint8Array.from([20, 0, 0, 0, 24, 0, 2, 0, ...Array(12).fill(0)]))).toBe(null);
});
