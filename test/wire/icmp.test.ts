import { describe, expect, it } from "vitest";
import {
  emitEchoReply,
  icmpChecksumIsRight,
  isEchoReply,
  isEchoRequest,
  isIcmpError,
  quotedLength,
  writeIcmpChecksum,
} from "../../src/wire/icmp.js";
import { linuxFrame } from "./captures.js";
import { parse, parseOk, patched } from "./parsing.js";

const UNFRAGMENTED = [3, 4, 5, 6, 7, 8, 9, 10, 11, 25, 27, 29];

describe("ICMP", () => {
  it.each(UNFRAGMENTED)(
    "the checksum of frame %i is right, and wrong when a bit flips",
    (number) => {
      const bytes = linuxFrame(number);
      expect(icmpChecksumIsRight(bytes, parseOk(bytes))).toBe(true);
      const broken = patched(bytes, { [bytes.length - 1]: (bytes.at(-1) ?? 0) ^ 1 });
      expect(icmpChecksumIsRight(broken, parseOk(broken))).toBe(false);
    },
  );

  it("needs its eight bytes", () => {
    const cut = patched(linuxFrame(8).subarray(0, 54 + 7), { 19: 7 });
    expect(parse(cut).result).toBe("icmp-truncated");
  });

  it.each([4, 6, 9, 11])("makes the echo reply of frame %i as the kernel did", (number) => {
    const frame = parseOk(linuxFrame(number));
    const { family, source, destination, transportOffset, transportLength } = frame;
    const bytes = new Uint8Array(transportLength);
    bytes.set(frame.bytes.subarray(frame.payloadOffset), 8);
    expect(emitEchoReply(bytes, 0, family, frame.identifier, frame.sequence)).toBe(8);
    writeIcmpChecksum(bytes, 0, transportLength, source, destination);
    expect(bytes).toEqual(frame.bytes.subarray(transportOffset));
  });

  it("tells echoes, errors and others apart", () => {
    const kinds = UNFRAGMENTED.map((number) => {
      const { family, icmpType } = parseOk(linuxFrame(number));
      if (isEchoRequest(family, icmpType)) return "request";
      if (isEchoReply(family, icmpType)) return "reply";
      return isIcmpError(family, icmpType) ? "error" : "other";
    });
    expect(kinds.join(" ")).toBe(
      "request reply request reply other request reply request reply error error error",
    );
  });

  it("quotes no more than fits 576 and 1280 bytes", () => {
    expect(quotedLength(4, 100, 20)).toBe(100);
    expect(quotedLength(4, 1500, 20)).toBe(576 - 28);
    expect(quotedLength(6, 1500, 40)).toBe(1280 - 48);
  });
});
