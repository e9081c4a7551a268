import { expect, it } from "vitest";
import { Address } from "../../src/base/address.js";
import { addToSum, isIntact, pseudoHeaderSum } from "../../src/wire/checksum.js";
import { emitBareAck } from "../../src/wire/tcp.js";

it.each([
  ["192.0.2.1", "198.51.100.2"],
  ["2001:db8::1", "2001:db8::2"],
])("a bare ACK from %s to %s is a header with a valid checksum", (from, to) => {
  const [source, destination] = [Address.parse(from), Address.parse(to)];
  if (source === null || destination === null) throw new Error("not addresses");
  const bytes = new Uint8Array(23).fill(0xff);
  expect(emitBareAck(bytes, 3, source, 443, destination, 40_000)).toBe(20);
  const segment = bytes.subarray(3);
  const ports = [0x01, 0xbb, 0x9c, 0x40];
  expect([...segment.subarray(0, 16)]).toEqual([
    ...ports,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0,
    0x50,
    0x10,
    0,
    0,
  ]);
  const sum = addToSum(pseudoHeaderSum(source, destination, 6, 20), segment, 0, 20);
  expect(isIntact(sum)).toBe(true);
});
