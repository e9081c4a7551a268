import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ConfiguredLink } from "../../../src/host/copy/configured-link.js";
import { tapRequests } from "../../../src/netns/tap.js";
import type { RouteTables } from "../../../src/wire/rtnetlink-dump.js";
import { TestNamespace } from "../../wire/netns.js";
import { HOST, link, own, plans, route, tables } from "./tables.js";

const TAP = "eth0";

let namespace: TestNamespace;
let ifindex: number;

beforeEach(async () => {
  namespace = await TestNamespace.open();
  ifindex = namespace.addTap(TAP);
});

afterEach(async () => {
  await namespace.close();
});

/** An interface that is configured for a host with `before`. @returns has it follow a host */
function configured(before: RouteTables): (after: RouteTables) => void {
  const made = plans(before);
  const requests = tapRequests(ifindex, TAP, { plans: made, txqueuelen: 1_000 });
  const results = namespace.send(...requests.map(({ message }) => message));
  expect(results).toEqual(requests.map(() => 0));
  const configuredLink = new ConfiguredLink(ifindex, made, (request) => namespace.send(request)[0]);
  return (after) => configuredLink.change(plans(after));
}

function ipv4Host(addresses: readonly string[], ...routes: RouteTables["routes"]): RouteTables {
  const owns = addresses.map((text) => own(2, text));
  return tables([link(2, TAP)], owns, routes);
}

function addresses(): readonly string[] {
  return namespace
    .link(TAP)
    .addr_info.map((info) => info as { local: string; prefixlen: number; scope: string })
    .filter(({ scope }) => scope === "global")
    .map(({ local, prefixlen }) => `${local}/${prefixlen}`)
    .toSorted();
}

/** Those that the kernel has not made itself. */
function routes(): readonly string[] {
  return [...namespace.ip("-4", "route"), ...namespace.ip("-6", "route")]
    .map((each) => each as { dst: string; gateway?: string; metric?: number; protocol: string })
    .filter(({ protocol }) => protocol !== "kernel")
    .map(({ dst, gateway = "link", metric = 0 }) => `${dst} ${gateway} ${metric}`)
    .toSorted();
}

const OTHER = tables(
  [link(3, "wlan0")],
  [own(3, "198.51.100.7/25"), own(3, "2001:db8:7::7/64")],
  [
    route(3, "0.0.0.0/0", "198.51.100.1", { metric: 600 }),
    route(3, "::/0", "fe80::7", { metric: 20_600 }),
    route(3, "203.0.113.0/24", "198.51.100.9"),
  ],
);

it("an interface gets the addresses and routes of another, and back", () => {
  const follow = configured(HOST);
  follow(OTHER);
  expect(addresses()).toEqual(["198.51.100.7/25", "2001:db8:7::7/64"]);
  expect(routes()).toEqual([
    "203.0.113.0/24 198.51.100.9 0",
    "default 198.51.100.1 600",
    "default fe80::7 20600",
  ]);
  follow(HOST);
  expect(addresses()).toEqual(["192.0.2.5/24", "2001:db8::5/64"]);
  expect(routes()).toEqual(["default 192.0.2.1 100", "default fe80::1 1024"]);
});

it("another router with the same metric", () => {
  const follow = configured(ipv4Host(["192.0.2.5/24"], route(2, "0.0.0.0/0", "192.0.2.1")));
  follow(ipv4Host(["192.0.2.5/24"], route(2, "0.0.0.0/0", "192.0.2.2")));
  expect(routes()).toEqual(["default 192.0.2.2 0"]);
});

it("the first address of a network goes, and its others stay", () => {
  const all = ["192.0.2.5/24", "192.0.2.6/24", "192.0.2.7/24"];
  const follow = configured(ipv4Host(all, route(2, "0.0.0.0/0", "192.0.2.1")));
  follow(ipv4Host(all.slice(1), route(2, "0.0.0.0/0", "192.0.2.1")));
  expect(addresses()).toEqual(all.slice(1));
  expect(routes()).toEqual(["default 192.0.2.1 0"]);
});

describe("what the guest has added itself", () => {
  it("stays", () => {
    const follow = configured(HOST);
    namespace.run("ip", "addr", "add", "10.9.9.9/24", "dev", TAP);
    namespace.run("ip", "route", "add", "10.8.0.0/16", "via", "10.9.9.1");
    follow(OTHER);
    expect(addresses()).toContain("10.9.9.9/24");
    expect(routes()).toContain("10.8.0.0/16 10.9.9.1 0");
  });

  it("stays in the place of what was there", () => {
    const follow = configured(HOST);
    namespace.run("ip", "route", "replace", "default", "via", "192.0.2.77", "metric", "100");
    follow(tables(HOST.links.slice(1), HOST.addresses.slice(1), [...HOST.routes.slice(1)]));
    expect(routes()).toContain("default 192.0.2.77 100");
  });

  it("is neither replaced nor deleted when the host has it, too, for a time", () => {
    const follow = configured(HOST);
    namespace.run("ip", "addr", "add", "198.51.100.7/25", "dev", TAP);
    namespace.run("ip", "route", "add", "203.0.113.0/24", "via", "198.51.100.99");
    follow(OTHER);
    expect(routes()).toContain("203.0.113.0/24 198.51.100.99 0");
    follow(HOST);
    expect(addresses()).toContain("198.51.100.7/25");
    expect(routes()).toContain("203.0.113.0/24 198.51.100.99 0");
  });
});
