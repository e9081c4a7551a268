import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DropCounters } from "../../src/base/drop.js";
import { type JoinOptions, MOST_DATAGRAMS } from "../../src/stack/joiner.js";
import {
  cut,
  type Datagram,
  datagramOf,
  OVER_IP,
  OVER_VXLAN,
  Receiver,
  VNI,
  vxlanOf,
  withoutChecksums,
} from "./joining.js";
import {
  anyPacket,
  ETHERNET,
  Flag,
  frameOf,
  headersOf,
  type PacketSpec,
  PLAIN,
  packetOf,
  referenceSum,
  segmentsOf,
  superframeOf,
  vnetOf,
} from "./packets.js";

const receiver = new Receiver();
const layouts = [OVER_VXLAN, OVER_IP];
const DATA_VALID = vnetOf({ flags: 2 });

function refused(): [string, number][] {
  const drops = new DropCounters();
  receiver.joiner.countRefused(drops);
  return drops.entries();
}

function expectBytes(actual: Buffer, wanted: Buffer): void {
  if (!actual.equals(wanted)) expect(actual.toString("hex")).toBe(wanted.toString("hex"));
}

describe("segments of one superframe", () => {
  const sizes = fc.integer({ min: 500, max: 9000 });
  const flags = Flag.Fin | Flag.Push | Flag.Cwr;

  it.each(layouts)("are joined to the same superframe again: %j", (options) => {
    fc.assert(
      fc.property(anyPacket(64_000, flags), sizes, (any, least) => {
        const spec = { ...any, ipOptions: new Uint8Array(0) };
        const size = Math.max(least, Math.ceil(spec.payload.length / 64));
        const segments = segmentsOf(spec, size);
        const frames = receiver.join(
          segments.map((segment) => datagramOf(segment, options)),
          options,
        );
        expect(refused()).toEqual([]);
        expect(frames).toHaveLength(1);
        const [{ bytes, datagrams, headerLength, vni }] = frames;
        expect(datagrams).toBe(segments.length);
        expect(vni).toBe(options === OVER_VXLAN ? VNI : 0);
        const { ip, transport } = headersOf(spec);
        expect(headerLength).toBe(ETHERNET + ip + transport);
        const whole = superframeOf(spec, size);
        const single = Buffer.concat([DATA_VALID, frameOf(spec)]);
        expectBytes(bytes, segments.length === 1 ? single : whole);
      }),
    );
  });

  it("are joined as one recvmsg with UDP_GRO has them", () => {
    const spec = { ...PLAIN, payload: new Uint8Array(60_000).fill(3) };
    const datagrams = segmentsOf(spec, 1400).map((one) => datagramOf(one, OVER_VXLAN).bytes);
    const { joiner } = receiver;
    const received = Buffer.concat(datagrams);
    joiner.bytes.set(received, joiner.arena);
    joiner.clear();
    const [{ length: size }] = datagrams;
    expect(joiner.addReceived(joiner.arena, received.length, size, 0)).toBe(0);
    expect(joiner.count).toBe(datagrams.length);
    expect(joiner.join(OVER_VXLAN)).toBe(1);
    expect(joiner.datagrams(0)).toBe(datagrams.length);
    expect(joiner.iovCount(0)).toBe(1 + datagrams.length);
  });

  it("are no more than there is room for", () => {
    const { joiner } = receiver;
    joiner.clear();
    expect(joiner.addReceived(joiner.arena, 1000 * MOST_DATAGRAMS + 1500, 1000, 0)).toBe(1500);
    expect(joiner.add(joiner.arena, 100, 0)).toBe(false);
    joiner.clear();
    expect(joiner.addReceived(joiner.arena, 900, 0, 0)).toBe(0);
    expect(joiner.count).toBe(1);
  });

  it("stay single for a TAP without offload, or without that of UDP", () => {
    const spec = { ...PLAIN, payload: new Uint8Array(3000) };
    const tcp = segmentsOf(spec, 1000);
    const udp = segmentsOf({ ...spec, protocol: "udp" }, 1000);
    const all = [...tcp, ...udp].map((one) => datagramOf(one, OVER_VXLAN));
    const plain = receiver.join(all, { ...OVER_VXLAN, offload: false });
    expect(plain.map(({ bytes }) => bytes)).toEqual([...tcp, ...udp].map((one) => frameOf(one)));
    const counts = (options: JoinOptions) =>
      receiver.join(all, options).map(({ datagrams }) => datagrams);
    expect(counts({ ...OVER_VXLAN, udpOffload: false })).toEqual([3, 1, 1, 1]);
    expect(counts(OVER_VXLAN)).toEqual([3, 3]);
  });
});

describe("what is not joined", () => {
  const payload = new Uint8Array(1000).fill(8);
  const first: PacketSpec = { ...PLAIN, payload, dontFragment: false };
  const second: PacketSpec = { ...first, id: 8, sequence: first.sequence + 1000 };
  const udp: PacketSpec = { ...first, protocol: "udp" };
  const short = new Uint8Array(999);
  const counts = (specs: readonly PacketSpec[], options = OVER_VXLAN) =>
    receiver
      .join(
        specs.map((spec) => datagramOf(spec, options)),
        options,
      )
      .map(({ datagrams }) => datagrams);

  it.each<[string, PacketSpec, PacketSpec]>([
    ["of another port", first, { ...second, ports: [40_000, 81] }],
    ["out of sequence", first, { ...second, sequence: first.sequence + 999 }],
    ["sent again", first, first],
    ["another acknowledgment", first, { ...second, acknowledgment: 2001 }],
    ["another window", first, { ...second, window: 501 }],
    ["other options", first, { ...second, options: Uint8Array.from(PLAIN.options).fill(1) }],
    ["no options", first, { ...second, options: new Uint8Array(0) }],
    ["behind PSH", { ...first, flags: Flag.Ack | Flag.Push }, second],
    ["behind FIN", { ...first, flags: Flag.Ack | Flag.Fin }, second],
    ["behind SYN", { ...first, flags: Flag.Syn }, { ...second, flags: Flag.Syn }],
    ["RST", first, { ...second, flags: Flag.Ack | Flag.Rst }],
    ["URG", first, { ...second, flags: Flag.Ack | Flag.Urgent }],
    ["CWR on the second", first, { ...second, flags: Flag.Ack | Flag.Cwr }],
    ["without data", first, { ...second, payload: new Uint8Array(0) }],
    [
      "behind one without data",
      { ...first, payload: new Uint8Array(0) },
      { ...second, sequence: 1000 },
    ],
    ["longer than the first", first, { ...second, payload: new Uint8Array(1001) }],
    ["behind a shorter one", { ...first, payload: short }, { ...second, sequence: 1999 }],
    ["another TTL", first, { ...second, hops: 63 }],
    ["another class", first, { ...second, trafficClass: 4 }],
    ["another DF", first, { ...second, dontFragment: true }],
    ["another identification", first, { ...second, id: 9 }],
    ["IP options", first, { ...second, ipOptions: new Uint8Array(4).fill(1) }],
    ["of the other family", first, { ...second, family: 6 }],
    ["UDP and TCP", first, udp],
    ["UDP longer than the first", udp, { ...udp, id: 8, payload: new Uint8Array(1001) }],
    ["UDP without data", udp, { ...udp, id: 8, payload: new Uint8Array(0) }],
  ])("%s", (_, one, other) => {
    expect(counts([one, other])).toEqual([1, 1]);
    expect(refused()).toEqual([]);
  });

  it("but the second follows the first, with PSH and shorter, or with any identification that says nothing", () => {
    expect(counts([first, second])).toEqual([2]);
    expect(counts([first, { ...second, flags: Flag.Ack | Flag.Push, payload: short }])).toEqual([
      2,
    ]);
    expect(
      counts([
        { ...first, dontFragment: true },
        { ...second, dontFragment: true, id: 99 },
      ]),
    ).toEqual([2]);
    expect(counts([udp, { ...udp, id: 8, payload: short }])).toEqual([2]);
  });

  it("other networks, or other MACs", () => {
    const [one, other] = [first, second].map((spec) => datagramOf(spec, OVER_VXLAN).bytes);
    const elsewhere = datagramOf(second, OVER_VXLAN, VNI + 1).bytes;
    expect(
      receiver.join([{ bytes: one }, { bytes: elsewhere }], OVER_VXLAN).map(({ vni }) => vni),
    ).toEqual([VNI, VNI + 1]);
    other[8 + 11] ^= 1;
    expect(receiver.join([{ bytes: one }, { bytes: other }], OVER_VXLAN)).toHaveLength(2);
  });

  it("more than an IP packet may have", () => {
    const segments = Array.from({ length: 70 }, (_, index) => ({
      ...PLAIN,
      payload,
      id: index,
      sequence: 1000 * index,
    }));
    expect(counts(segments)).toEqual([65, 5]);
    expect(counts(segments.map((spec) => ({ ...spec, protocol: "udp" as const })))).toEqual([
      64, 6,
    ]);
    expect(counts(segments.map((spec) => ({ ...spec, family: 6 as const })))).toEqual([65, 5]);
  });

  it("of many flows, all but the last eight that grow", () => {
    const flows = (count: number) =>
      [first, second].flatMap((spec) =>
        Array.from({ length: count }, (_, port) => ({ ...spec, ports: [1 + port, 80] as const })),
      );
    expect(counts(flows(8))).toEqual(Array.from({ length: 8 }, () => 2));
    expect(counts(flows(9))).toEqual(Array.from({ length: 18 }, () => 1));
  });
});

describe("any datagrams", () => {
  const anyChange = fc.record({
    flow: fc.nat(2),
    kind: fc.constantFrom(
      ...Array.from({ length: 12 }, () => "next"),
      "again",
      "skip",
      "push",
      "short",
      "ack",
    ),
  });

  /** Segments of three flows, as a network brings them. */
  function transmission(
    base: PacketSpec,
    changes: readonly { flow: number; kind: string }[],
  ): PacketSpec[] {
    const next = [0, 0xffff_f000, 77];
    const ids = [1, 0xfff0, 7];
    return changes.map(({ flow, kind }) => {
      const size = kind === "ack" ? 0 : kind === "short" ? 400 : 1000;
      if (kind === "skip") next[flow] += 1000;
      const spec: PacketSpec = {
        ...base,
        ipOptions: new Uint8Array(0),
        ports: [1 + flow, 80],
        payload: new Uint8Array(size).fill(ids[flow]),
        sequence: (next[flow] - (kind === "again" ? 1000 : 0)) >>> 0,
        id: ids[flow] & 0xffff,
        flags: Flag.Ack | (kind === "push" ? Flag.Push : 0),
      };
      if (kind !== "again") next[flow] += size;
      ids[flow] += 1;
      return spec;
    });
  }

  it.each(layouts)(
    "become frames that stand for the same packets of each flow, in their order: %j",
    (options) => {
      let joined = 0;
      fc.assert(
        fc.property(
          anyPacket(0, 0),
          fc.array(anyChange, { minLength: 50, maxLength: 100 }),
          (base, changes) => {
            const specs = transmission(base, changes);
            const frames = receiver.join(
              specs.map((spec) => datagramOf(spec, options)),
              options,
            );
            expect(refused()).toEqual([]);
            joined += specs.length - frames.length;
            const packets = frames.flatMap(({ bytes }) => cut(bytes));
            for (const flow of [1, 2, 3]) {
              const at = headersOf(base).ip - base.ipOptions.length;
              const arrived = packets.filter((packet) => packet.readUInt16BE(at) === flow);
              const sent = specs.filter(({ ports }) => ports[0] === flow);
              const wanted = sent.map((spec) => packetOf(spec));
              // Where nobody may fragment, the identification says nothing (RFC 6864 §4.1).
              const ignoresId = base.family === 4 && base.dontFragment;
              expect(arrived.map((packet) => told(packet, ignoresId))).toEqual(
                wanted.map((packet) => told(packet, ignoresId)),
              );
            }
          },
        ),
        { numRuns: 300 },
      );
      expect(joined).toBeGreaterThan(1000);
    },
  );

  function told(packet: Buffer, ignoresId: boolean): string {
    if (ignoresId) packet.writeUInt16BE(0, 4);
    return withoutChecksums(packet);
  }

  it("with any damage do no harm", () => {
    const anyPatch = fc.record({ at: fc.nat(110), byte: fc.nat(255) });
    const damaged = fc.record({ patches: fc.array(anyPatch, { maxLength: 2 }), less: fc.nat(120) });
    fc.assert(
      fc.property(
        anyPacket(1000, 0xff),
        fc.array(damaged, { maxLength: 8 }),
        fc.constantFrom(...layouts),
        fc.nat(255),
        fc.boolean(),
        (spec, damages, options, trafficClass, routed) => {
          const datagrams = damages.map(({ patches, less }): Datagram => {
            const { bytes } = datagramOf(spec, options);
            for (const { at, byte } of patches) bytes[at % bytes.length] = byte;
            return {
              bytes: bytes.subarray(0, Math.max(0, bytes.length - (less % 60))),
              trafficClass,
            };
          });
          const frames = receiver.join(datagrams, { ...options, routed });
          const dropped = refused().reduce((sum, [, count]) => sum + count, 0);
          const made = frames.reduce((sum, { datagrams: count }) => sum + count, 0);
          expect(made + dropped).toBe(datagrams.length);
        },
      ),
      { numRuns: 2000 },
    );
  });
});

describe("a datagram is refused for", () => {
  const spec: PacketSpec = { ...PLAIN, payload: new Uint8Array(100).fill(5) };
  const changed = (base: PacketSpec, at: number, byte: number) => {
    const { bytes } = datagramOf(base, OVER_VXLAN);
    bytes[at] = byte;
    return { bytes };
  };
  const start = 8 + ETHERNET;
  const udp: PacketSpec = { ...spec, protocol: "udp" };

  it.each<[string, Datagram, string]>([
    ["no I bit", changed(spec, 0, 0xf7), "tunnel-malformed"],
    ["no Ethernet header", { bytes: vxlanOf(new Uint8Array(13)) }, "tunnel-malformed"],
    ["no VXLAN header", { bytes: new Uint8Array(7) }, "tunnel-malformed"],
    ["nothing in it", { bytes: new Uint8Array(0) }, "tunnel-malformed"],
    ["an IP header of 16 bytes", changed(spec, start, 0x44), "tunnel-malformed"],
    ["an IP packet that is not all there", changed(spec, start + 3, 0xff), "tunnel-malformed"],
    ["another version than the frame says", changed(spec, start, 0x65), "tunnel-malformed"],
    ["a wrong IP checksum", changed(spec, start + 8, 1), "ip-bad-checksum"],
    ["a wrong TCP checksum", changed(spec, start + 60, 1), "tcp-bad-checksum"],
    ["a wrong UDP checksum", changed(udp, start + 60, 1), "udp-bad-checksum"],
    ["a TCP header of 16 bytes", changed(spec, start + 32, 0x40), "tunnel-malformed"],
    ["a UDP length that is too long", changed(udp, start + 25, 0xff), "tunnel-malformed"],
  ])("%s", (_, datagram, reason) => {
    const good = datagramOf(spec, OVER_VXLAN);
    expect(receiver.join([good, datagram, good], OVER_VXLAN)).toHaveLength(2);
    expect(refused()).toEqual([[reason, 1]]);
  });
});

describe("the outer header's ECN", () => {
  const spec: PacketSpec = { ...PLAIN, payload: new Uint8Array(100).fill(5) };
  const [notEct, ect1, ect0, ce] = [0, 1, 2, 3];
  const families = [4, 6] as const;

  // RFC 6040 §4.2, figure 4: what the inner header has, and what it gets of each outer one.
  it.each([
    [notEct, [notEct, notEct, notEct, null]],
    [ect0, [ect0, ect1, ect0, ce]],
    [ect1, [ect1, ect1, ect1, ce]],
    [ce, [ce, ce, ce, ce]],
  ])("inner %i", (inner, results) => {
    for (const family of families) {
      for (const [outer, wanted] of results.entries()) {
        const dscp = 46 << 2;
        const base = { ...spec, family, trafficClass: dscp | inner };
        const { bytes } = datagramOf(base, OVER_IP);
        const frames = receiver.join([{ bytes, trafficClass: 0xf0 | outer }], OVER_IP);
        if (wanted === null) expect(refused()).toEqual([["tunnel-congestion", 1]]);
        const made = frames.map((frame) => frame.bytes);
        const whole = Buffer.concat([
          DATA_VALID,
          frameOf({ ...base, trafficClass: dscp | (wanted ?? 0) }),
        ]);
        expect(made).toEqual(wanted === null ? [] : [whole]);
      }
    }
  });
});

describe("for a router", () => {
  const spec: PacketSpec = { ...PLAIN, payload: new Uint8Array(100).fill(5) };
  const routed = { ...OVER_VXLAN, routed: true };

  it("TTL and hop limit are lowered", () => {
    fc.assert(
      fc.property(anyPacket(300, 0), fc.constantFrom(...layouts), (any, options) => {
        const base = { ...any, ipOptions: new Uint8Array(0) };
        const frames = receiver.join([datagramOf(base, options)], { ...options, routed: true });
        const wanted = Buffer.concat([DATA_VALID, frameOf({ ...base, hops: base.hops - 1 })]);
        expect(frames.map(({ bytes }) => bytes)).toEqual([wanted]);
        expect(frames[0].isExpired).toBe(false);
      }),
    );
  });

  it.each([0, 1])("a TTL of %i is told, and the packet left as it is", (hops) => {
    const old = { ...spec, hops };
    const datagrams = [old, { ...old, sequence: old.sequence + 100 }].map((one) =>
      datagramOf(one, routed),
    );
    const frames = receiver.join(datagrams, routed);
    expect(frames.map(({ isExpired }) => isExpired)).toEqual([true, true]);
    expect(frames[0].bytes.equals(Buffer.concat([DATA_VALID, frameOf(old)]))).toBe(true);
    expect(receiver.join(datagrams, OVER_VXLAN).map(({ isExpired }) => isExpired)).toEqual([false]);
  });
});

describe("what is neither TCP nor UDP", () => {
  const frame = (type: number, length: number) => {
    const made = Buffer.concat([frameOf(PLAIN).subarray(0, ETHERNET), Buffer.alloc(length, 5)]);
    made.writeUInt16BE(type, 12);
    return made;
  };

  it.each([
    ["an ARP packet", frame(0x0806, 28)],
    ["a frame of some type", frame(0x88b5, 1500)],
    ["a frame without anything behind its header", frame(0x88b5, 0)],
    ["ICMP", ofProtocol(1)],
    ["a fragment", fragment()],
    ["UDP without checksum", withoutChecksum()],
    ["TCP behind IP options", frameOf({ ...PLAIN, ipOptions: new Uint8Array(4).fill(1) })],
  ])("passes as it is: %s", (_, bytes) => {
    const [made, ...more] = receiver.join([{ bytes: vxlanOf(bytes) }], OVER_VXLAN);
    expect(more).toEqual([]);
    expect(made.bytes.equals(Buffer.concat([vnetOf({}), bytes]))).toBe(true);
    expect(made.headerLength).toBe(Math.min(246, bytes.length));
  });

  it("is refused by a router, if it is not IP", () => {
    const bytes = vxlanOf(frame(0x0806, 28));
    expect(receiver.join([{ bytes }], { ...OVER_VXLAN, routed: true })).toEqual([]);
    expect(refused()).toEqual([["ethernet-unknown-type", 1]]);
  });

  it("a packet comes without the padding of WireGuard", () => {
    const packet = packetOf(PLAIN);
    const bytes = Buffer.concat([packet, Buffer.alloc(15, 1)]);
    const [made] = receiver.join([{ bytes }], OVER_IP);
    expect(made.bytes.equals(Buffer.concat([DATA_VALID, frameOf(PLAIN)]))).toBe(true);
  });

  function rewritten(spec: PacketSpec, at: number, ...bytes: number[]): Buffer {
    const made = frameOf(spec);
    made.set(bytes, ETHERNET + at);
    const header = made.subarray(ETHERNET, ETHERNET + 20);
    header.writeUInt16BE(0, 10);
    header.writeUInt16BE(0xffff ^ referenceSum(header), 10);
    return made;
  }
  function ofProtocol(protocol: number): Buffer {
    return rewritten({ ...PLAIN, payload: new Uint8Array(1000) }, 9, protocol);
  }
  function fragment(): Buffer {
    return rewritten({ ...PLAIN, payload: new Uint8Array(1000) }, 6, 0x20, 0);
  }
  function withoutChecksum(): Buffer {
    const made = frameOf({ ...PLAIN, protocol: "udp", payload: new Uint8Array(600) });
    made.writeUInt16BE(0, ETHERNET + 26);
    return made;
  }
});
