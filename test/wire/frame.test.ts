import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatMac } from "../../src/base/mac.js";
import { emitEthernet } from "../../src/wire/ethernet.js";
import { createAddressCaches, Frame, NO_PROTOCOL, parseFrame } from "../../src/wire/frame.js";
import { emitIp, ipHeaderLength } from "../../src/wire/ip.js";
import { emitUdp } from "../../src/wire/udp.js";
import { families, hostAddress, macs, ports } from "../base/arbitraries.js";
import { LINUX, linuxFrame } from "./captures.js";
import { guarded, parse, parseOk, patched } from "./parsing.js";

describe("frames of a Linux kernel", () => {
  it("are all in order", () => {
    expect(LINUX.map((bytes) => parse(bytes).result)).toEqual(LINUX.map(() => "ok"));
  });

  it("ARP", () => {
    const frame = parseOk(linuxFrame(1));
    expect(formatMac(frame.destinationMac)).toBe("ff:ff:ff:ff:ff:ff");
    expect(formatMac(frame.sourceMac)).toBe("02:00:00:00:00:0a");
    expect(frame).toMatchObject({
      etherType: 0x0806,
      protocol: NO_PROTOCOL,
      payloadOffset: 14,
      payloadLength: 28,
    });
  });

  it("an echo with a service class and an odd length", () => {
    const frame = parseOk(linuxFrame(5));
    expect([`${frame.source}`, `${frame.destination}`]).toEqual(["198.51.100.1", "198.51.100.2"]);
    expect(frame).toMatchObject({
      family: 4,
      protocol: 1,
      trafficClass: 0x28,
      hopLimit: 64,
      icmpType: 8,
      icmpCode: 0,
      identifier: 0x2a26,
      sequence: 1,
      payloadOffset: 42,
      payloadLength: 17,
      packetLength: 45,
      isFragment: false,
    });
  });

  it("an ICMPv6 echo", () => {
    const frame = parseOk(linuxFrame(8));
    expect([`${frame.source}`, `${frame.destination}`]).toEqual(["2001:db8::1", "2001:db8::2"]);
    expect(frame).toMatchObject({
      family: 6,
      protocol: 58,
      hopLimit: 64,
      icmpType: 128,
      identifier: 0x2a27,
      payloadOffset: 62,
      payloadLength: 56,
    });
  });

  it("options of IPv4 are skipped", () => {
    expect(parseOk(linuxFrame(10))).toMatchObject({ icmpType: 8, transportOffset: 14 + 60 });
  });

  it("fragments of IPv4 have an offset, and no ports or types", () => {
    const fragments = [12, 13, 14].map((number) => parseOk(linuxFrame(number)));
    expect(fragments.map((frame) => frame.fragmentOffset)).toEqual([0, 1480, 2960]);
    expect(fragments.map((frame) => frame.transportLength)).toEqual([1480, 1480, 48]);
    expect(fragments.map((frame) => frame.moreFragments)).toEqual([true, true, false]);
    for (const frame of fragments) {
      expect(frame).toMatchObject({
        isFragment: true,
        identification: 0x949c,
        protocol: 1,
        icmpType: -1,
      });
    }
  });

  it("fragments of IPv6 likewise", () => {
    const fragments = [18, 19, 20].map((number) => parseOk(linuxFrame(number)));
    expect(fragments.map((frame) => frame.fragmentOffset)).toEqual([0, 1448, 2896]);
    expect(fragments.map((frame) => frame.moreFragments)).toEqual([true, true, false]);
    for (const frame of fragments) {
      expect(frame).toMatchObject({
        isFragment: true,
        identification: 0x44e8dcd1,
        protocol: 58,
        icmpType: -1,
      });
    }
  });

  it("UDP of both families, also behind extension headers", () => {
    const datagrams = [24, 26, 28].map((number) => parseOk(linuxFrame(number)));
    expect(datagrams.map(payloadText)).toEqual(["hello", "hello six", "with options"]);
    expect(datagrams.map((frame) => frame.sourcePort)).toEqual([40001, 40002, 40002]);
    expect(datagrams.map((frame) => frame.destinationPort)).toEqual([9, 9, 9]);
  });

  it("an error's quoted packet is its payload", () => {
    const frame = parseOk(linuxFrame(25));
    expect(frame).toMatchObject({ icmpType: 3, icmpCode: 3, trafficClass: 0xc0 });
    expect(frame.bytes.subarray(frame.payloadOffset, frame.payloadOffset + 33)).toEqual(
      linuxFrame(24).subarray(14),
    );
  });
});

describe("parseFrame", () => {
  it("removes Ethernet padding by the lengths of IP and UDP", () => {
    const padded = new Uint8Array(60).fill(0xee);
    padded.set(linuxFrame(24));
    const frame = parseOk(padded);
    expect(payloadText(frame)).toBe("hello");
    expect(frame).toMatchObject({ length: 60, packetLength: 33 });
  });

  it("keeps nothing of the previous packet", () => {
    const bytes = new Uint8Array(400);
    bytes.set(linuxFrame(24), 0);
    bytes.set(linuxFrame(3), 100);
    bytes.set(linuxFrame(1), 200);
    const frame = new Frame(bytes);
    const caches = createAddressCaches();
    parseFrame(frame, 0, linuxFrame(24).length, caches);
    parseFrame(frame, 100, linuxFrame(3).length, caches);
    expect(frame).toMatchObject({ sourcePort: 0, destinationPort: 0, icmpType: 8 });
    parseFrame(frame, 200, linuxFrame(1).length, caches);
    expect(frame).toMatchObject({ protocol: NO_PROTOCOL, icmpType: -1 });
  });

  const udp = linuxFrame(24);
  it.each<[string, Uint8Array]>([
    ["ethernet-truncated", udp.subarray(0, 13)],
    ["ethernet-bad-source", patched(udp, { 6: 0x03 })],
    ["ethernet-vlan", patched(udp, { 12: 0x81, 13: 0x00 })],
    ["ethernet-vlan", patched(udp, { 12: 0x88, 13: 0xa8 })],
    ["ethernet-unknown-type", patched(udp, { 12: 0x00, 13: 0x26 })],
  ])("%s", (reason, bytes) => {
    expect(parse(bytes).result).toBe(reason);
  });

  it("parses what the emitters were given", () => {
    const packet = families.chain((family) =>
      fc.record({
        family: fc.constant(family),
        source: hostAddress(family),
        destination: hostAddress(family),
        sourceMac: macs,
        destinationMac: macs,
        sourcePort: ports,
        destinationPort: ports,
        hopLimit: fc.nat(255),
        trafficClass: fc.nat(255),
        payloadLength: fc.nat(100),
        offset: fc.nat(5),
      }),
    );
    fc.assert(
      fc.property(packet, (expected) => {
        const { family, offset, payloadLength } = expected;
        const length = 14 + ipHeaderLength(family) + 8 + payloadLength;
        const bytes = new Uint8Array(offset + length);
        const etherType = family === 4 ? 0x0800 : 0x86dd;
        let at = offset;
        at += emitEthernet(bytes, at, expected.destinationMac, expected.sourceMac, etherType);
        at += emitIp(bytes, at, { ...expected, protocol: 17 }, payloadLength + 8);
        at += emitUdp(bytes, at, expected.sourcePort, expected.destinationPort, payloadLength, 1);
        const frame = new Frame(bytes);
        expect(parseFrame(frame, offset, length, createAddressCaches())).toBe(0);
        expect(frame).toMatchObject({ ...expected, length, protocol: 17, payloadOffset: at });
      }),
    );
  });
});

describe("parseFrame on garbage", () => {
  /** Captured frames with some bytes changed, cut or lengthened. */
  const mutated = fc
    .record({
      original: fc.constantFrom(...LINUX),
      changes: fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { maxLength: 6 }),
      cut: fc.nat(120),
    })
    .map(({ original, changes, cut }) =>
      patched(original.subarray(0, Math.max(cut, 14)), Object.fromEntries(changes)),
    );
  const random = fc.uint8Array({ maxLength: 120 });
  /** Random bytes behind an intact IPv6 header: most reach the extension headers. */
  const extensions = fc
    .tuple(fc.constantFrom(0, 43, 44, 60), fc.uint8Array({ maxLength: 100 }))
    .map(([next, rest]) => {
      const bytes = new Uint8Array(54 + rest.length);
      bytes.set(linuxFrame(8).subarray(0, 54));
      bytes.set(rest, 54);
      return patched(bytes, { 18: 0, 19: rest.length, 20: next });
    });

  it("reads nothing outside the frame, and accepts only what lies inside", () => {
    fc.assert(
      fc.property(fc.oneof(mutated, random, extensions), fc.nat(3), (bytes, offset) => {
        const memory = new Uint8Array(offset + bytes.length + 4).fill(0x45);
        memory.set(bytes, offset);
        const end = offset + bytes.length;
        const frame = new Frame(guarded(memory, offset, end));
        if (parseFrame(frame, offset, bytes.length, createAddressCaches()) !== 0) return;
        if (frame.protocol !== NO_PROTOCOL) {
          expect(frame.transportLength).toBeGreaterThanOrEqual(0);
          expect(frame.ipOffset + frame.packetLength).toBeLessThanOrEqual(end);
          expect(frame.transportOffset).toBeGreaterThanOrEqual(frame.ipOffset + 20);
        }
        if (frame.destinationPort !== 0 || frame.icmpType >= 0) {
          expect(frame.payloadOffset).toBe(frame.transportOffset + 8);
          expect(frame.payloadLength).toBeGreaterThanOrEqual(0);
          expect(frame.payloadOffset + frame.payloadLength).toBeLessThanOrEqual(end);
        }
      }),
      { numRuns: 3000 },
    );
  });
});

function payloadText(frame: Frame): string {
  const { bytes, payloadOffset, payloadLength } = frame;
  return Buffer.from(bytes.subarray(payloadOffset, payloadOffset + payloadLength)).toString();
}
