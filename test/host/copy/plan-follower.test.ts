import { expect, test } from "vitest";
import { PlanFollower } from "../../../src/host/copy/plan-follower.js";
import { plansOf, templatesOf } from "../../../src/host/copy/plans.js";
import type { RouteTables } from "../../../src/wire/rtnetlink-dump.js";
import {
  addressTexts,
  type Changes,
  HOST,
  link,
  MAC,
  NOTHING,
  options,
  own,
  route,
  tables,
  upstream,
} from "./tables.js";

const GRACE = 5_000;

/** HOST without its IPv6. */
const IPV4 = tables(HOST.links.slice(1), HOST.addresses.slice(1, 2), HOST.routes.slice(0, 2));
/** HOST without its IPv4. */
const IPV6 = tables(HOST.links.slice(1), HOST.addresses.slice(2, 3), HOST.routes.slice(2));

/** HOST with a VPN to which all of IPv4 goes. */
const VPN = tables(
  [...HOST.links.slice(1), link(9, "tun0")],
  [...HOST.addresses.slice(1), own(9, "198.51.100.5/24")],
  [...HOST.routes, route(9, "0.0.0.0/0", "198.51.100.1", { metric: 50 })],
);

/** HOST when its link is down, with a bridge that containers are on. */
const BRIDGE = tables(
  [link(2, "eth0", { isUp: false }), link(7, "docker0")],
  [own(7, "172.17.0.1/16")],
  [route(7, "172.17.0.0/16", null, { isOfKernel: true })],
);

/** A guest that was made when the host had `before`. @returns what it has after the tables: its addresses */
function follower(before: RouteTables, changes: Changes = {}) {
  const wanted = options(changes);
  const templates = templatesOf(before, wanted.addressing);
  const host = upstream("203.0.113.53");
  const plans = plansOf(wanted, templates, host, MAC);
  const made = new PlanFollower(wanted, host, { mac: MAC, templates, config: { plans } });
  return (after: RouteTables, now = 0) => {
    const { plans: found, recheck } = made.follow(after, now);
    return { addresses: found?.flatMap(addressTexts) ?? null, recheck };
  };
}

const BOTH = ["192.0.2.5/24", "2001:db8::5/64"];
const STAYS = { addresses: null, recheck: null };

test("nothing changes as long as the host does not", () => {
  expect(follower(HOST)(HOST)).toEqual(STAYS);
  expect(follower(NOTHING)(NOTHING)).toEqual(STAYS);
});

test("an address more, and one less", () => {
  const more = tables(
    HOST.links.slice(1),
    [...HOST.addresses.slice(1), own(2, "192.0.2.7/24")],
    [...HOST.routes],
  );
  const follow = follower(HOST);
  expect(follow(more).addresses).toEqual(["192.0.2.5/24", "192.0.2.7/24", "2001:db8::5/64"]);
  expect(follow(HOST).addresses).toEqual(BOTH);
});

test("a route more", () => {
  const more = tables(
    HOST.links.slice(1),
    [...HOST.addresses.slice(1)],
    [...HOST.routes, route(2, "203.0.113.0/24", "192.0.2.9")],
  );
  expect(follower(HOST)(more).addresses).toEqual(BOTH);
});

test("a host without network gets one", () => {
  expect(follower(NOTHING)(HOST).addresses).toEqual(BOTH);
});

test("a host that loses its network leaves the guest as it is", () => {
  const follow = follower(HOST);
  expect(follow(NOTHING)).toEqual(STAYS);
  expect(follow(NOTHING, 10 * GRACE)).toEqual(STAYS);
  expect(follow(HOST, 20 * GRACE)).toEqual(STAYS);
});

test("what is left of a host's network is none", () => {
  const follow = follower(HOST);
  expect(follow(BRIDGE)).toEqual(STAYS);
  expect(follow(HOST)).toEqual(STAYS);
  expect(follower(BRIDGE)(BRIDGE)).toEqual(STAYS);
});

test("a VPN that takes the default route, and leaves it again", () => {
  const follow = follower(HOST);
  expect(follow(VPN).addresses).toEqual(["198.51.100.5/24", "2001:db8::5/64"]);
  expect(follow(HOST).addresses).toEqual(BOTH);
});

test("a VPN does not count for a guest with a copy of a named interface", () => {
  const follow = follower(HOST, { addressing: { template: { 4: "eth0", 6: "eth0" } } });
  expect(follow(VPN)).toEqual(STAYS);
});

test("a named interface that goes and comes back", () => {
  const follow = follower(VPN, { addressing: { template: { 4: "tun0", 6: "tun0" } } });
  expect(follow(HOST)).toEqual(STAYS);
  expect(follow(VPN)).toEqual(STAYS);
});

test("a family that is lost is taken from the guest after a while", () => {
  const follow = follower(HOST);
  expect(follow(IPV4, 1_000)).toEqual({ addresses: null, recheck: GRACE });
  expect(follow(IPV4, 3_000)).toEqual({ addresses: null, recheck: GRACE - 2_000 });
  expect(follow(IPV4, 6_000)).toEqual({ addresses: BOTH.slice(0, 1), recheck: null });
  expect(follow(HOST, 7_000)).toEqual({ addresses: BOTH, recheck: null });
});

test("a family that comes back in time stays", () => {
  const follow = follower(HOST);
  expect(follow(IPV6, 1_000)).toEqual({ addresses: null, recheck: GRACE });
  expect(follow(HOST, 2_000)).toEqual(STAYS);
  expect(follow(IPV6, 9_000)).toEqual({ addresses: null, recheck: GRACE });
});

test("a guest of one family stays as it is while the host has the other alone", () => {
  const follow = follower(HOST, { addressing: { families: [4] } });
  expect(follow(IPV6, 0).addresses).toBe(null);
  expect(follow(IPV6, 2 * GRACE)).toEqual(STAYS);
});
