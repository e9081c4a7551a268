import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Address } from "../../src/base/address.js";
import { addToSum, complement } from "../../src/wire/checksum.js";
import { emitIp, emitIpFragment } from "../../src/wire/ip.js";
import { linuxFrame } from "./captures.js";
import { parse, parseOk, patched } from "./parsing.js";

const IP = 14;
const udp4 = linuxFrame(24);
const udp6 = linuxFrame(26);
const withOptions = linuxFrame(10);

type Patches = Readonly<Record<number, number>>;

/** The frame with bytes of its IPv4 header replaced, offsets from there, and its checksum corrected. */
function ipv4(frame: Uint8Array, patches: Patches): Uint8Array {
  const bytes = patched(frame, shifted({ ...patches, 10: 0, 11: 0 }));
  const headerLength = Math.min((bytes[IP] & 0xf) * 4, bytes.length - IP);
  const checksum = complement(addToSum(0, bytes, IP, headerLength));
  return patched(bytes, shifted({ 10: checksum >> 8, 11: checksum & 0xff }));
}

/** The frame with bytes of its IPv6 header replaced, offsets from there. */
function ipv6(patches: Patches): Uint8Array {
  return patched(udp6, shifted(patches));
}

function shifted(patches: Patches): Patches {
  return Object.fromEntries(
    Object.entries(patches).map(([offset, value]) => [IP + Number(offset), value]),
  );
}

/** Patches that put an address at an offset. */
function address(offset: number, text: string, family: 4 | 6): Patches {
  const bytes = new Uint8Array(16);
  const parsed = Address.parse(text);
  if (parsed === null) throw new Error(text);
  if (family === 6 && parsed.family === 4) bytes.set([0xff, 0xff], 10);
  parsed.write(bytes, family === 6 && parsed.family === 4 ? 12 : 0);
  const length = family === 4 ? 4 : 16;
  return Object.fromEntries([...bytes.subarray(0, length)].map((byte, at) => [offset + at, byte]));
}

/** An IPv6 frame with this payload behind the fixed header. */
function withPayload(nextHeader: number, payload: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(IP + 40 + payload.length);
  bytes.set(udp6.subarray(0, IP + 40));
  bytes.set(payload, IP + 40);
  return patched(bytes, { 18: payload.length >> 8, 19: payload.length & 0xff, 20: nextHeader });
}

const DATAGRAM = [...udp6.subarray(54)];
const HOP_BY_HOP = 0;
const ROUTING = 43;
const FRAGMENT = 44;
const DESTINATION = 60;
const UDP = 17;

describe("IPv4", () => {
  it.each<[string, Uint8Array]>([
    ["ip-truncated", udp4.subarray(0, IP + 19)],
    ["ip-truncated", udp4.subarray(0, udp4.length - 1)],
    ["ip-bad-version", ipv4(udp4, { 0: 0x65 })],
    ["ip-bad-header-length", ipv4(udp4, { 0: 0x44 })],
    ["ip-bad-length", ipv4(udp4, { 3: 19 })],
    ["ip-bad-checksum", patched(udp4, { [IP + 8]: 63 })],
    ["ip-truncated", ipv4(udp4, { 2: 0x10 })],
    ["ip-bad-source", ipv4(udp4, address(12, "224.0.0.1", 4))],
    ["ip-bad-source", ipv4(udp4, address(12, "255.255.255.255", 4))],
    ["ip-bad-source", ipv4(udp4, address(12, "127.0.0.1", 4))],
    ["ip-bad-destination", ipv4(udp4, address(16, "0.0.0.0", 4))],
    ["ip-bad-destination", ipv4(udp4, address(16, "127.9.9.9", 4))],
    ["ok", ipv4(udp4, address(16, "255.255.255.255", 4))],
    ["ok", ipv4(udp4, address(16, "224.0.0.251", 4))],
    ["ok", ipv4(udp4, address(12, "0.0.0.0", 4))],
    ["ip-source-route", ipv4(withOptions, { 20: 1, 21: 131 })],
    ["ip-source-route", ipv4(withOptions, { 20: 1, 21: 137 })],
    ["ip-bad-option", ipv4(withOptions, { 20: 7, 21: 1 })],
    ["ip-bad-option", ipv4(withOptions, { 20: 7, 21: 41 })],
    ["ok", ipv4(withOptions, { 20: 7, 21: 40 })],
    ["ip-bad-option", ipv4(withOptions, { 20: 7, 21: 39, 59: 7 })],
    ["ok", ipv4(withOptions, { 20: 0, 21: 131 })],
    ["ip-bad-fragment", ipv4(linuxFrame(14), { 6: 0x3f, 7: 0xff })],
    ["ip-bad-fragment", ipv4(linuxFrame(14), { 6: 0x1f, 7: 0xff })],
    ["ip-bad-fragment", ipv4(udp4, { 6: 0x20 })],
    ["ip-bad-fragment", ipv4(udp4, { 3: 20, 7: 1 })],
  ])("%s", (reason, bytes) => {
    expect(parse(bytes).result).toBe(reason);
  });

  it("is emitted as the kernel does, but for the identification", () => {
    const kernels = parseOk(udp4);
    const bytes = new Uint8Array(20);
    expect(emitIp(bytes, 0, kernels, 13)).toBe(20);
    expect(bytes).toEqual(ipv4(udp4, { 4: 0, 5: 0 }).subarray(IP, IP + 20));
  });
});

describe("IPv6", () => {
  it.each<[string, Uint8Array]>([
    ["ip-truncated", udp6.subarray(0, IP + 39)],
    ["ip-truncated", udp6.subarray(0, udp6.length - 1)],
    ["ip-bad-version", ipv6({ 0: 0x45 })],
    ["ip-bad-source", ipv6(address(8, "ff02::1", 6))],
    ["ip-bad-source", ipv6(address(8, "::1", 6))],
    ["ip-bad-source", ipv6(address(8, "::ffff:198.51.100.1", 6))],
    ["ip-bad-source", ipv6(address(8, "::198.51.100.1", 6))],
    ["ip-bad-destination", ipv6(address(24, "::", 6))],
    ["ip-bad-destination", ipv6(address(24, "::1", 6))],
    ["ip-bad-destination", ipv6(address(24, "::ffff:127.0.0.1", 6))],
    ["ip-bad-destination", ipv6(address(24, "::127.0.0.1", 6))],
    ["ip-bad-destination", ipv6(address(24, "ff01::1", 6))],
    ["ip-bad-destination", ipv6(address(24, "ff00::1", 6))],
    ["ok", ipv6(address(24, "ff02::1", 6))],
    ["ok", ipv6(address(8, "::", 6))],
  ])("%s", (reason, bytes) => {
    expect(parse(bytes).result).toBe(reason);
  });

  it.each<[string, string, number, number[]]>([
    ["ok", "routed to its end", ROUTING, [UDP, 0, 0, 0, 0, 0, 0, 0, ...DATAGRAM]],
    ["ip-source-route", "to be routed on", ROUTING, [UDP, 0, 0, 1, 0, 0, 0, 0, ...DATAGRAM]],
    ["ok", "an option to skip", DESTINATION, [UDP, 0, 0x1e, 4, 0, 0, 0, 0, ...DATAGRAM]],
    ["ok", "Pad1", DESTINATION, [UDP, 0, 0, 0, 0, 0, 0, 0, ...DATAGRAM]],
    ["ip-bad-option", "not to skip", DESTINATION, [UDP, 0, 0x5e, 4, 0, 0, 0, 0, ...DATAGRAM]],
    ["ip-bad-option", "jumbogram", HOP_BY_HOP, [UDP, 0, 0xc2, 4, 0, 1, 0, 0, ...DATAGRAM]],
    ["ip-bad-option", "too long", DESTINATION, [UDP, 0, 1, 5, 0, 0, 0, 0, ...DATAGRAM]],
    ["ip-bad-option", "without length", DESTINATION, [UDP, 0, 1, 3, 0, 0, 0, 1, ...DATAGRAM]],
    ["ip-bad-extension", "cut", DESTINATION, [UDP, 0, 1, 4, 0, 0, 0]],
    ["ip-bad-extension", "longer than the packet", DESTINATION, [UDP, 1, 1, 4, 0, 0, 0, 0]],
    [
      "ip-bad-extension",
      "hop-by-hop not first",
      DESTINATION,
      [HOP_BY_HOP, 0, 1, 4, 0, 0, 0, 0, UDP, 0, 1, 4, 0, 0, 0, 0, ...DATAGRAM],
    ],
    ["ok", "an atomic fragment", FRAGMENT, [UDP, 0, 0, 0, 0, 0, 0, 7, ...DATAGRAM]],
    ["ip-bad-fragment", "not of eights", FRAGMENT, [UDP, 0, 0, 1, 0, 0, 0, 7, ...DATAGRAM]],
    ["ip-bad-fragment", "empty", FRAGMENT, [UDP, 0, 0, 8, 0, 0, 0, 7]],
    ["ip-bad-fragment", "beyond 64 KiB", FRAGMENT, [UDP, 0, 0xff, 0xf8, 0, 0, 0, 7, ...DATAGRAM]],
  ])("%s: %s", (reason, _what, nextHeader, payload) => {
    expect(parse(withPayload(nextHeader, payload)).result).toBe(reason);
  });

  it("walks eight extension headers, and not nine", () => {
    const chain = (count: number): Uint8Array => {
      const headers = Array.from({ length: count }, (_, index) => [
        index === count - 1 ? UDP : DESTINATION,
        ...[0, 1, 4, 0, 0, 0, 0],
      ]);
      return withPayload(DESTINATION, [...headers.flat(), ...DATAGRAM]);
    };
    expect(parseOk(chain(8))).toMatchObject({ sourcePort: 40002, transportOffset: 54 + 64 });
    expect(parse(chain(9)).result).toBe("ip-extension-limit");
  });

  it("treats an atomic fragment as a whole packet", () => {
    const bytes = withPayload(FRAGMENT, [UDP, 0, 0, 0, 0x89, 0xab, 0xcd, 0xef, ...DATAGRAM]);
    expect(parseOk(bytes)).toMatchObject({
      isFragment: false,
      identification: 0x89abcdef,
      sourcePort: 40002,
    });
  });

  it("may end after its header", () => {
    expect(parseOk(withPayload(59, []))).toMatchObject({ protocol: 59, transportLength: 0 });
  });

  it("is emitted as the kernel does, but for the flow label", () => {
    const bytes = new Uint8Array(40);
    expect(emitIp(bytes, 0, parseOk(udp6), 17)).toBe(40);
    expect(bytes).toEqual(ipv6({ 1: 0, 2: 0, 3: 0 }).subarray(IP, IP + 40));
  });
});

describe.each([
  [4, "192.0.2.1", "10.0.2.100", 0xffff],
  [6, "2001:db8::1", "fd00::64", 0xffff_ffff],
] as const)("a fragment of IPv%i", (family, from, to, lastIdentification) => {
  it("parses what the emitter was given", () => {
    const source = Address.parse(from) as Address;
    const destination = Address.parse(to) as Address;
    const records = fc.record({
      identification: fc.integer({ min: 0, max: lastIdentification }),
      fragmentOffset: fc.integer({ min: 1, max: 8_000 }).map((eighths) => eighths * 8),
      moreFragments: fc.boolean(),
      protocol: fc.constantFrom(6, 17, 58),
      hopLimit: fc.integer({ min: 1, max: 255 }),
      trafficClass: fc.nat(255),
      eighths: fc.integer({ min: 1, max: 180 }),
    });
    fc.assert(
      fc.property(records, ({ eighths, ...expected }) => {
        const length = 8 * eighths;
        const bytes = new Uint8Array(IP + 48 + length);
        bytes.set(family === 4 ? udp4.subarray(0, IP) : udp6.subarray(0, IP));
        const fields = { source, destination, ...expected };
        const header = emitIpFragment(bytes, IP, fields, length, expected);
        const frame = parseOk(bytes.subarray(0, IP + header + length));
        expect(frame).toMatchObject({ ...expected, transportLength: length, isFragment: true });
        expect(frame.source.equals(source)).toBe(true);
        expect(frame.destination.equals(destination)).toBe(true);
      }),
    );
  });
});
