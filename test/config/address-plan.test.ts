import { describe, expect, it } from "vitest";
import { Address, Prefix } from "../../src/base/address.js";
import { formatMac } from "../../src/base/mac.js";
import {
  DEFAULT_PREFIX,
  gatewayMac,
  ownAddresses,
  planFor,
} from "../../src/config/address-plan.js";

describe("planFor", () => {
  it("assigns the addresses that slirp4netns does", () => {
    const { prefix, ...addresses } = planFor(DEFAULT_PREFIX[4]);
    expect(prefix.toString()).toBe("10.0.2.0/24");
    expect(addressesOf(addresses)).toEqual([
      "gateway 10.0.2.2",
      "router 10.0.2.2",
      "dns 10.0.2.3",
      "dhcpBegin 10.0.2.15",
      "dhcpEnd 10.0.2.30",
      "guest 10.0.2.100",
    ]);
  });

  it("assigns the same offsets in an IPv6 network", () => {
    const { prefix, ...addresses } = planFor(DEFAULT_PREFIX[6]);
    expect(prefix.toString()).toBe("fd00::/64");
    expect(addressesOf(addresses)).toEqual([
      "gateway fd00::2",
      "router fe80::2",
      "dns fd00::3",
      "dhcpBegin fd00::f",
      "dhcpEnd fd00::1e",
      "guest fd00::64",
    ]);
  });

  it("keeps all addresses inside the smallest network", () => {
    const { prefix, guest } = planFor(Prefix.parse("198.51.100.128/25"));
    expect(guest.toString()).toBe("198.51.100.228");
    expect(prefix.contains(guest)).toBe(true);
  });

  it.each([
    ["10.0.2.0/26", "1-25"],
    ["fd00::/122", "1-121"],
    ["127.0.0.0/24", "not a network for hosts"],
    ["224.0.0.0/24", "not a network for hosts"],
    ["240.0.0.0/24", "not a network for hosts"],
    ["0.0.0.0/0", "1-25"],
    ["128.0.0.0/1", "not a network for hosts"],
    ["fe80::/64", "not a network for hosts"],
    ["ff02::/64", "not a network for hosts"],
  ])("refuses %s with a reason", (text, part) => {
    expect(() => planFor(Prefix.parse(text))).toThrow(RangeError);
    expect(() => planFor(Prefix.parse(text))).toThrow(part);
  });
});

/** The fields that are one address each. */
function addressesOf(plan: object): readonly string[] {
  return Object.entries(plan).flatMap(([who, value]) =>
    value instanceof Address ? [`${who} ${value}`] : [],
  );
}

it("knows which addresses are ours", () => {
  const plans = [planFor(DEFAULT_PREFIX[4]), planFor(DEFAULT_PREFIX[6])];
  const ours = ["10.0.2.2", "10.0.2.3", "fd00::2", "fe80::2", "fd00::3"];
  expect(ownAddresses(plans).map(String)).toEqual(ours);
});

describe("gatewayMac", () => {
  it("ends in the gateway's address", () => {
    expect(formatMac(gatewayMac([planFor(DEFAULT_PREFIX[4])]))).toBe("52:55:0a:00:02:02");
  });
});
