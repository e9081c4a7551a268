import { describe, expect, it, test } from "vitest";
import type { AddressPlan } from "../../../src/config/address-plan.js";
import { requireInterfaces, templatesOf } from "../../../src/host/copy/plans.js";
import type { RouteTables } from "../../../src/wire/rtnetlink-dump.js";
import { address } from "../../base/addresses.js";
import {
  addressTexts,
  HOST,
  link,
  NOTHING,
  options,
  own,
  plans,
  route,
  routeTexts,
  tables,
  upstream,
} from "./tables.js";

const IPV4_ONLY = tables(HOST.links, [own(2, "192.0.2.5/24")], [...HOST.routes.slice(0, 2)]);
const IPV6_ONLY = tables(HOST.links, [own(2, "2001:db8::5/64")], [...HOST.routes.slice(2)]);

/** A host with IPv4 addresses of eth0, and these routes. */
function ipv4Host(addresses: readonly string[], ...routes: RouteTables["routes"]): RouteTables {
  return tables(
    [link(2, "eth0")],
    addresses.map((text) => own(2, text)),
    routes,
  );
}

function ipv4Plan(...args: Parameters<typeof plans>): AddressPlan {
  return only(plans(...args), 4);
}

function only(found: readonly AddressPlan[], family: 4 | 6): AddressPlan {
  const plan = found.find(({ guest }) => guest.family === family);
  if (plan === undefined) throw new Error(`no plan of IPv${family}`);
  return plan;
}

function mappedTexts({ mapped }: AddressPlan): readonly string[] {
  return mapped.map(({ at, to }) => `${at} → ${to}`);
}

function named(host: RouteTables, family: 4 | 6, name: string | null = null): string | undefined {
  const { addressing } = options({ addressing: { template: { 4: name, 6: name } } });
  return templatesOf(host, addressing)[family]?.link.name;
}

describe("the interface that is copied", () => {
  const two = [link(2, "eth0"), link(3, "tun0")];
  const both = [own(2, "192.0.2.5/24"), own(3, "198.51.100.5/24")];
  const ways = (first: number, second: number) => [
    route(2, "0.0.0.0/0", "192.0.2.1", { metric: first }),
    route(3, "0.0.0.0/0", "198.51.100.1", { metric: second }),
  ];

  it("has the default route", () => {
    const host = tables(two, both, ways(0, 0).slice(1));
    expect(named(host, 4)).toBe("tun0");
  });

  it("has the default route with the lowest metric", () => {
    expect(named(tables(two, both, ways(100, 50)), 4)).toBe("tun0");
    expect(named(tables(two, both, ways(100, 600)), 4)).toBe("eth0");
  });

  it("has the first of several default routes with one metric", () => {
    expect(named(tables(two, both, ways(100, 100)), 4)).toBe("eth0");
  });

  it("is up", () => {
    const down = tables([link(2, "eth0", { isUp: false }), link(3, "tun0")], both, ways(1, 2));
    expect(named(down, 4)).toBe("tun0");
  });

  it("may differ between families", () => {
    const ipv6 = [own(3, "2001:db8::5/64")];
    const host = tables(two, [...both, ...ipv6], [...ways(1, 2), route(3, "::/0", "fe80::1")]);
    expect([named(host, 4), named(host, 6)]).toEqual(["eth0", "tun0"]);
  });

  it("is the only one with addresses where there is no default route", () => {
    expect(named(tables(two, both.slice(1), []), 4)).toBe("tun0");
    expect(named(tables(two, both, []), 4)).toBe(undefined);
  });

  it("is no bridge without ports where there is no default route", () => {
    const links = [link(2, "eth0"), link(3, "docker0", { isRunning: false })];
    expect(named(tables(links, both, []), 4)).toBe("eth0");
  });

  it("is the one that is named", () => {
    expect(named(tables(two, both, ways(1, 2)), 4, "tun0")).toBe("tun0");
  });

  it("is an error when the host does not have it", () => {
    const { addressing } = options({ addressing: { template: { 4: null, 6: "eth7" } } });
    const check = () => requireInterfaces(HOST, addressing);
    expect(check).toThrow("the host has no interface eth7: see ip link");
  });
});

describe("addresses", () => {
  it("are all that are global, with their lengths", () => {
    const host = ipv4Host(["192.0.2.5/24", "192.0.2.6/24", "198.51.100.1/32"]);
    const plan = ipv4Plan(host);
    expect(addressTexts(plan)).toEqual(["192.0.2.5/24", "192.0.2.6/24", "198.51.100.1/32"]);
    expect([`${plan.prefix}`, plan.neighbors]).toEqual(["192.0.2.0/24", "host"]);
  });

  it.each([
    ["link-local", own(2, "fe80::7/64", { isGlobal: false })],
    ["deprecated or not yet checked", own(2, "2001:db8::7/64", { isPreferred: false })],
    ["temporary", own(2, "2001:db8::7/64", { isTemporary: true })],
    ["of another interface", own(3, "2001:db8::7/64")],
  ])("are not %s ones", (_, other) => {
    const links = [link(2, "eth0"), link(3, "eth1")];
    const host = tables(links, [other, own(2, "2001:db8::5/64")], HOST.routes.slice(2));
    expect(addressTexts(only(plans(host), 6))).toEqual(["2001:db8::5/64"]);
  });

  it("are temporary ones where there are no others", () => {
    const temporary = own(2, "2001:db8::7/64", { isTemporary: true });
    const host = tables(HOST.links.slice(1), [temporary], HOST.routes.slice(2));
    expect(addressTexts(only(plans(host), 6))).toEqual(["2001:db8::7/64"]);
  });

  it("are those of 169.254.0.0/16 that the host takes for global ones", () => {
    expect(addressTexts(ipv4Plan(ipv4Host(["169.254.7.7/16"])))).toEqual(["169.254.7.7/16"]);
  });

  it("are the first alone with --no-copy-addrs", () => {
    const host = ipv4Host(["192.0.2.5/24", "192.0.2.6/24"]);
    const copiesAll = { addresses: false, routes: true };
    expect(addressTexts(ipv4Plan(host, { addressing: { copiesAll } }))).toEqual(["192.0.2.5/24"]);
  });

  it("are replaced by that of --address, in its family", () => {
    const addresses = [{ address: address("10.0.2.100"), length: 24 }];
    const found = plans(HOST, { addressing: { addresses } });
    expect(found.map(addressTexts)).toEqual([["10.0.2.100/24"], ["2001:db8::5/64"]]);
  });

  it.each([
    ["192.0.2.5", null, "192.0.2.5/24"],
    ["10.0.2.100", null, "10.0.2.100/8"],
    ["172.16.0.1", null, "172.16.0.1/16"],
    ["192.168.7.7", null, "192.168.7.7/24"],
    ["10.0.2.100", 20, "10.0.2.100/20"],
    ["2001:db8:7::7", null, "2001:db8:7::7/64"],
  ])("%s with the netmask %s is %s", (text, netmask, expected) => {
    const given = address(text);
    const addressing = { addresses: [{ address: given, length: null }], netmask };
    expect(addressTexts(only(plans(HOST, { addressing }), given.family))).toEqual([expected]);
  });

  it("of the interface get the netmask that is given", () => {
    const found = ipv4Plan(HOST, { addressing: { netmask: 28 } });
    expect(addressTexts(found)).toEqual(["192.0.2.5/28"]);
  });

  it("are what DHCP leases", () => {
    const { guest, dhcpBegin, dhcpEnd } = ipv4Plan(HOST);
    expect([dhcpBegin, dhcpEnd]).toEqual([guest, guest]);
  });
});

describe("routes", () => {
  it("are the default route alone, where the host has no others", () => {
    expect(plans(HOST).map(routeTexts)).toEqual([
      ["0.0.0.0/0 via 192.0.2.1 metric 100"],
      ["::/0 via fe80::1 metric 1024"],
    ]);
    expect(plans(HOST).map(({ router }) => `${router}`)).toEqual(["192.0.2.1", "fe80::1"]);
  });

  it("to the link come first, the default route comes last", () => {
    const host = ipv4Host(
      ["192.0.2.5/24"],
      route(2, "0.0.0.0/0", "192.0.2.1"),
      route(2, "203.0.113.0/24", "192.0.2.9", { metric: 5 }),
      route(2, "198.51.100.0/24", null),
    );
    expect(routeTexts(ipv4Plan(host))).toEqual([
      "198.51.100.0/24",
      "203.0.113.0/24 via 192.0.2.9 metric 5",
      "0.0.0.0/0 via 192.0.2.1",
    ]);
  });

  it("to a next hop outside of the networks are added", () => {
    const host = ipv4Host(["192.0.2.5/32"], route(2, "0.0.0.0/0", "198.51.100.1"));
    const expected = ["198.51.100.1/32", "0.0.0.0/0 via 198.51.100.1"];
    expect(routeTexts(ipv4Plan(host))).toEqual(expected);
  });

  it("to the other end of a point-to-point link are copied", () => {
    const peer = route(2, "198.51.100.2/32", null, { isOfKernel: true });
    const host = ipv4Host(["198.51.100.1/32"], route(2, "0.0.0.0/0", "198.51.100.2"), peer);
    const expected = ["198.51.100.2/32", "0.0.0.0/0 via 198.51.100.2"];
    expect(routeTexts(ipv4Plan(host))).toEqual(expected);
  });

  it.each([
    ["without a next hop", route(2, "0.0.0.0/0", null)],
    ["by a next hop of IPv6", route(2, "0.0.0.0/0", null, { isViaOtherFamily: true })],
    ["by the host itself", route(2, "0.0.0.0/0", "192.0.2.5")],
  ])("by default %s lead through Slipway", (_, way) => {
    const plan = ipv4Plan(ipv4Host(["192.0.2.5/24"], way));
    expect(routeTexts(plan)).toEqual(["169.254.2.2/32", "0.0.0.0/0 via 169.254.2.2"]);
    expect(`${plan.gateway}`).toBe("169.254.2.2");
  });

  it("by a next hop of the other family are left out", () => {
    const way = route(2, "203.0.113.0/24", null, { isViaOtherFamily: true });
    const host = ipv4Host(["192.0.2.5/24"], route(2, "0.0.0.0/0", "192.0.2.1"), way);
    expect(routeTexts(ipv4Plan(host))).toEqual(["0.0.0.0/0 via 192.0.2.1"]);
  });

  it("of another interface are left out", () => {
    const host = tables(
      [link(2, "eth0"), link(3, "docker0")],
      [own(2, "192.0.2.5/24"), own(3, "172.17.0.1/16")],
      [
        route(2, "0.0.0.0/0", "192.0.2.1"),
        route(3, "172.17.0.0/16", null, { isOfKernel: true }),
        route(3, "10.0.0.0/8", "172.17.0.2"),
      ],
    );
    expect(routeTexts(ipv4Plan(host))).toEqual(["0.0.0.0/0 via 192.0.2.1"]);
  });

  it("to one destination with one metric are one", () => {
    const twins = [route(2, "::/0", "fe80::1"), route(2, "::/0", "fe80::2")];
    const host = tables(HOST.links, [own(2, "2001:db8::5/64")], twins);
    expect(routeTexts(only(plans(host), 6))).toEqual(["::/0 via fe80::1"]);
  });

  it("lead to nobody where the host has no default route", () => {
    const plan = ipv4Plan(ipv4Host(["192.0.2.5/24"]));
    expect(routeTexts(plan)).toEqual(["169.254.2.2/32"]);
  });

  it("are those of the host with --address, that of its network included", () => {
    const addresses = [{ address: address("10.0.2.100"), length: 24 }];
    expect(routeTexts(ipv4Plan(HOST, { addressing: { addresses } }))).toEqual([
      "192.0.2.0/24",
      "0.0.0.0/0 via 192.0.2.1 metric 100",
    ]);
  });

  it("are the default route alone with --gateway", () => {
    const host = ipv4Host(
      ["192.0.2.5/24"],
      route(2, "0.0.0.0/0", "192.0.2.1"),
      route(2, "203.0.113.0/24", "192.0.2.9"),
    );
    const gateways = [address("192.0.2.77")];
    const plan = ipv4Plan(host, { addressing: { gateways } });
    expect(routeTexts(plan)).toEqual(["0.0.0.0/0 via 192.0.2.77"]);
    expect([`${plan.gateway}`, `${plan.router}`]).toEqual(["192.0.2.77", "192.0.2.77"]);
  });

  it("reach a --gateway outside of the network", () => {
    const gateways = [address("198.51.100.1")];
    const expected = ["198.51.100.1/32", "0.0.0.0/0 via 198.51.100.1"];
    expect(routeTexts(ipv4Plan(HOST, { addressing: { gateways } }))).toEqual(expected);
  });

  it("are the default route alone with --no-copy-routes", () => {
    const other = route(2, "203.0.113.0/24", "192.0.2.9");
    const host = tables(HOST.links, HOST.addresses, [...HOST.routes, other]);
    const copiesAll = { addresses: true, routes: false };
    const found = ipv4Plan(host, { addressing: { copiesAll } });
    expect(routeTexts(found)).toEqual(["0.0.0.0/0 via 192.0.2.1"]);
  });

  it("are bounded, and the default route is among them", () => {
    const many = Array.from({ length: 2_000 }, (_, index) =>
      route(2, `198.18.${index >> 8}.${index & 255}/32`, "192.0.2.9"),
    );
    const host = ipv4Host(["192.0.2.5/24"], ...many, route(2, "0.0.0.0/0", "192.0.2.1"));
    const found = routeTexts(ipv4Plan(host));
    expect(found.length).toBe(256);
    expect(found.at(-1)).toBe("0.0.0.0/0 via 192.0.2.1");
  });
});

describe("families", () => {
  it.each([
    ["both", HOST, [4, 6]],
    ["IPv4 of an IPv4 host", IPV4_ONLY, [4]],
    ["IPv6 of an IPv6 host", IPV6_ONLY, [6]],
  ])("are %s", (_, host, families) => {
    expect(plans(host).map(({ guest }) => guest.family)).toEqual(families);
  });

  it("may be left out", () => {
    const found = plans(HOST, { addressing: { families: [6] } });
    expect(found.map(({ guest }) => guest.family)).toEqual([6]);
  });

  it("that are asked for and that the host lacks are an error", () => {
    const asked = () => plans(IPV6_ONLY, { addressing: { families: [4] } });
    expect(asked).toThrow("the host has IPv6 (eth0) and no IPv4: leave --ipv4-only out");
  });

  it("that the host lacks are there with an address", () => {
    const addresses = [{ address: address("10.0.2.100"), length: 24 }];
    const gateways = [address("10.0.2.2")];
    const found = plans(IPV6_ONLY, { addressing: { families: [4], addresses, gateways } });
    expect(found.map(routeTexts)).toEqual([["0.0.0.0/0 via 10.0.2.2"]]);
    expect(found[0].neighbors).toBe("nobody");
  });

  it("that are left out have no address and no gateway", () => {
    const addresses = [{ address: address("2001:db8::7"), length: null }];
    const given = () => plans(HOST, { addressing: { families: [4], addresses } });
    expect(given).toThrow("2001:db8::7 is of IPv6, which the guest does not have: leave it out");
  });

  it("are IPv4 alone below IPv6's least MTU", () => {
    expect(plans(HOST, { addressing: { mtu: 1279 } }).length).toBe(1);
    const asked = () => plans(HOST, { addressing: { mtu: 1279, families: [6] } });
    expect(asked).toThrow("IPv6 needs an MTU of 1280 at least: leave --mtu 1279 out");
  });
});

describe("without any network", () => {
  it("the guest has addresses of its link", () => {
    const found = plans(NOTHING);
    expect(found.map(addressTexts)).toEqual([["169.254.2.1/16"], ["fe80::ff:fe00:64/64"]]);
    expect(found.map(routeTexts)).toEqual([
      ["0.0.0.0/0 via 169.254.2.2"],
      ["::/0 via fe80::1 metric 2048"],
    ]);
    expect(found.map(({ neighbors }) => neighbors)).toEqual(["nobody", "nobody"]);
  });

  it("it has those of the family that is asked for", () => {
    const found = plans(NOTHING, { addressing: { families: [4] } });
    expect(found.map(addressTexts)).toEqual([["169.254.2.1/16"]]);
  });
});

describe("addresses that lead elsewhere", () => {
  it("are the gateways, to the loopback", () => {
    expect(plans(HOST).map(mappedTexts)).toEqual([["192.0.2.1 → 127.0.0.1"], ["fe80::1 → ::1"]]);
  });

  it("are none with --no-map-gw", () => {
    const mapping = { toLoopback: { 4: null, 6: null } };
    expect(plans(HOST, { mapping }).map(mappedTexts)).toEqual([[], []]);
  });

  it("are that of --map-host-loopback instead of the gateway", () => {
    const toLoopback = { 4: address("169.254.1.3"), 6: null };
    expect(plans(HOST, { mapping: { toLoopback } }).map(mappedTexts)).toEqual([
      ["169.254.1.3 → 127.0.0.1"],
      [],
    ]);
  });

  it("are that of --map-guest-addr, to the address that the guest shadows", () => {
    const mapping = {
      toLoopback: { 4: null, 6: null },
      toShadowed: { 4: address("169.254.1.2"), 6: address("fe80::2") },
    };
    expect(plans(HOST, { mapping }).map(mappedTexts)).toEqual([
      ["169.254.1.2 → 192.0.2.5"],
      ["fe80::2 → 2001:db8::5"],
    ]);
  });

  it("lead to the host's first address where the guest's is another", () => {
    const addresses = [{ address: address("10.0.2.100"), length: 24 }];
    const toShadowed = { 4: address("169.254.1.2"), 6: null };
    const found = ipv4Plan(HOST, { addressing: { addresses }, mapping: { toShadowed } });
    expect(mappedTexts(found)).toContain("169.254.1.2 → 192.0.2.5");
  });

  it.each([
    ["--gateway", { addressing: { gateways: [address("192.0.2.5")] } }],
    ["--dns-forward", { dns: { forward: [address("192.0.2.5")] } }],
    ["--map-guest-addr", { mapping: { toShadowed: { 4: address("192.0.2.5"), 6: null } } }],
  ])("are not the guest's own: %s", (_, changes) => {
    const expected = "192.0.2.5 is the guest's own address: choose another for Slipway";
    expect(() => plans(HOST, changes)).toThrow(expected);
  });
});

describe("DNS", () => {
  const texts = (plan: AddressPlan) => plan.nameServers.map(String);

  it("is the host's resolvers, by family", () => {
    const found = plans(HOST, {}, upstream("203.0.113.53", "2001:db8::53"));
    expect(found.map(({ dns }) => dns)).toEqual([null, null]);
    expect(found.map(texts)).toEqual([["203.0.113.53"], ["2001:db8::53"]]);
  });

  it("is answered at --dns-forward", () => {
    const found = plans(HOST, { dns: { forward: [address("169.254.1.1")] } });
    expect(found.map(({ dns }) => `${dns}`)).toEqual(["169.254.1.1", "null"]);
    expect(texts(found[0])).toEqual(["203.0.113.53"]);
  });

  it("is answered at the gateway where the host's resolver is on its loopback", () => {
    const found = plans(HOST, {}, upstream("127.0.0.53"));
    expect(found.map(({ dns }) => `${dns}`)).toEqual(["192.0.2.1", "fe80::1"]);
    expect(found.map(texts)).toEqual([["192.0.2.1"], ["fe80::1"]]);
  });

  it("is not announced there with --no-map-gw", () => {
    const mapping = { toLoopback: { 4: null, 6: null } };
    const plan = ipv4Plan(HOST, { mapping }, upstream("127.0.0.53", "203.0.113.53"));
    expect(plan.dns).toBe(null);
    expect(texts(plan)).toEqual(["203.0.113.53"]);
  });

  it("is announced at --dns-forward instead of the host's loopback", () => {
    const dns = { forward: [address("169.254.1.1")] };
    const mapping = { toLoopback: { 4: null, 6: null } };
    const plan = ipv4Plan(HOST, { mapping, dns }, upstream("127.0.0.53", "127.0.0.1"));
    expect(texts(plan)).toEqual(["169.254.1.1"]);
  });

  it("is what --dns says", () => {
    const announced = [address("198.51.100.53"), address("2001:db8::7")];
    const found = plans(HOST, { dns: { announced } }, upstream("203.0.113.53"));
    expect(found.map(texts)).toEqual([["198.51.100.53"], ["2001:db8::7"]]);
    expect(plans(HOST, { dns: { announced: [] } }).map(texts)).toEqual([[], []]);
  });

  test("what is announced follows the host's resolv.conf", () => {
    const host = { servers: [address("203.0.113.53")], search: [] };
    const plan = ipv4Plan(HOST, {}, host);
    host.servers = [address("203.0.113.54")];
    expect(texts(plan)).toEqual(["203.0.113.54"]);
  });
});
