import { describe, expect, it, test } from "vitest";
import { Address, Prefix } from "../../src/base/address.js";
import { DropReason } from "../../src/base/drop.js";
import type { AddressPlan } from "../../src/config/address-plan.js";
import { isOurDns, type Reach, translateDestination } from "../../src/nat/translate.js";
import { address } from "../base/addresses.js";
import { ALONE, COPIED, COPIED_OPEN, OWN, OWN_OPEN } from "./plans.js";

const LOOPBACK_CLOSED = DropReason.PolicyHostLoopback;
const FOR_ALL = DropReason.PolicyMulticast;
const NOWHERE = DropReason.PolicyDenied;

/** Where the text leads: another text, or the reason why it leads nowhere. */
function leads(text: string, plans: readonly AddressPlan[], port = 80): string | DropReason {
  return leadsBy({ plans }, text, port);
}

function leadsBy(reach: Reach, text: string, port: number): string | DropReason {
  const destination = translateDestination(reach, address(text), port);
  return destination instanceof Address ? destination.toString() : destination;
}

/** A destination of no plan's: what it is, which address, where it leads. */
const ANYWHERE: readonly [string, string, string | DropReason][] = [
  ...[
    ...["127.0.0.1", "127.0.0.53", "127.255.255.254", "0.0.0.0", "0.0.0.1", "0.255.255.255"],
    ...["::1", "0:0:0:0:0:0:0:1", "::"],
    ...["::ffff:127.0.0.1", "::ffff:127.8.9.1", "::ffff:0.0.0.0"],
  ].map((text): [string, string, DropReason] => ["this host", text, LOOPBACK_CLOSED]),
  ...[...["224.0.0.1", "239.255.255.250", "ff02::1", "ff05::2", "ff0e::1", "255.255.255.255"]].map(
    (text): [string, string, DropReason] => ["a group", text, FOR_ALL],
  ),
  ["a neighbour on the link", "fe80::77", NOWHERE],
  ["a neighbour on the link", "febf::2", NOWHERE],
  ["IPv4-compatible loopback", "::7f00:1", NOWHERE],
  ["IPv4-compatible", "::c000:201", NOWHERE],
  ...[
    ...["198.51.100.1", "10.0.3.2", "10.0.1.255", "169.254.169.254", "240.0.0.1"],
    ...["2001:db8::1", "fd00:0:0:1::2", "fec0::1", "64:ff9b::c000:201"],
  ].map((text): [string, string, string] => ["the world", text, text]),
];

describe.each([
  ["of Slipway's own, host loopback open", OWN_OPEN],
  ["of Slipway's own, host loopback closed", OWN],
  ["copied from the host, with mapped addresses", COPIED_OPEN],
  ["copied from the host, without", COPIED],
])("whatever the network, here %s", (_, plans) => {
  it.each(ANYWHERE)("%s, %s, leads to %s", (_, text, expected) => {
    expect(leads(text, plans)).toBe(expected);
  });

  it.each(["192.0.2.1", "192.0.2.10", "198.51.100.1"])(
    "%s leads nowhere for a guest without IPv4",
    (text) => {
      expect(leads(text, plans.slice(1))).toBe(NOWHERE);
    },
  );

  it.each(["fe80::1", "fe80::2", "2001:db8::1"])(
    "%s leads nowhere for a guest without IPv6",
    (text) => {
      expect(leads(text, plans.slice(0, 1))).toBe(NOWHERE);
    },
  );
});

describe("a network of Slipway's own", () => {
  it.each([
    ["10.0.2.2", "127.0.0.1"],
    ["fd00::2", "::1"],
    ["fd00:0:0:0:0:0:0:2", "::1"],
    ["fe80::2", "::1"],
  ])("the gateway %s leads to %s if that is allowed", (text, loopback) => {
    expect(leads(text, OWN_OPEN)).toBe(loopback);
    expect(leads(text, OWN)).toBe(LOOPBACK_CLOSED);
  });

  it("the gateway is the same at its IPv4-mapped address, should one arrive", () => {
    expect(leads("::ffff:10.0.2.2", OWN)).toBe(LOOPBACK_CLOSED);
  });

  it.each([
    ["the DNS server", "10.0.2.3", NOWHERE],
    ["the guest", "10.0.2.100", NOWHERE],
    ["nobody", "10.0.2.77", NOWHERE],
    ["the network", "10.0.2.0", NOWHERE],
    ["broadcast", "10.0.2.255", FOR_ALL],
    ["the DNS server", "fd00::3", NOWHERE],
    ["the guest", "fd00::64", NOWHERE],
    ["nobody", "fd00::5054:ff:fe12:3456", NOWHERE],
    ["routers, by anycast", "fd00::", NOWHERE],
  ])("%s, %s, leads nowhere", (_, text, reason) => {
    expect(leads(text, OWN_OPEN)).toBe(reason);
    expect(leads(text, OWN)).toBe(reason);
  });
});

describe("a network that is copied from the host", () => {
  it.each([
    ["the router, to the loopback", "192.0.2.1", "127.0.0.1", "192.0.2.1"],
    ["the router, to the loopback", "fe80::1", "::1", NOWHERE],
    ["another, to the shadowed address", "169.254.1.2", "192.0.2.10", "169.254.1.2"],
    ["another, to the shadowed address", "fd00:1::2", "2001:db8:1::10", "fd00:1::2"],
  ])("a mapped address leads elsewhere: %s, %s", (_, text, mapped, unmapped) => {
    expect(leads(text, COPIED_OPEN)).toBe(mapped);
    expect(leads(text, COPIED)).toBe(unmapped);
  });

  it.each([
    ["the guest", "192.0.2.10", NOWHERE],
    ["the guest, further", "203.0.113.200", NOWHERE],
    ["the guest", "2001:db8:1::10", NOWHERE],
    ["the guest, further", "2001:db8:2::20", NOWHERE],
    ["broadcast", "192.0.2.255", FOR_ALL],
    ["broadcast, of a further address", "203.0.113.255", FOR_ALL],
    ["a neighbour", "192.0.2.77", "192.0.2.77"],
    ["a neighbour, of a further address", "203.0.113.130", "203.0.113.130"],
    ["a neighbour", "2001:db8:1::77", "2001:db8:1::77"],
    ["broadcast of half the network", "192.0.2.127", "192.0.2.127"],
  ])("%s, %s, leads to %s", (_, text, expected) => {
    expect(leads(text, COPIED_OPEN)).toBe(expected);
    expect(leads(text, COPIED)).toBe(expected);
  });

  it.each([
    ["192.0.2.10", NOWHERE],
    ["192.0.2.255", "192.0.2.255"],
    ["255.255.255.255", FOR_ALL],
    ["192.0.2.1", "192.0.2.1"],
  ])("of a single address, %s leads to %s", (text, expected) => {
    expect(leads(text, [ALONE])).toBe(expected);
  });
});

test("a network of two addresses has no broadcast address", () => {
  const plan = { ...ALONE, prefix: Prefix.of(ALONE.guest, 31) };
  expect(leads("192.0.2.11", [plan])).toBe("192.0.2.11");
});

describe("our DNS server", () => {
  it.each([
    ["10.0.2.3", 53, true],
    ["fd00::3", 53, true],
    ["10.0.2.3", 54, false],
    ["10.0.2.2", 53, false],
    ["203.0.113.53", 53, false],
  ])("is at %s port %i: %s", (text, port, expected) => {
    expect(isOurDns({ plans: OWN }, address(text), port)).toBe(expected);
  });

  it.each([
    ["169.254.1.1", 53, true],
    ["fd00:1::53", 53, true],
    ["169.254.1.1", 853, false],
    ["192.0.2.1", 53, false],
  ])("is at %s port %i, where the user wants it: %s", (text, port, expected) => {
    expect(isOurDns({ plans: COPIED_OPEN }, address(text), port)).toBe(expected);
  });

  it("may be nowhere", () => {
    const plans = COPIED.map((plan) => ({ ...plan, dns: null }));
    expect(isOurDns({ plans }, address("169.254.1.1"), 53)).toBe(false);
    expect(leads("169.254.1.1", plans, 53)).toBe("169.254.1.1");
  });

  const servers = ["198.51.100.53", "198.51.100.54", "2001:db8::53"].map(address);
  const dns = { upstream: { servers, search: [] }, records: new Map() };

  it.each([
    ["10.0.2.3", OWN, "198.51.100.53"],
    ["fd00::3", OWN, "2001:db8::53"],
    ["169.254.1.1", COPIED, "198.51.100.53"],
    ["fd00:1::53", COPIED, "2001:db8::53"],
  ])(
    "%s leads to the host's first name server of its family on port 853",
    (text, plans, server) => {
      expect(leadsBy({ plans, dns }, text, 853)).toBe(server);
    },
  );

  it.each([
    ["on other ports", { plans: COPIED, dns }, 80],
    ["without a name server", { plans: COPIED, dns: null }, 853],
  ])("leads to itself where the user put it, %s", (_, reach, port) => {
    expect(leadsBy(reach, "169.254.1.1", port)).toBe("169.254.1.1");
  });

  it("gives way to a mapped address", () => {
    const [plan] = COPIED_OPEN;
    expect(leadsBy({ plans: [{ ...plan, dns: plan.router }], dns }, "192.0.2.1", 853)).toBe(
      "127.0.0.1",
    );
  });
});
