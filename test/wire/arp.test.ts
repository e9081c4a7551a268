import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ARP_LENGTH, emitArp, parseArp } from "../../src/wire/arp.js";
import { anyAddress, macs } from "../base/arbitraries.js";
import { linuxFrame } from "./captures.js";
import { guarded, patched } from "./parsing.js";

const request = linuxFrame(1).subarray(14);

describe("ARP", () => {
  it("reads requests and replies of a Linux kernel", () => {
    const [question, answer] = [1, 2].map((number) => parseArp(linuxFrame(number), 14, 28));
    expect(question).toMatchObject({ operation: 1, senderMac: 0x02_00_00_00_00_0a, targetMac: 0 });
    expect(answer).toMatchObject({ operation: 2, senderMac: 0x02_00_00_00_00_0b });
    expect(`${question?.targetAddress} ${answer?.senderAddress}`).toBe("198.51.100.2 198.51.100.2");
  });

  it("emits what it was given, and parses what it emitted", () => {
    const message = fc.record({
      operation: fc.nat(0xffff),
      senderMac: macs,
      senderAddress: anyAddress(4),
      targetMac: macs,
      targetAddress: anyAddress(4),
    });
    fc.assert(
      fc.property(message, fc.nat(3), (original, offset) => {
        const bytes = new Uint8Array(offset + ARP_LENGTH);
        expect(emitArp(bytes, offset, original)).toBe(ARP_LENGTH);
        expect(parseArp(bytes, offset, ARP_LENGTH)).toEqual(original);
      }),
    );
  });

  it("emits the bytes of a Linux kernel", () => {
    const bytes = new Uint8Array(ARP_LENGTH);
    const message = parseArp(request, 0, request.length);
    if (message === null) throw new Error("the kernel's request does not parse");
    emitArp(bytes, 0, message);
    expect(bytes).toEqual(request);
  });

  it.each([
    ["another hardware", { 1: 6 }],
    ["another protocol", { 2: 0x86, 3: 0xdd }],
    ["another hardware length", { 4: 8 }],
    ["another protocol length", { 5: 16 }],
  ])("refuses %s", (_what, patches) => {
    expect(parseArp(patched(request, patches), 0, request.length)).toBeNull();
  });

  it("refuses a truncated message", () => {
    expect(parseArp(guarded(request, 0, 27), 0, 27)).toBeNull();
  });
});
