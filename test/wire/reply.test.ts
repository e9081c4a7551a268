import { describe, expect, it } from "vitest";
import { Address } from "../../src/base/address.js";
import { IcmpError, icmpChecksumIsRight } from "../../src/wire/icmp.js";
import {
  emitIcmpErrorFrame,
  icmpErrorFrameLength,
  mayCauseIcmpError,
} from "../../src/wire/reply.js";
import { linuxFrame } from "./captures.js";
import { parseOk, patched } from "./parsing.js";

function errorAbout(
  bytes: Uint8Array,
  error: IcmpError,
  from: Address | null = null,
  mtu = 0,
): Uint8Array {
  const cause = parseOk(bytes);
  const frame = new Uint8Array(icmpErrorFrameLength(cause));
  const length = emitIcmpErrorFrame(
    frame,
    0,
    cause,
    error[cause.family],
    from ?? cause.destination,
    { mtu, hopLimit: 64 },
  );
  expect(length).toBe(frame.length);
  return frame;
}

describe("emitIcmpErrorFrame", () => {
  it.each([
    [24, 25],
    [26, 27],
    [28, 29],
  ])("answers frame %i as the kernel did in frame %i", (cause, answer) => {
    const ours = parseOk(errorAbout(linuxFrame(cause), IcmpError.PortUnreachable));
    const kernels = parseOk(linuxFrame(answer));
    expect(ours.bytes.subarray(0, 14)).toEqual(kernels.bytes.subarray(0, 14));
    expect(ours.bytes.subarray(ours.transportOffset)).toEqual(
      kernels.bytes.subarray(kernels.transportOffset),
    );
    expect([ours.source, ours.destination]).toEqual([kernels.source, kernels.destination]);
    expect(ours.hopLimit).toBe(kernels.hopLimit);
  });

  it("quotes as much of a long packet as fits", () => {
    const long = parseOk(errorAbout(linuxFrame(12), IcmpError.HopLimitExceeded));
    expect(long).toMatchObject({ packetLength: 576, icmpType: 11, icmpCode: 0 });
    expect(icmpChecksumIsRight(long.bytes, long)).toBe(true);
    const long6 = parseOk(errorAbout(linuxFrame(18), IcmpError.HopLimitExceeded));
    expect(long6).toMatchObject({ packetLength: 1280, icmpType: 3, icmpCode: 0 });
    expect(icmpChecksumIsRight(long6.bytes, long6)).toBe(true);
  });

  it.each([
    [24, "198.51.100.254", { icmpType: 3, icmpCode: 4, identifier: 0, sequence: 1400 }],
    [26, "2001:db8::fe", { icmpType: 2, icmpCode: 0, identifier: 0, sequence: 1400 }],
  ])("reports the MTU to the sender of frame %i, from the router", (number, router, expected) => {
    const from = Address.parse(router);
    const frame = parseOk(errorAbout(linuxFrame(number), IcmpError.PacketTooBig, from, 1400));
    expect(frame).toMatchObject(expected);
    expect(frame.source).toEqual(from);
  });
});

describe("mayCauseIcmpError", () => {
  it.each([24, 26, 3, 8, 12, 18])("frame %i may", (number) => {
    expect(mayCauseIcmpError(parseOk(linuxFrame(number)))).toBe(true);
  });

  it.each<[string, Uint8Array]>([
    ["an error", linuxFrame(25)],
    ["an ICMPv6 error", linuxFrame(27)],
    ["a later fragment", linuxFrame(13)],
    ["a later IPv6 fragment", linuxFrame(19)],
    ["a frame to a group", patched(linuxFrame(24), { 0: 0x01 })],
    ["a packet to an IPv6 group", patched(linuxFrame(26), { 38: 0xff, 39: 0x02 })],
  ])("%s may not", (_what, bytes) => {
    expect(mayCauseIcmpError(parseOk(bytes))).toBe(false);
  });
});
