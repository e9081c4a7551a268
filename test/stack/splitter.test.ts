import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DropReason } from "../../src/base/drop.js";
import { type Encapsulation, MOST_SEGMENTS } from "../../src/stack/splitter.js";
import { Stack } from "../../src/stack/stack.js";
import { TunnelLayout } from "../../src/stack/tunnel-frames.js";
import {
  anyPacket,
  ETHERNET,
  ethernetOf,
  Flag,
  frameOf,
  headersOf,
  type PacketSpec,
  PLAIN,
  packetOf,
  segmentsOf,
  superframeOf,
  VNET,
  vnetOf,
} from "./packets.js";

const OPTIONS = {
  mtu: 1500,
  offload: true,
  mac: 0x525500000002,
  memoryBudget: 4 << 20,
  seed: Uint32Array.of(1, 2),
  transmit: () => 0,
};
const stack = new Stack(OPTIONS);
const { splitter } = stack;
const WIDE = 65_535;
const VNI = 0xabcdef;

const vxlan: Encapsulation = { layout: TunnelLayout.Vxlan, vni: VNI, mtu: WIDE, rewrite: null };
const ip: Encapsulation = { layout: TunnelLayout.Ip, vni: 0, mtu: WIDE, rewrite: null };
const rewrite = { destination: 0x02_0000_0000_99, source: 0x02_0000_0000_98 };

/** Cuts a frame with virtio header; nothing but the frame may be read, and that not changed. @returns the datagrams, or why there are none */
function split(frame: Uint8Array, encapsulation: Encapsulation): Buffer[] | number {
  const at = stack.buffer;
  stack.bytes.set(frame, at);
  const before = Buffer.from(stack.bytes.subarray(at, at + frame.length + 64));
  let segments = splitter.split(at + VNET, frame.length - VNET, encapsulation);
  if (segments < 0) return segments;
  const datagrams: Buffer[] = [];
  for (; segments > 0; segments = splitter.next()) {
    const batch = Array.from({ length: segments }, (_, index) => datagramAt(index));
    expect(batch.every(({ length }, i) => i === segments - 1 || length === splitter.size)).toBe(
      true,
    );
    expect(batch.at(-1)?.length).toBe(splitter.lastSize);
    expect(batch.reduce((sum, { length }) => sum + length, 0)).toBeLessThanOrEqual(65_507);
    const payloads = batch.map((_, index) => splitter.iov.subarray(4 * index + 2, 4 * index + 4));
    const end = at + frame.length;
    expect(payloads.every(([from, length]) => from >= at && from + length <= end)).toBe(true);
    datagrams.push(...batch);
  }
  const after = Buffer.from(stack.bytes.subarray(at, at + frame.length + 64));
  expect(after.equals(before), "the frame is unchanged").toBe(true);
  return datagrams;
}

function datagramAt(index: number): Buffer {
  const [header, headerLength, payload, payloadLength] = splitter.iov.subarray(4 * index);
  return Buffer.concat([
    stack.bytes.subarray(header, header + headerLength),
    stack.bytes.subarray(payload, payload + payloadLength),
  ]);
}

function vxlanHeader(): Buffer {
  return Buffer.from(`08000000${VNI.toString(16)}00`, "hex");
}

/** What the datagrams must be, each made from scratch. */
function expected(spec: PacketSpec, size: number, encapsulation: Encapsulation): Buffer[] {
  const routed = encapsulation.rewrite !== null;
  return segmentsOf(spec, size).map((segment) => {
    const packet = packetOf({ ...segment, hops: spec.hops - (routed ? 1 : 0) });
    if (encapsulation.layout === TunnelLayout.Ip) return packet;
    const ethernet = ethernetOf(spec.family);
    if (routed) Buffer.from("020000000099020000000098", "hex").copy(ethernet);
    return Buffer.concat([vxlanHeader(), ethernet, packet]);
  });
}

const anyEncapsulation = fc.constantFrom(vxlan, ip, { ...vxlan, rewrite }, { ...ip, rewrite });
const ANY_FLAG = Flag.Fin | Flag.Push | Flag.Cwr | Flag.Urgent;

function expectDatagrams(actual: Buffer[] | number, wanted: readonly Buffer[]): void {
  if (typeof actual === "number") throw new Error(`refused: ${actual}`);
  expect(actual.length).toBe(wanted.length);
  // Compared as texts only where they differ: toEqual of 64 KB takes long.
  const wrong = actual.findIndex((datagram, index) => !datagram.equals(wanted[index]));
  if (wrong >= 0) expect(actual[wrong].toString("hex")).toBe(wanted[wrong].toString("hex"));
}

describe("a superframe", () => {
  it("becomes the segments that a network card would make of it", () => {
    const sizes = fc.integer({ min: 8, max: 9000 });
    fc.assert(
      fc.property(anyPacket(64_000, ANY_FLAG), sizes, anyEncapsulation, (spec, least, wrap) => {
        const size = Math.max(least, Math.ceil(spec.payload.length / 128));
        expectDatagrams(split(superframeOf(spec, size), wrap), expected(spec, size, wrap));
        expect(splitter.isSuperframe).toBe(true);
        expect(splitter.trafficClass).toBe(spec.trafficClass);
      }),
    );
  });

  it("takes several batches when one send cannot have all of it", () => {
    const spec = { ...PLAIN, payload: new Uint8Array(60_000).fill(7) };
    stack.bytes.set(superframeOf(spec, 100), stack.buffer);
    const length = frameOf(spec).length;
    expect(splitter.split(stack.buffer + VNET, length, ip)).toBe(MOST_SEGMENTS);
    expect(splitter.left).toBe(60_000 - MOST_SEGMENTS * 100);
    expectDatagrams(split(superframeOf(spec, 100), ip), expected(spec, 100, ip));
    expect(splitter.left).toBe(0);
    expect(splitter.next()).toBe(0);
  });

  it("leaves room in front of each segment", () => {
    const spec = { ...PLAIN, payload: new Uint8Array(3000).fill(7) };
    const wanted = expected(spec, 1000, ip);
    stack.bytes.set(superframeOf(spec, 1000), stack.buffer);
    const segments = splitter.split(stack.buffer + VNET, frameOf(spec).length, ip);
    for (let index = 0; index < segments; index += 1) {
      const at = splitter.iov[4 * index];
      stack.bytes.fill(0xee, at - 16, at);
    }
    expectDatagrams(
      Array.from({ length: segments }, (_, index) => datagramAt(index)),
      wanted,
    );
  });
});

describe("a frame that needs no cut", () => {
  const plain = (spec: PacketSpec) => Buffer.concat([vnetOf({}), frameOf(spec)]);
  const open = (spec: PacketSpec) => {
    const { ip: start, checksum } = headersOf(spec);
    const vnet = vnetOf({ flags: 1, start: ETHERNET + start, offset: checksum });
    return Buffer.concat([vnet, frameOf(spec, true)]);
  };

  it.each([
    ["complete", plain],
    ["open", open],
  ])("has its checksum completed, if it was %s", (_, make) => {
    fc.assert(
      fc.property(anyPacket(9000, 0xff), anyEncapsulation, (spec, wrap) => {
        expectDatagrams(split(make(spec), wrap), expected(spec, WIDE, wrap));
        expect(splitter.isSuperframe).toBe(false);
      }),
    );
  });

  // The payload makes the sum all ones, of which the complement is 0: in UDP that is no checksum (RFC 768).
  it.each([
    ["udp", 6, 0xffff],
    ["tcp", 16, 0],
  ] as const)("is right in %s where the sum is 0", (protocol, at, expected) => {
    const base: PacketSpec = { ...PLAIN, protocol, payload: Uint8Array.of(0, 0) };
    const sum = packetOf(base).readUInt16BE(20 + at);
    const spec = { ...base, payload: Uint8Array.of(sum >>> 8, sum & 0xff) };
    const [packet] = split(open(spec), ip) as Buffer[];
    expect(packet.readUInt16BE(20 + at)).toBe(expected);
    expectDatagrams([packet], [packetOf(spec)]);
  });

  it("loses the padding behind the packet", () => {
    const padded = Buffer.concat([plain(PLAIN), new Uint8Array(30).fill(1)]);
    expectDatagrams(split(padded, ip), [packetOf(PLAIN)]);
    expectDatagrams(split(padded, vxlan), expected(PLAIN, WIDE, vxlan));
  });

  it("that is not IP passes as it is in VXLAN, and in nothing else", () => {
    const arp = Buffer.concat([ethernetOf(4), new Uint8Array(28).fill(5)]);
    arp.writeUInt16BE(0x0806, 12);
    const frame = Buffer.concat([vnetOf({}), arp]);
    expectDatagrams(split(frame, vxlan), [Buffer.concat([vxlanHeader(), arp])]);
    expect(splitter.trafficClass).toBe(0);
    expect(split(frame, ip)).toBe(DropReason.EthernetUnknownType);
    expect(split(frame, { ...vxlan, rewrite })).toBe(DropReason.EthernetUnknownType);
  });

  it("passes as it is from a TAP without virtio header, whatever is in front of it", () => {
    const bare = new Stack({ ...OPTIONS, offload: false });
    const at = bare.buffer + bare.headroom;
    bare.bytes.set(superframeOf(PLAIN, 1), at - VNET);
    expect(bare.splitter.split(at, frameOf(PLAIN).length, ip)).toBe(1);
    expect(bare.splitter.isSuperframe).toBe(false);
  });
});

describe("what is refused", () => {
  const payload = new Uint8Array(3000).fill(9);
  const spec: PacketSpec = { ...PLAIN, payload };
  const changed = (at: number, ...bytes: number[]) => {
    const frame = superframeOf(spec, 1000);
    frame.set(bytes, at);
    return frame;
  };
  const start = VNET + ETHERNET;
  const udp = superframeOf({ ...spec, protocol: "udp" }, 20);

  it.each<[string, number, Uint8Array]>([
    ["no Ethernet header", DropReason.EthernetTruncated, superframeOf(spec, 9).subarray(0, 23)],
    ["no IP header", DropReason.IpBadLength, superframeOf(spec, 9).subarray(0, start + 19)],
    ["an IP header of 16 bytes", DropReason.IpBadLength, changed(start, 0x44)],
    ["version 6 in a frame of version 4", DropReason.IpBadLength, changed(start, 0x60)],
    ["version 5", DropReason.IpBadLength, changed(start, 0x55)],
    ["a packet longer than its frame", DropReason.IpBadLength, changed(start + 2, 0xff, 0xff)],
    ["a packet shorter than its header", DropReason.IpBadLength, changed(start + 2, 0, 19)],
    ["a fragment to be cut", DropReason.TunnelBadOffload, changed(start + 6, 0x20, 0)],
    ["segments of 0 bytes", DropReason.TunnelBadOffload, changed(4, 0, 0)],
    ["3,000 bytes in segments of 2", DropReason.TunnelBadOffload, changed(4, 2, 0)],
    ["more UDP datagrams than a socket sends", DropReason.TunnelBadOffload, udp],
    ["an unknown kind of segment", DropReason.TunnelBadOffload, changed(1, 3)],
    ["segments of the other family", DropReason.TunnelBadOffload, changed(1, 4)],
    ["segments of the other protocol", DropReason.TunnelBadOffload, changed(1, 5)],
    ["a TCP header of 16 bytes", DropReason.TunnelMalformed, changed(start + 20 + 12, 0x40)],
    ["a TCP header behind the end", DropReason.TunnelMalformed, shortTcp()],
    ["a checksum in the IP header", DropReason.TunnelBadOffload, open(19, 0)],
    ["a checksum behind the end", DropReason.TunnelBadOffload, open(ETHERNET + 20, 46)],
    ["a checksum far behind it", DropReason.TunnelBadOffload, open(0xffff, 0xfffe)],
    ["a checksum at an odd place", DropReason.TunnelBadOffload, open(ETHERNET + 20, 15)],
  ])("%s", (_, reason, frame) => {
    expect(split(frame, vxlan)).toBe(reason);
    expect(split(frame, ip)).toBe(reason);
    expect(splitter.next()).toBe(0);
  });

  /** A packet with 46 bytes behind the IP header, and a checksum left open at some place. */
  function open(checksumStart: number, offset: number): Buffer {
    const frame = frameOf({ ...PLAIN, payload: new Uint8Array(14) });
    return Buffer.concat([vnetOf({ flags: 1, start: checksumStart, offset }), frame]);
  }

  function shortTcp(): Buffer {
    const frame = superframeOf({ ...PLAIN, options: new Uint8Array(0) }, 1000);
    frame[start + 20 + 12] = 0x60;
    return frame;
  }

  it("what is longer than the MTU of the tunnel, and no byte less", () => {
    const { ip: header, transport } = headersOf(spec);
    const packet = header + transport + 1000;
    expect(split(superframeOf(spec, 1000), { ...ip, mtu: packet })).toHaveLength(3);
    expect(split(superframeOf(spec, 1000), { ...ip, mtu: packet - 1 })).toBe(
      DropReason.TunnelTooBig,
    );
    const single = Buffer.concat([vnetOf({}), frameOf(spec)]);
    const whole = packetOf(spec).length;
    expect(split(single, { ...vxlan, mtu: whole })).toHaveLength(1);
    expect(split(single, { ...vxlan, mtu: whole - 1 })).toBe(DropReason.TunnelTooBig);
  });

  it("what no UDP datagram can carry", () => {
    const long: PacketSpec = { ...PLAIN, payload: new Uint8Array(65_535 - 52) };
    expect(split(Buffer.concat([vnetOf({}), frameOf(long)]), ip)).toBe(DropReason.TunnelTooBig);
  });

  it.each([0, 1])("what a router must not forward: TTL %i", (hops) => {
    const old = { ...spec, hops };
    expect(split(superframeOf(old, 1000), { ...vxlan, rewrite })).toBe(DropReason.IpHopLimit);
    expect(split(superframeOf({ ...old, family: 6 }, 1000), { ...ip, rewrite })).toBe(
      DropReason.IpHopLimit,
    );
    expect(split(superframeOf(old, 1000), vxlan)).toHaveLength(3);
  });

  it("nothing is read or written outside, whatever a frame says", () => {
    const anyPatch = fc.record({ at: fc.nat(90), byte: fc.nat(255) });
    const patches = fc.array(anyPatch, { maxLength: 3 });
    const missing = fc.oneof(fc.constant(0), fc.nat(127));
    const sizes = fc.oneof(fc.integer({ min: 30, max: 2000 }), fc.nat(65_535));
    const verdicts = { refused: 0, cut: 0 };
    fc.assert(
      fc.property(
        anyPacket(3000, 0xff),
        patches,
        missing,
        sizes,
        anyEncapsulation,
        (packet, changes, less, size, wrap) => {
          const whole = superframeOf(packet, size);
          for (const { at, byte } of changes) whole[at] = byte;
          const frame = whole.subarray(0, Math.max(VNET, whole.length - less));
          const isRefused = typeof split(frame, wrap) === "number";
          verdicts[isRefused ? "refused" : "cut"] += 1;
        },
      ),
      { numRuns: 2000 },
    );
    expect(verdicts.refused).toBeGreaterThan(100);
    expect(verdicts.cut).toBeGreaterThan(100);
  });
});
