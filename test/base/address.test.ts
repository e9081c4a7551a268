import { isIPv4, isIPv6 } from "node:net";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Address, AddressCache, formatEndpoint, Prefix } from "../../src/base/address.js";
import { anyAddress, families } from "./arbitraries.js";

const address = families.chain(anyAddress);

function parsed(text: string): Address {
  const result = Address.parse(text);
  if (result === null) throw new Error(`${text} does not parse`);
  return result;
}

describe("Address", () => {
  it("is unchanged after conversion to text or bytes and back", () => {
    fc.assert(
      fc.property(address, fc.nat(3), (original, offset) => {
        expect(parsed(original.toString()).equals(original)).toBe(true);
        const bytes = new Uint8Array(offset + original.length);
        original.write(bytes, offset);
        expect(Address.read(bytes, offset, original.family).equals(original)).toBe(true);
      }),
    );
  });

  it("prints text that Node assigns to the same family", () => {
    fc.assert(
      fc.property(address, (original) => {
        const text = original.toString();
        expect([isIPv4(text), isIPv6(text)]).toEqual([
          original.family === 4,
          original.family === 6,
        ]);
      }),
    );
  });

  it("prints the examples of RFC 5952", () => {
    expect(parsed("2001:0db8:0:0:0001:0:0:1").toString()).toBe("2001:db8::1:0:0:1");
    expect(parsed("2001:db8:0:1:1:1:1:1").toString()).toBe("2001:db8:0:1:1:1:1:1");
    expect(parsed("2001:DB8::ABCD").toString()).toBe("2001:db8::abcd");
  });

  it("has one form for an IPv4 address and its IPv4-mapped twin", () => {
    expect(parsed("::ffff:192.0.2.1").equals(parsed("192.0.2.1"))).toBe(true);
    expect(parsed("::ffff:192.0.2.1")).toMatchObject({ family: 4, length: 4, bits: 32 });
  });

  it.each([
    "",
    "10.0.2",
    "10.0.2.256",
    "010.0.2.1",
    "10.0.2.1 ",
    "0x7f.1",
    "::1%lo",
    "fe80::g",
    "1::2::3",
  ])("refuses %j", (text) => {
    expect(Address.parse(text)).toBeNull();
  });

  it.each([
    ["0.0.0.0", "isUnspecified"],
    ["::", "isUnspecified"],
    ["127.0.0.1", "isLoopback"],
    ["127.255.255.255", "isLoopback"],
    ["::1", "isLoopback"],
    ["224.0.0.1", "isMulticast"],
    ["239.255.255.255", "isMulticast"],
    ["ff02::1", "isMulticast"],
    ["169.254.0.1", "isLinkLocal"],
    ["fe80::1", "isLinkLocal"],
    ["febf::1", "isLinkLocal"],
    ["255.255.255.255", "isBroadcast"],
    ["128.0.0.1", null],
    ["126.255.255.255", null],
    ["223.255.255.255", null],
    ["240.0.0.1", null],
    ["0.0.0.1", null],
    ["::2", null],
    ["fec0::1", null],
    ["fe00::1", null],
    ["2001:db8::1", null],
  ])("%s: %s", (text, kind) => {
    const { isUnspecified, isLoopback, isMulticast, isLinkLocal, isBroadcast } = parsed(text);
    const kinds = { isUnspecified, isLoopback, isMulticast, isLinkLocal, isBroadcast };
    expect(Object.entries(kinds).filter(([, is]) => is)).toEqual(
      kind === null ? [] : [[kind, true]],
    );
  });

  it("adds with carries, up to the end of its address space", () => {
    expect(parsed("10.0.2.255").plus(1).toString()).toBe("10.0.3.0");
    expect(parsed("2001:db8::ffff:ffff").plus(2).toString()).toBe("2001:db8::1:0:1");
    expect(parsed("2001:db8:0:0:ffff:ffff:ffff:ffff").plus(1).toString()).toBe("2001:db8:0:1::");
    expect(() => parsed("255.255.255.254").plus(2)).toThrow(RangeError);
    expect(() => parsed("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff").plus(1)).toThrow(RangeError);
  });
});

describe("AddressCache", () => {
  it("returns what Address.read returns, whatever came before", () => {
    fc.assert(
      fc.property(fc.array(address, { maxLength: 40 }), (addresses) => {
        const cache = new AddressCache(4);
        const bytes = new Uint8Array(16);
        for (const original of addresses) {
          original.write(bytes, 0);
          expect(cache.at(bytes, 0, original.family)).toStrictEqual(original);
        }
      }),
    );
  });

  it("returns the same object for a recently seen address", () => {
    const cache = new AddressCache();
    const bytes = new Uint8Array([0, 203, 0, 113, 9]);
    expect(cache.at(bytes, 1, 4)).toBe(cache.at(bytes, 1, 4));
  });
});

describe("Prefix", () => {
  it("contains exactly the addresses that share its bits", () => {
    fc.assert(
      fc.property(
        families.chain((family) => fc.tuple(anyAddress(family), anyAddress(family))),
        fc.nat(128),
        (pair, bits) => {
          const [inside, other] = pair;
          const length = bits % (inside.bits + 1);
          const prefix = Prefix.of(inside, length);
          expect(prefix.contains(inside)).toBe(true);
          expect(prefix.contains(prefix.last)).toBe(true);
          expect(prefix.contains(other)).toBe(commonBits(inside, other) >= length);
        },
      ),
    );
  });

  it("never contains the other family", () => {
    expect(Prefix.parse("0.0.0.0/0").contains(parsed("::1"))).toBe(false);
    expect(Prefix.parse("::/0").contains(parsed("10.0.2.1"))).toBe(false);
  });

  it.each([
    ["10.0.2.0/24", "255.255.255.0", "10.0.2.255"],
    ["0.0.0.0/0", "0.0.0.0", "255.255.255.255"],
    ["192.0.2.7/32", "255.255.255.255", "192.0.2.7"],
    ["2001:db8::/40", "ffff:ffff:ff00::", "2001:db8:ff:ffff:ffff:ffff:ffff:ffff"],
  ])("%s has the netmask %s and ends with %s", (text, netmask, last) => {
    const prefix = Prefix.parse(text);
    expect([prefix.toString(), prefix.netmask.toString(), prefix.last.toString()]).toEqual([
      text,
      netmask,
      last,
    ]);
  });

  it.each([
    ["10.0.2.0", "invalid CIDR"],
    ["10.0.2.0/", "invalid CIDR"],
    ["10.0.2/24", "invalid CIDR"],
    ["10.0.2.0/24/1", "invalid CIDR"],
    ["10.0.2.0/-1", "invalid CIDR"],
    ["10.0.2.0/33", "0-32"],
    ["fd00::/129", "0-128"],
    ["10.0.2.7/24", "10.0.2.0/24"],
    ["fd00::1/64", "fd00::/64"],
  ])("refuses %s with a reason", (text, part) => {
    expect(() => Prefix.parse(text)).toThrow(RangeError);
    expect(() => Prefix.parse(text)).toThrow(part);
    expect(() => Prefix.parse(text)).toThrow(`"${text}"`);
  });
});

it.each([
  ["192.0.2.1", 80, "192.0.2.1:80"],
  ["2001:db8::1", 80, "[2001:db8::1]:80"],
  ["::1", "8000-8009", "[::1]:8000-8009"],
])("formats the endpoint %s, %s as %s", (address, port, text) => {
  expect(formatEndpoint(address, port)).toBe(text);
  expect(formatEndpoint(parsed(address), port)).toBe(text);
});

function commonBits(a: Address, b: Address): number {
  const differing =
    ((BigInt(a.w0 ^ b.w0) & 0xffff_ffffn) << 96n) |
    ((BigInt(a.w1 ^ b.w1) & 0xffff_ffffn) << 64n) |
    ((BigInt(a.w2 ^ b.w2) & 0xffff_ffffn) << 32n) |
    (BigInt(a.w3 ^ b.w3) & 0xffff_ffffn);
  const leadingZeros = 128 - (differing === 0n ? 0 : differing.toString(2).length);
  return leadingZeros - (128 - a.bits);
}
