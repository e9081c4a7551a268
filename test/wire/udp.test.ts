import { describe, expect, it } from "vitest";
import { addToSum, isIntact, pseudoHeaderSum } from "../../src/wire/checksum.js";
import { emitUdp, writeUdpChecksum } from "../../src/wire/udp.js";
import { linuxFrame } from "./captures.js";
import { parse, parseOk, patched } from "./parsing.js";

describe("parseUdp", () => {
  const four = linuxFrame(24);
  const six = linuxFrame(26);
  const UDP4 = 34;
  const UDP6 = 54;

  it.each<[string, Uint8Array]>([
    ["udp-bad-length", patched(four, { [UDP4 + 5]: 7 })],
    ["udp-bad-length", patched(four, { [UDP4 + 5]: 14 })],
    ["udp-bad-port", patched(four, { [UDP4 + 2]: 0, [UDP4 + 3]: 0 })],
    ["udp-bad-checksum", patched(six, { [UDP6 + 6]: 0, [UDP6 + 7]: 0 })],
    ["udp-truncated", patched(six.subarray(0, UDP6 + 7), { 19: 7 })],
    ["ok", patched(four, { [UDP4 + 6]: 0, [UDP4 + 7]: 0 })],
    ["ok", patched(four, { [UDP4]: 0, [UDP4 + 1]: 0 })],
  ])("%s", (reason, bytes) => {
    expect(parse(bytes).result).toBe(reason);
  });

  it("ignores bytes after the datagram inside the packet", () => {
    expect(parseOk(patched(four, { [UDP4 + 5]: 11 })).payloadLength).toBe(3);
  });
});

describe("emitUdp and writeUdpChecksum", () => {
  it.each([24, 26])("make the datagram of frame %i as the kernel did", (number) => {
    const frame = parseOk(linuxFrame(number));
    const { source, destination, transportOffset, transportLength, payloadLength } = frame;
    const bytes = new Uint8Array(transportLength);
    bytes.set(frame.bytes.subarray(frame.payloadOffset), 8);
    expect(emitUdp(bytes, 0, frame.sourcePort, frame.destinationPort, payloadLength, 0)).toBe(8);
    writeUdpChecksum(bytes, 0, transportLength, source, destination);
    expect(bytes).toEqual(frame.bytes.subarray(transportOffset));
  });

  it("write ffff for a checksum that comes to zero", () => {
    const { source, destination } = parseOk(linuxFrame(24));
    const bytes = new Uint8Array(10);
    emitUdp(bytes, 0, 40001, 9, 2, 0);
    const sum = addToSum(pseudoHeaderSum(source, destination, 17, 10), bytes, 0, 10);
    bytes.set([(0xffff - sum) >> 8, (0xffff - sum) & 0xff], 8);
    writeUdpChecksum(bytes, 0, 10, source, destination);
    expect([...bytes.subarray(6, 8)]).toEqual([0xff, 0xff]);
    const check = addToSum(pseudoHeaderSum(source, destination, 17, 10), bytes, 0, 10);
    expect(isIntact(check)).toBe(true);
  });
});
