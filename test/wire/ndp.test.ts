import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Prefix } from "../../src/base/address.js";
import { parseMac } from "../../src/base/mac.js";
import {
  composeRouterAdvertisement,
  emitNeighbor,
  NdpType,
  NeighborFlags,
  type NeighborMessage,
  neighborLength,
  parseNeighbor,
  parseRouterSolicitation,
  type RouterAdvertisement,
} from "../../src/wire/ndp.js";
import { anyAddress, macs } from "../base/arbitraries.js";

/** What a Linux 6.1 guest sent: who has fd00::2? */
const SOLICITATION = bytes("8700d16b00000000fd00000000000000000000000000000201010200000000 64");
/** The kernel's answer for an address of its own; checksum blanked. */
const ADVERTISEMENT = bytes("8800000060000000fd0000000000000000000000000000640201020000000064");
const ROUTER_SOLICITATION = bytes("85007b6a000000000101020000000064");
const GUEST_MAC = parseMac("02:00:00:00:00:64");

function bytes(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex.replaceAll(" ", ""), "hex"));
}

describe("neighbor messages", () => {
  it("reads a solicitation", () => {
    const message = parseNeighbor(SOLICITATION, 0, SOLICITATION.length);
    expect({ ...message, target: String(message?.target) }).toEqual({
      type: NdpType.NeighborSolicitation,
      flags: 0,
      target: "fd00::2",
      mac: GUEST_MAC,
    });
  });

  it("reads and writes an advertisement", () => {
    const message = parseNeighbor(ADVERTISEMENT, 0, ADVERTISEMENT.length);
    if (message === null) throw new Error("not read");
    expect(message.flags).toBe(NeighborFlags.Solicited + NeighborFlags.Override);
    const written = new Uint8Array(neighborLength(message));
    expect(emitNeighbor(written, 0, message)).toBe(written.length);
    expect(written).toEqual(ADVERTISEMENT);
  });

  it("parses what it emits", () => {
    const messages: fc.Arbitrary<NeighborMessage> = fc
      .record({
        solicits: fc.boolean(),
        flags: fc.integer({ min: 0, max: 7 }),
        target: anyAddress(6).filter((target) => !target.isMulticast),
        mac: fc.option(macs),
      })
      .map(({ solicits, flags, target, mac }) => ({
        type: solicits ? NdpType.NeighborSolicitation : NdpType.NeighborAdvertisement,
        flags: solicits ? 0 : flags * NeighborFlags.Override,
        target,
        mac,
      }));
    fc.assert(
      fc.property(messages, fc.nat(7), (message, offset) => {
        const length = neighborLength(message);
        const written = new Uint8Array(offset + length);
        emitNeighbor(written, offset, message);
        expect(parseNeighbor(written, offset, length)).toEqual(message);
      }),
    );
  });

  it.each([
    ["cut short", SOLICITATION.subarray(0, 23)],
    ["a code", SOLICITATION.with(1, 1)],
    ["another type", SOLICITATION.with(0, NdpType.RouterSolicitation)],
    ["a multicast target", SOLICITATION.with(8, 0xff)],
    ["an option of length 0", SOLICITATION.with(25, 0)],
    ["an option beyond the end", SOLICITATION.with(25, 2)],
    ["an option's first byte", bytes(`${Buffer.from(SOLICITATION).toString("hex")}01`)],
  ])("refuses a message with %s", (_, message) => {
    expect(parseNeighbor(message, 0, message.length)).toBeNull();
  });

  it("accepts any bytes without throwing", () => {
    const types = fc.constantFrom(133, 135, 136);
    fc.assert(
      fc.property(types, fc.uint8Array({ minLength: 1, maxLength: 80 }), (type, message) => {
        message[0] = type;
        parseNeighbor(message, 0, message.length);
        parseRouterSolicitation(message, 0, message.length);
      }),
    );
  });
});

describe("router solicitations", () => {
  it("are read, with an address and without", () => {
    const { length } = ROUTER_SOLICITATION;
    expect(parseRouterSolicitation(ROUTER_SOLICITATION, 0, length)).toEqual({ mac: GUEST_MAC });
    expect(parseRouterSolicitation(ROUTER_SOLICITATION, 0, 8)).toEqual({ mac: null });
  });

  it.each([
    ["cut short", ROUTER_SOLICITATION.subarray(0, 7)],
    ["a code", ROUTER_SOLICITATION.with(1, 1)],
    ["another type", ROUTER_SOLICITATION.with(0, NdpType.NeighborSolicitation)],
    ["an option of length 0", ROUTER_SOLICITATION.with(9, 0)],
  ])("are refused with %s", (_, message) => {
    expect(parseRouterSolicitation(message, 0, message.length)).toBeNull();
  });
});

describe("router advertisements", () => {
  const PREFIX = Prefix.parse("fd00::/64");
  const advertisement: RouterAdvertisement = {
    mac: 0x52_55_0a_00_02_02,
    mtu: 1500,
    hopLimit: 64,
    routerLifetime: 1800,
    prefixes: [{ prefix: PREFIX, validLifetime: 86_400, preferredLifetime: 14_400 }],
    isLeased: false,
    dnsLifetime: 1800,
    dnsServers: [],
    dnsSearch: [],
  };

  function hex(changes: Partial<RouterAdvertisement>): string {
    return Buffer.from(composeRouterAdvertisement({ ...advertisement, ...changes })).toString(
      "hex",
    );
  }

  const head = "86000000404007080000000000000000" + "010152550a000202" + "05010000000005dc";
  const prefix = "030440c0000151800000384000000000fd000000000000000000000000000000";

  it("have link address, MTU and prefix", () => {
    expect(hex({})).toBe(head + prefix);
  });

  it("have servers and domains", () => {
    const dnsServers = [PREFIX.address.plus(3)];
    const dnsSearch = ["example.org", "a.example."];
    expect(hex({ dnsServers, dnsSearch })).toBe(
      `${head}${prefix}1903000000000708fd000000000000000000000000000003` +
        "1f04000000000708076578616d706c65036f7267000161076578616d706c6500",
    );
  });

  it("pad domains to units of 8 bytes", () => {
    expect(hex({ dnsSearch: ["example"] })).toBe(
      `${head}${prefix}1f03000000000708076578616d706c650000000000000000`,
    );
  });

  it("have each prefix with its lifetimes", () => {
    const former = {
      prefix: Prefix.parse("2001:db8::/64"),
      validLifetime: 0,
      preferredLifetime: 0,
    };
    expect(hex({ prefixes: [...advertisement.prefixes, former] })).toBe(
      `${head}${prefix}030440c000000000000000000000000020010db8000000000000000000000000`,
    );
  });

  it("fit the least MTU, however many domains there are", () => {
    const [first] = advertisement.prefixes;
    const dnsSearch = Array.from({ length: 300 }, (_, index) => `n${index}.example`);
    for (const count of [1, 8]) {
      const prefixes = Array.from({ length: count }, () => first);
      const dnsServers = Array.from({ length: count }, () => PREFIX.address);
      const { length } = composeRouterAdvertisement({
        ...advertisement,
        prefixes,
        dnsServers,
        dnsSearch,
      });
      expect(length).toBeLessThanOrEqual(1240);
      expect(length).toBeGreaterThan(1200);
    }
  });

  it("ask for DHCPv6 if hosts cannot autoconfigure", () => {
    const [first] = advertisement.prefixes;
    const text = hex({ prefixes: [{ ...first, prefix: Prefix.parse("2001:db8::/80") }] });
    expect(text.slice(10, 12)).toBe("c0");
    expect(text.slice(64, 72)).toBe("03045080");
  });
});
