import { afterEach, describe, expect, it } from "vitest";
import { Address } from "../../src/base/address.js";
import { DropReason } from "../../src/base/drop.js";
import { DEFAULT_TIMEOUTS } from "../../src/config/guest-config.js";
import { UdpProtocol } from "../../src/datagram/udp.js";
import { createAddressCaches, Frame, parseFrame } from "../../src/wire/frame.js";
import { IpProtocol } from "../../src/wire/ip.js";
import { udpChecksumIsRight } from "../../src/wire/udp.js";
import {
  createVnetHeader,
  parseVnet,
  VNET_HEADER_LENGTH,
  VnetFlags,
  VnetGso,
} from "../../src/wire/vnet.js";
import { Wire } from "./wire.js";

const caches = createAddressCaches();
const ends = {
  4: ["203.0.113.1", "10.0.2.100"],
  6: ["2001:db8::1", "fd00::64"],
} as const;

function vnetOf(bytes: Uint8Array) {
  const header = createVnetHeader();
  parseVnet(bytes, 0, header);
  return header;
}

function parsed(bytes: Uint8Array, headroom: number): Frame {
  const frame = new Frame(bytes);
  expect(parseFrame(frame, headroom, bytes.length - headroom, caches)).toBe(0);
  return frame;
}

describe.each([4, 6] as const)("to a guest by IPv%i", (family) => {
  let wire: Wire;
  afterEach(() => wire.close());

  const [source, destination] = ends[family].map((text) => Address.parse(text) as Address);
  const fields = { mac: 0x0200_0000_0001, protocol: IpProtocol.Udp };
  const envelope = { ...fields, source, destination, hopLimit: 17, trafficClass: 0xb9 };
  const headers = 14 + (family === 4 ? 20 : 40) + 8;

  function payload(length: number): number {
    const buffer = wire.stack.takeBuffer();
    for (let at = 0; at < length; at += 1) wire.stack.bytes[buffer + at] = at % 251;
    return buffer;
  }

  function framesWritten(): Uint8Array[] {
    const frames: Uint8Array[] = [];
    for (let next = wire.read(); next !== null; next = wire.read()) frames.push(next);
    return frames;
  }

  it("a datagram has the fields of its envelope, and its kernel completes the checksum", () => {
    wire = new Wire(1500, true);
    wire.writer.writeDatagram(envelope, 53, 4000, payload(100), 100, 0);
    const [bytes] = framesWritten();
    const udp = headers - 8;
    expect(vnetOf(bytes)).toMatchObject({
      vnetFlags: VnetFlags.NeedsChecksum,
      gsoType: VnetGso.None,
      gsoSize: 0,
      checksumStart: udp,
      checksumOffset: 6,
    });
    const frame = parsed(bytes, VNET_HEADER_LENGTH);
    expect(frame).toMatchObject({ hopLimit: 17, trafficClass: 0xb9, payloadLength: 100 });
    expect(frame).toMatchObject({ sourcePort: 53, destinationPort: 4000 });
    expect(frame.source.equals(source) && frame.destination.equals(destination)).toBe(true);
  });

  it("a batch leaves as one frame", () => {
    wire = new Wire(1500, true);
    wire.writer.writeDatagram(envelope, 53, 4000, payload(3000), 3000, 1400);
    const frames = framesWritten();
    expect(frames).toHaveLength(1);
    expect(vnetOf(frames[0])).toMatchObject({ gsoType: VnetGso.UdpL4, gsoSize: 1400 });
    expect(vnetOf(frames[0]).headersLength).toBe(headers);
    expect(parsed(frames[0], VNET_HEADER_LENGTH).payloadLength).toBe(3000);
  });

  it("pieces are gathered in order", () => {
    wire = new Wire(1500, true);
    const [first, second] = [payload(700), payload(300)];
    wire.writer.setPiece(0, first, 700);
    wire.writer.setPiece(1, second, 300);
    expect(wire.writer.writeGathered(envelope, 53, 4000, 2, 1000, 700)).toBe(true);
    const [bytes] = framesWritten();
    const { bytes: memory } = wire.stack;
    const both = [...memory.slice(first, first + 700), ...memory.slice(second, second + 300)];
    expect([...bytes.slice(VNET_HEADER_LENGTH + headers)]).toEqual(both);
  });

  it.each([
    ["without a virtio header", 1500, false, [1400, 1400, 200]],
    ["to a smaller MTU", 1280, true, null],
  ] as const)("a batch is split %s", (_, mtu, offload, lengths) => {
    wire = new Wire(mtu, offload);
    wire.writer.writeDatagram(envelope, 53, 4000, payload(3000), 3000, 1400);
    const headroom = offload ? VNET_HEADER_LENGTH : 0;
    const frames = framesWritten().map((bytes) => parsed(bytes, headroom));
    if (lengths === null) {
      // Two fragments for each of the long ones.
      expect(frames.map(({ isFragment }) => isFragment)).toEqual([true, true, true, true, false]);
      return;
    }
    expect(frames.map(({ payloadLength }) => payloadLength)).toEqual(lengths);
    for (const frame of frames) expect(udpChecksumIsRight(frame.bytes, frame)).toBe(true);
  });

  it("the guest's checksum is verified unless its kernel vouches for it", () => {
    wire = new Wire(1500, false);
    wire.writer.writeDatagram(envelope, 53, 4000, payload(99), 99, 0);
    const [bytes] = framesWritten();
    const udp = new UdpProtocol(false, DEFAULT_TIMEOUTS);
    expect(udp.check(parsed(bytes, 0), false)).toBe(0);
    bytes[headers + 50] ^= 1;
    expect(udp.check(parsed(bytes, 0), false)).toBe(DropReason.UdpBadChecksum);
    expect(udp.check(parsed(bytes, 0), true)).toBe(0);
  });
});
