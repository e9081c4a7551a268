import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  composeCaptureStart,
  emitPacketHeader,
  emitPacketTrailer,
  PACKET_HEADER_LENGTH,
  packetTrailerLength,
} from "../../src/wire/pcapng.js";
import { type CapturedPacket, readPcapng } from "./pcapng.js";

const START = {
  application: "a program",
  interfaceName: "tap0",
  interfaceDescription: "a description",
};

/** The block of one packet, as one piece. */
function packetBlock({ time, flags, frame, comments }: CapturedPacket): Uint8Array {
  const texts = comments.map((comment) => Buffer.from(comment));
  const trailer = packetTrailerLength(frame.length, texts);
  const block = new Uint8Array(PACKET_HEADER_LENGTH + frame.length + trailer).fill(0xff);
  const view = new DataView(block.buffer);
  emitPacketHeader(view, 0, time, frame.length, trailer);
  block.set(frame, PACKET_HEADER_LENGTH);
  const at = PACKET_HEADER_LENGTH + frame.length;
  expect(emitPacketTrailer(view, at, frame.length, flags, texts)).toBe(trailer);
  return block;
}

const packet = fc.record({
  time: fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
  flags: fc.integer({ min: 1, max: 0xffff }),
  frame: fc.uint8Array({ maxLength: 70 }),
  comments: fc.array(fc.string({ unit: "grapheme", maxLength: 20 }), { maxLength: 2 }),
});

describe("a capture", () => {
  test("starts with its section and interface, byte for byte", () => {
    const text = (value: string) => Buffer.from(value).toString("hex");
    const words = Buffer.from(composeCaptureStart(START)).toString("hex");
    expect(words).toBe(
      [
        ...["0a0d0d0a", "30000000", "4d3c2b1a", "01000000", "ffffffffffffffff"],
        ...["04000900", text("a program"), "000000", "00000000", "30000000"],
        ...["01000000", "3c000000", "01000000", "00000400", "02000400", text("tap0")],
        ...["03000d00", text("a description"), "000000", "09000100", "06000000", "00000000"],
        "3c000000",
      ].join(""),
    );
  });

  test("contains the packets that were written", () => {
    fc.assert(
      fc.property(fc.array(packet, { maxLength: 5 }), (packets) => {
        const blocks = packets.map(packetBlock);
        const read = readPcapng(Buffer.concat([composeCaptureStart(START), ...blocks]));
        expect(read.interfaceName).toBe(START.interfaceName);
        expect(read.packets).toEqual(packets);
      }),
    );
  });
});
