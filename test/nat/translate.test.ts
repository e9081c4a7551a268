import { describe, expect, it } from "vitest";
import { Address, Prefix } from "../../src/base/address.js";
import { DropReason } from "../../src/base/drop.js";
import { planFor } from "../../src/config/address-plan.js";
import { DEFAULT_TIMEOUTS, type GuestConfig } from "../../src/config/guest-config.js";
import { DEFAULT_LIMITS } from "../../src/config/limits.js";
import { isOurDns, translateDestination } from "../../src/nat/translate.js";

const LOOPBACK_CLOSED = DropReason.PolicyHostLoopback;
const NOWHERE = DropReason.PolicyDenied;

const PLANS = ["10.0.2.0/24", "fd00::/64"].map((text) => planFor(Prefix.parse(text)));

function guest(changes: Partial<GuestConfig> = {}): GuestConfig {
  return {
    mtu: 1500,
    memoryBudget: 0,
    limits: DEFAULT_LIMITS,
    plans: PLANS,
    hostLoopback: true,
    dns: null,
    hostname: null,
    outbound: { 4: null, 6: null },
    udpFiltering: "endpoint",
    timeouts: DEFAULT_TIMEOUTS,
    ...changes,
  };
}

function address(text: string): Address {
  const parsed = Address.parse(text);
  if (parsed === null) throw new Error(`${text} does not parse`);
  return parsed;
}

/** Where the text leads: another text, or the reason why it leads nowhere. */
function leads(text: string, config = guest()): string | DropReason {
  const destination = translateDestination(config, address(text));
  return destination instanceof Address ? destination.toString() : destination;
}

describe("the gateway leads to the host's loopback if that is allowed", () => {
  it.each([
    ["10.0.2.2", "127.0.0.1"],
    ["fd00::2", "::1"],
    ["fd00:0:0:0:0:0:0:2", "::1"],
    ["fe80::2", "::1"],
  ])("%s → %s", (text, loopback) => {
    expect(leads(text)).toBe(loopback);
    expect(leads(text, guest({ hostLoopback: false }))).toBe(LOOPBACK_CLOSED);
  });

  it("also at its IPv4-mapped address, should one arrive", () => {
    expect(leads("::ffff:10.0.2.2", guest({ hostLoopback: false }))).toBe(LOOPBACK_CLOSED);
  });

  it("not in a family that the guest does not have", () => {
    expect(leads("fe80::2", guest({ plans: PLANS.slice(0, 1) }))).toBe(NOWHERE);
  });
});

describe.each([true, false])("with host loopback %s", (hostLoopback) => {
  const config = guest({ hostLoopback });

  it.each([
    "127.0.0.1",
    "127.0.0.53",
    "127.255.255.254",
    "0.0.0.0",
    "0.0.0.1",
    "0.255.255.255",
    "::1",
    "0:0:0:0:0:0:0:1",
    "::",
    "::ffff:127.0.0.1",
    "::ffff:127.8.9.1",
    "::ffff:0.0.0.0",
  ])("%s does not lead to the host", (text) => {
    expect(leads(text, config)).toBe(LOOPBACK_CLOSED);
  });

  it.each([
    ["the DNS server", "10.0.2.3"],
    ["the guest", "10.0.2.100"],
    ["nobody", "10.0.2.77"],
    ["the network", "10.0.2.0"],
    ["the DNS server", "fd00::3"],
    ["the guest", "fd00::64"],
    ["nobody", "fd00::5054:ff:fe12:3456"],
    ["routers, by anycast", "fd00::"],
    ["a neighbour", "fe80::1"],
    ["a neighbour", "febf::2"],
    ["IPv4-compatible loopback", "::7f00:1"],
    ["IPv4-compatible", "::c000:201"],
  ])("%s, %s, leads nowhere", (_, text) => {
    expect(leads(text, config)).toBe(NOWHERE);
  });

  it.each([
    ...["224.0.0.1", "239.255.255.250", "ff02::1", "ff05::2", "ff0e::1"],
    ...["255.255.255.255", "10.0.2.255"],
  ])("the group %s leads nowhere", (text) => {
    expect(leads(text, config)).toBe(DropReason.PolicyMulticast);
  });

  it.each([
    "192.0.2.1",
    "10.0.3.2",
    "10.0.1.255",
    "169.254.169.254",
    "240.0.0.1",
    "2001:db8::1",
    "fd00:0:0:1::2",
    "fec0::1",
    "64:ff9b::c000:201",
  ])("%s leads to itself", (text) => {
    expect(leads(text, config)).toBe(text);
  });
});

describe("our DNS server", () => {
  const closed = guest({ hostLoopback: false });

  it.each([
    ["10.0.2.3", 53, true],
    ["fd00::3", 53, true],
    ["10.0.2.3", 54, false],
    ["10.0.2.2", 53, false],
    ["203.0.113.53", 53, false],
  ])("is at %s port %i: %s", (text, port, expected) => {
    expect(isOurDns(closed, address(text), port)).toBe(expected);
  });
});
