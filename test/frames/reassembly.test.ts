import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Address } from "../../src/base/address.js";
import { NEVER } from "../../src/base/clock.js";
import { DropReason } from "../../src/base/drop.js";
import { Reassembly } from "../../src/frames/reassembly.js";
import { createAddressCaches, Frame, parseFrame } from "../../src/wire/frame.js";
import { IpProtocol } from "../../src/wire/ip.js";
import { udpChecksumIsRight } from "../../src/wire/udp.js";
import { Wire } from "./wire.js";

const MTU = 1280;
const addresses = {
  4: ["203.0.113.1", "10.0.2.100"],
  6: ["2001:db8::1", "fd00::64"],
} as const;

function address(text: string): Address {
  return Address.parse(text) ?? Address.ofIpv4Word(0);
}

describe.each([4, 6] as const)("IPv%i", (family) => {
  let wire: Wire;
  let reassembly: Reassembly;
  let frame: Frame;
  const caches = createAddressCaches();
  const [source, destination] = addresses[family].map(address);

  beforeEach(() => {
    wire = new Wire(MTU, false);
    reassembly = new Reassembly(wire.stack, wire.drops, 16, 64 * 1024 * 1024);
    frame = new Frame(wire.stack.bytes);
  });
  afterEach(() => wire.close());

  /** Writes a datagram to the guest. @returns its frames */
  function written(payload: Uint8Array): Uint8Array[] {
    const { stack, writer } = wire;
    const buffer = stack.takeBuffer();
    stack.bytes.set(payload, buffer);
    const mac = 0x0200_0000_0001;
    const fields = { protocol: IpProtocol.Udp, hopLimit: 64, trafficClass: 0 };
    const envelope = { mac, source, destination, ...fields };
    writer.writeDatagram(envelope, 53, 40_000, buffer, payload.length, 0);
    stack.giveBuffer(buffer);
    const frames: Uint8Array[] = [];
    for (let next = wire.read(); next !== null; next = wire.read()) frames.push(next);
    return frames;
  }

  /** Adds a frame as if it had been read from the TAP. */
  function given(bytes: Uint8Array, now = 0): Uint8Array | null {
    const { stack } = wire;
    const offset = stack.buffer + stack.headroom;
    stack.bytes.set(bytes, offset);
    expect(parseFrame(frame, offset, bytes.length, caches)).toBe(0);
    if (!frame.isFragment) return wholeIn(offset, bytes.length);
    const whole = reassembly.add(frame, now);
    if (whole === null) return null;
    const payload = wholeIn(whole.offset, whole.length);
    stack.giveBuffer(whole.buffer);
    return payload;
  }

  function wholeIn(offset: number, length: number): Uint8Array {
    expect(parseFrame(frame, offset, length, caches)).toBe(0);
    expect(frame.isFragment).toBe(false);
    expect(udpChecksumIsRight(frame.bytes, frame)).toBe(true);
    const { payloadOffset, payloadLength } = frame;
    return frame.bytes.slice(payloadOffset, payloadOffset + payloadLength);
  }

  function pattern(length: number): Uint8Array {
    return Uint8Array.from({ length }, (_, index) => index * 7 + (index >>> 8));
  }

  it("a datagram of any length is reassembled from fragments in any order", () => {
    const lengths = fc.oneof(
      fc.integer({ min: 0, max: 65_507 }),
      fc.constantFrom(1232, 1252, 1253),
    );
    fc.assert(
      fc.property(lengths, fc.infiniteStream(fc.nat()), (length, order) => {
        const held = wire.stack.statistics().memoryInUse;
        const payload = pattern(length);
        const frames = written(payload);
        for (const bytes of frames) expect(bytes.length).toBeLessThanOrEqual(14 + MTU);
        const shuffled = frames
          .map((bytes) => ({ bytes, at: order.next().value }))
          .sort((a, b) => a.at - b.at);
        const results = shuffled.map(({ bytes }) => given(bytes));
        expect(results.slice(0, -1).every((result) => result === null)).toBe(true);
        expect(results.at(-1)).toEqual(payload);
        expect(wire.stack.statistics().memoryInUse).toBe(held);
      }),
      { numRuns: 60 },
    );
  });

  it("a fragment that comes twice is ignored", () => {
    const payload = pattern(3000);
    const frames = written(payload);
    expect(given(frames[0])).toBeNull();
    expect(given(frames[0])).toBeNull();
    expect(given(frames[1])).toBeNull();
    expect(given(frames[2])).toEqual(payload);
  });

  it("overlapping fragments discard the datagram and later fragments (RFC 5722)", () => {
    const frames = written(pattern(3000));
    expect(given(frames[0])).toBeNull();
    expect(given(shifted(frames[1], -8))).toBeNull();
    expect(wire.drops.get(DropReason.IpFragmentOverlap)).toBe(1);
    expect(given(frames[1])).toBeNull();
    expect(given(frames[2])).toBeNull();
    expect(wire.drops.get(DropReason.IpFragmentOverlap)).toBe(3);
  });

  it("the number of incomplete datagrams is limited", () => {
    const held = wire.stack.statistics().memoryInUse;
    for (let count = 0; count < 40; count += 1) given(written(pattern(3000))[0]);
    expect(wire.drops.get(DropReason.LimitFragments)).toBe(24);
    reassembly.expire(1e6, () => undefined);
    expect(wire.stack.statistics().memoryInUse).toBe(held);
  });

  it("an incomplete datagram times out, with an ICMP error if allowed", () => {
    const [first] = written(pattern(3000));
    const [, second] = written(pattern(3000));
    given(first, 1000);
    given(second, 2000);
    const told: number[] = [];
    const report = ({ offset, length }: { offset: number; length: number }) => {
      expect(parseFrame(frame, offset, length, caches)).toBe(0);
      told.push(frame.transportLength);
    };
    reassembly.expire(60_999, report);
    expect(reassembly.nextAt).toBe(61_000);
    expect(told).toEqual([]);
    reassembly.expire(61_000, report);
    expect(reassembly.nextAt).toBe(62_000);
    reassembly.expire(62_000, report);
    expect(reassembly.nextAt).toBe(NEVER);
    // Only one has its first fragment, which the error quotes.
    expect(told).toEqual([first.length - 14 - (family === 4 ? 20 : 48)]);
    expect(frame.moreFragments).toBe(true);
    expect(wire.drops.get(DropReason.IpFragmentTimeout)).toBe(2);
  });

  it("a datagram longer than its header can express is discarded", () => {
    const frames = written(pattern(65_507));
    const last = frames[frames.length - 1];
    expect(given(shifted(last, 16))).toBeNull();
    expect(wire.drops.get(DropReason.IpBadFragment)).toBe(1);
  });

  /** The fragment at another offset, with correct checksums. */
  function shifted(bytes: Uint8Array, by: number): Uint8Array {
    const moved = bytes.slice();
    const view = new DataView(moved.buffer);
    if (family === 6) {
      view.setUint16(56, view.getUint16(56) + by);
      return moved;
    }
    view.setUint16(20, view.getUint16(20) + by / 8);
    const sum = view.getUint16(24) - by / 8;
    view.setUint16(24, sum < 0 ? sum - 1 : sum);
    return moved;
  }
});
