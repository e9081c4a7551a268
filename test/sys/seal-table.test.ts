import { constants } from "node:os";
import { expect, test } from "vitest";
import {
  addSealingKey,
  forgetSealingKey,
  SealTable,
  sealTableSize,
  TAG_LENGTH,
} from "../../src/sys/crypto/aead.js";
import { native } from "../../src/sys/native.js";

test("what a table seals under a counter above 2^32 is opened under that counter alone", () => {
  const buffer = new ArrayBuffer(8192);
  const bytes = new Uint8Array(buffer);
  const memory = native.registerMemory(buffer);
  const layout = { messages: 3, pieces: 2 };
  const [base, plain, sealed, opened] = [100, 2048, 4096, 6144] as const;
  expect(base + sealTableSize(layout)).toBeLessThan(plain);
  const table = new SealTable(buffer, memory, base, layout);
  const key = addSealingKey(new Uint8Array(32).fill(3));
  const counter = 5 * 2 ** 32 + 0xffff_fffe;
  const text = new TextEncoder().encode("a header and a payload");
  bytes.set(text, plain);
  table.setPiece(0, plain, 8);
  table.setPiece(1, plain + 8, text.length - 8);
  table.describeSeal(0, key, counter, 0, 2, 2, sealed);
  expect(table.seal(1)).toBe(1);
  const length = table.result(0);
  expect(length).toBe(text.length + 2 + TAG_LENGTH);
  for (const [index, each] of [counter + 1, counter - 2 ** 32, counter].entries()) {
    table.describeOpen(index, key, each, sealed, length, opened + 256 * index);
  }
  expect(table.open(3)).toBe(3);
  const refused = -constants.errno.EBADMSG;
  expect([0, 1, 2].map((index) => table.result(index))).toEqual([refused, refused, 24]);
  const back = new TextDecoder().decode(bytes.slice(opened + 512, opened + 512 + 24));
  expect(back).toBe("a header and a payload\0\0");
  expect([forgetSealingKey(key), table.open(3)]).toEqual([0, -constants.errno.ENOENT]);
  native.unregisterMemory(memory);
});
