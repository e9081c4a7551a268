import fc from "fast-check";
import { expect, it } from "vitest";
import { ReplayWindow } from "../../src/wireguard/replay.js";

it("a window takes each counter once, in order or not", () => {
  const window = new ReplayWindow();
  expect([0, 0, 2, 1, 1, 2, 63, 64, 62].map((counter) => window.accept(counter))).toEqual([
    ...[true, false, true, true, false, false, true, true, true],
  ]);
});

it("a window knows the last 8,160 counters, and takes no older one", () => {
  const window = new ReplayWindow();
  expect(window.accept(100_000)).toBe(true);
  expect(window.accept(100_000 - 8_159)).toBe(true);
  expect(window.accept(100_000 - 8_160)).toBe(false);
  expect(window.accept(100_000 - 8_159)).toBe(false);
});

it("a window moves by any distance, up to the greatest counter", () => {
  const window = new ReplayWindow();
  const greatest = 2 ** 53 - 1;
  expect(
    [5, 4_000_000_000, 2 ** 40, greatest, greatest, 2 ** 40, greatest - 5].map((it) =>
      window.accept(it),
    ),
  ).toEqual([...[true, true, true, true, false, false, true]]);
});

it("a window never takes a counter twice, and refuses none of the last 8,000 that is new", () => {
  const step = fc.oneof(fc.integer({ min: -9_000, max: 9_000 }), fc.integer({ min: -40, max: 70 }));
  const property = fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
    const window = new ReplayWindow();
    const taken = new Set<number>();
    let counter = 20_000;
    let greatest = -1;
    for (const by of steps) {
      counter = Math.max(0, counter + by);
      const isNew = window.accept(counter);
      if (taken.has(counter)) expect(isNew).toBe(false);
      else if (greatest - counter < 8_000) expect(isNew).toBe(true);
      if (isNew) taken.add(counter);
      greatest = Math.max(greatest, counter);
    }
  });
  fc.assert(property);
});
