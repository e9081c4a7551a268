import { constants } from "node:os";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Address, Prefix } from "../../src/base/address.js";
import { parseMac } from "../../src/base/mac.js";
import { defaultRoute } from "../../src/config/address-plan.js";
import {
  addAddress,
  addRoute,
  deleteAddress,
  deleteRoute,
  LOOPBACK_IFINDEX,
  linkUp,
  Mode,
  setLink,
} from "../../src/wire/rtnetlink.js";
import { TestNamespace } from "./netns.js";

const TAP = "tap7";

let namespace: TestNamespace;
let ifindex: number;

beforeEach(async () => {
  namespace = await TestNamespace.open();
  ifindex = namespace.addTap(TAP);
});

afterEach(async () => {
  await namespace.close();
});

function parsed(text: string): Address {
  const address = Address.parse(text);
  if (address === null) throw new Error(`${text} does not parse`);
  return address;
}

interface Configuration {
  readonly family: "-4" | "-6";
  readonly address: string;
  readonly length: number;
  readonly gateway: string;
  readonly extra: object;
}

describe("the kernel understands", () => {
  it("setLink with every setting", () => {
    const mac = parseMac("02:00:5e:10:00:07") ?? 0;
    const message = setLink(ifindex, { mtu: 65520, txqueuelen: 10_000, mac });
    expect(namespace.send(message)).toEqual([0]);
    const link = namespace.link(TAP);
    expect(link).toMatchObject({ mtu: 65520, txqlen: 10_000, address: "02:00:5e:10:00:07" });
    expect(link.flags).not.toContain("UP");
  });

  it("linkUp leaves the rest as it is", () => {
    const before = namespace.link(TAP);
    expect(namespace.send(linkUp(ifindex))).toEqual([0]);
    const after = namespace.link(TAP);
    const { mtu, txqlen, address } = before;
    expect(after).toMatchObject({ mtu, txqlen, address });
    expect(before.flags).not.toContain("UP");
    expect(after.flags).toContain("UP");
  });

  it("linkUp of the loopback interface", () => {
    expect(namespace.send(linkUp(LOOPBACK_IFINDEX))).toEqual([0]);
    const lo = namespace.link("lo");
    expect(lo.flags).toContain("UP");
    expect(lo.addr_info).toContainEqual(expect.objectContaining({ local: "127.0.0.1" }));
  });

  it.each<Configuration>([
    {
      family: "-4",
      address: "10.0.2.100",
      length: 24,
      gateway: "10.0.2.2",
      extra: { broadcast: "10.0.2.255" },
    },
    { family: "-6", address: "fd00::100", length: 64, gateway: "fd00::2", extra: { nodad: true } },
  ])("addAddress and addRoute, ip $family", ({ family, address, length, gateway, extra }) => {
    const messages = [
      setLink(ifindex, { mtu: 1500 }),
      linkUp(ifindex),
      addAddress(ifindex, { address: parsed(address), length }),
      addRoute(ifindex, defaultRoute(parsed(gateway))),
    ];
    expect(namespace.send(...messages)).toEqual([0, 0, 0, 0]);
    const link = namespace.link(TAP, family);
    expect(link.addr_info).toContainEqual(
      expect.objectContaining({ local: address, prefixlen: length, scope: "global", ...extra }),
    );
    expect(namespace.ip(family, "route", "show", "default")).toEqual([
      expect.objectContaining({ dst: "default", gateway, dev: TAP }),
    ]);
  });

  it("the same request twice", () => {
    const messages = [
      linkUp(ifindex),
      addAddress(ifindex, { address: parsed("10.0.2.100"), length: 24 }),
      addRoute(ifindex, defaultRoute(parsed("10.0.2.2"))),
    ];
    expect(namespace.send(...messages, ...messages)).toEqual([0, 0, 0, 0, 0, 0]);
  });
});

describe("addresses and routes come and go", () => {
  const own = { address: parsed("192.0.2.5"), length: 24 };
  const ways = {
    link: { destination: Prefix.parse("198.51.100.0/24"), via: null, metric: null },
    behind: { destination: Prefix.parse("203.0.113.0/24"), via: parsed("192.0.2.1"), metric: 50 },
    link6: { destination: Prefix.parse("2001:db8:1::/48"), via: null, metric: 300 },
    behind6: { destination: Prefix.parse("::/0"), via: parsed("fe80::1"), metric: null },
  };

  function destinations(): unknown[] {
    const routes = [...namespace.ip("-4", "route"), ...namespace.ip("-6", "route")];
    return routes.map((route) => (route as { dst: string }).dst);
  }

  it("routes with and without a next hop", () => {
    const routes = Object.values(ways);
    const before = [linkUp(ifindex), addAddress(ifindex, own)];
    expect(namespace.send(...before)).toEqual([0, 0]);
    const added = namespace.send(...routes.map((route) => addRoute(ifindex, route)));
    expect(added).toEqual(routes.map(() => 0));
    expect(namespace.ip("-4", "route")).toContainEqual(
      expect.objectContaining({ dst: "203.0.113.0/24", gateway: "192.0.2.1", metric: 50 }),
    );
    expect(namespace.ip("-4", "route")).toContainEqual(
      expect.objectContaining({ dst: "198.51.100.0/24", scope: "link", dev: TAP }),
    );
    const there = ["203.0.113.0/24", "198.51.100.0/24", "2001:db8:1::/48", "default"];
    expect(destinations()).toEqual(expect.arrayContaining(there));
    const deleted = namespace.send(...routes.map((route) => deleteRoute(ifindex, route)));
    expect(deleted).toEqual(routes.map(() => 0));
    for (const gone of there) expect(destinations()).not.toContain(gone);
  });

  it("a route that differs from ours stays", () => {
    expect(namespace.send(linkUp(ifindex), addAddress(ifindex, own))).toEqual([0, 0]);
    namespace.run("ip", "route", "add", "203.0.113.0/24", "via", "192.0.2.9", "metric", "50");
    expect(namespace.send(deleteRoute(ifindex, ways.behind))).toEqual([-constants.errno.ESRCH]);
    expect(namespace.send(addRoute(ifindex, ways.behind, Mode.New))).toEqual([
      -constants.errno.EEXIST,
    ]);
    expect(namespace.ip("-4", "route", "show", "203.0.113.0/24")).toEqual([
      expect.objectContaining({ gateway: "192.0.2.9" }),
    ]);
  });

  it("an address, of either family", () => {
    const addresses = [own, { address: parsed("2001:db8::5"), length: 64 }];
    const local = { address: parsed("fe80::5"), length: 64 };
    const added = [...addresses, local].map((each) => addAddress(ifindex, each));
    expect(namespace.send(linkUp(ifindex), ...added)).toEqual([0, 0, 0, 0]);
    expect(namespace.link(TAP).addr_info).toContainEqual(
      expect.objectContaining({ local: "fe80::5", scope: "link" }),
    );
    expect(namespace.send(addAddress(ifindex, own, Mode.New))).toEqual([-constants.errno.EEXIST]);
    expect(namespace.send(...addresses.map((each) => deleteAddress(ifindex, each)))).toEqual([
      0, 0,
    ]);
    expect(namespace.link(TAP).addr_info).not.toContainEqual(
      expect.objectContaining({ scope: "global" }),
    );
  });

  it("an address without room for a broadcast address has none", () => {
    const single = { address: parsed("192.0.2.5"), length: 32 };
    expect(namespace.send(linkUp(ifindex), addAddress(ifindex, single))).toEqual([0, 0]);
    const [found] = namespace.link(TAP, "-4").addr_info;
    expect(found).toMatchObject({ local: "192.0.2.5", prefixlen: 32 });
    expect(found).not.toHaveProperty("broadcast");
  });
});

it("the kernel refuses a link that does not exist", () => {
  expect(namespace.send(linkUp(4711))).toEqual([-constants.errno.ENODEV]);
});
