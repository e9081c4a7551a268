import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Address } from "../../src/base/address.js";
import { addToSum, complement, isIntact, pseudoHeaderSum } from "../../src/wire/checksum.js";
import { anyAddress, families } from "../base/arbitraries.js";
import { linuxFrame } from "./captures.js";

/** RFC 1071 by the letter: 16-bit words, end-around carry after each. */
function referenceSum(bytes: Uint8Array): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) {
    sum += bytes[at] * 256 + (bytes[at + 1] ?? 0);
    if (sum > 0xffff) sum -= 0xffff;
  }
  return sum;
}

const pieces = fc.array(fc.uint8Array({ maxLength: 70 }), { maxLength: 6 });

describe("addToSum", () => {
  it("computes the example of RFC 1071", () => {
    const bytes = Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7);
    expect(addToSum(0, bytes, 0, bytes.length)).toBe(0xddf2);
  });

  it("sums a message in pieces of any length, at any offset", () => {
    fc.assert(
      fc.property(pieces, fc.nat(3), (parts, offset) => {
        const whole = Uint8Array.from(parts.flatMap((part) => [...part]));
        const shifted = new Uint8Array(offset + whole.length + 1).fill(0xff);
        shifted.set(whole, offset);
        let sum = 0;
        let at = 0;
        for (const { length } of parts) {
          sum = addToSum(sum, shifted, offset + at, length, at % 2 === 0 ? 0 : 1);
          at += length;
        }
        expect(sum).toBe(referenceSum(whole));
      }),
    );
  });

  it.each([0x1_0000, 0x2_0000])("does not overflow on %i bytes of ones", (length) => {
    const bytes = new Uint8Array(length).fill(0xff);
    expect(addToSum(0xffff, bytes, 0, length)).toBe(0xffff);
    expect(addToSum(0xffff, bytes, 0, length - 1)).toBe(0xff00);
  });

  it("makes a message verify once its complement is written", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 2, maxLength: 99 }), (bytes) => {
        bytes.fill(0, 0, 2);
        const checksum = complement(addToSum(0, bytes, 0, bytes.length));
        bytes.set([checksum >> 8, checksum & 0xff]);
        expect(isIntact(addToSum(0, bytes, 0, bytes.length))).toBe(true);
      }),
    );
  });
});

describe("pseudoHeaderSum", () => {
  it("is the sum over the bytes of the pseudo-header", () => {
    const pair = families.chain((family) => fc.tuple(anyAddress(family), anyAddress(family)));
    fc.assert(
      fc.property(pair, fc.nat(0xff), fc.nat(0xffff), ([source, destination], protocol, length) => {
        const { length: size } = source;
        const bytes = new Uint8Array(2 * size + 4);
        source.write(bytes, 0);
        destination.write(bytes, size);
        bytes.set([0, protocol, length >> 8, length & 0xff], 2 * size);
        expect(pseudoHeaderSum(source, destination, protocol, length) % 0xffff).toBe(
          referenceSum(bytes) % 0xffff,
        );
      }),
    );
  });

  it("completes the UDP checksums of a Linux kernel", () => {
    const near = Address.read(linuxFrame(24), 26, 4);
    const far = Address.read(linuxFrame(24), 30, 4);
    const pseudo = pseudoHeaderSum(near, far, 17, 13);
    expect(isIntact(addToSum(pseudo, linuxFrame(24), 34, 13))).toBe(true);
  });
});
