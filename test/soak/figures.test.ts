import { expect, test } from "vitest";
import { grown, type Sample } from "./figures.ts";

const sample: Sample = {
  at: 0,
  resting: true,
  descriptors: 30,
  privateKiB: 20_000,
  residentKiB: 90_000,
  stackMemory: 700_000,
  flows: 0,
  hostSockets: 0,
  mappings: 5,
  wakeupsPerSecond: 2,
  bytes: 0,
  datagramsLost: 0,
};

/** Nine samples at rest; `change` modifies the later ones. */
const over = (change: (index: number) => Partial<Sample>) =>
  Array.from({ length: 9 }, (_, index) => ({ ...sample, at: 30 * index, ...change(index) }));

test("steady figures are flat, and so is growth that mappings and lost datagrams explain", () => {
  expect(grown(over(() => ({})))).toEqual([]);
  expect(grown(over((i) => ({ descriptors: 30 + i, mappings: 5 + i })))).toEqual([]);
  const waiting = { stackMemory: 700_000 + 2 * 66 * 1024, datagramsLost: 2 };
  expect(grown(over((i) => (i > 5 ? waiting : {})))).toEqual([]);
  expect(grown(over((i) => ({ resting: i % 2 === 0, flows: i % 2 })))).toEqual([]);
});

test.for<[string, (index: number) => Partial<Sample>]>([
  ["descriptors", (i) => ({ descriptors: 30 + i })],
  ["the stack's memory", (i) => ({ stackMemory: 700_000 + 67_584 * i })],
  ["private memory", (i) => ({ privateKiB: 20_000 + 4_000 * i })],
  ["wake-ups", (i) => ({ wakeupsPerSecond: 2 + 10 * i })],
  ["at 240 s", (i) => ({ flows: i === 8 ? 1 : 0 })],
])("growing %s are reported", ([what, change]) => {
  const complaints = grown(over(change));
  expect(complaints).toHaveLength(1);
  expect(complaints[0]).toContain(what);
});
