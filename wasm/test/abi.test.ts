import { readFileSync } from "node:fs";
import lwip from "lwip-wasm";
import { expect, test } from "vitest";
import * as abi from "../../src/stack/abi.js";

const header = readFileSync(new URL("../src/abi.h", import.meta.url), "utf8");

test("the module exports the calls of index.d.cts and nothing else", () => {
  const declared = readFileSync(new URL("../index.d.cts", import.meta.url), "utf8");
  const names = [...declared.matchAll(/^ {2}(?:readonly )?(\w+)[(:]/gm)].map(([, name]) => name);
  expect(Object.keys(lwip.instantiate(() => 0)).sort()).toEqual(names.sort());
});

test("the constants of TypeScript are those of the header", () => {
  const defined = [...header.matchAll(/^#define ABI_(\w+) \(?(-?\d+)\)?$/gm)].map(
    ([, name, value]) => [name, Number(value)],
  );
  expect(defined.length).toBeGreaterThan(20);
  expect(Object.entries(abi).sort()).toEqual(defined.sort());
});

test("the memory cannot grow, so that its base never moves", () => {
  const { memory } = lwip.instantiate(() => 0) as unknown as {
    memory: { grow(pages: number): void };
  };
  expect(() => memory.grow(1)).toThrow(RangeError);
});
