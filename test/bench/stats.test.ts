import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { median, quantile, ratio, spread } from "../../bench/stats.ts";

const values = fc.array(fc.double({ min: -1e12, max: 1e12, noNaN: true }), { minLength: 1 });

describe("median", () => {
  it.each([
    [[7], 7],
    [[9, 1, 5], 5],
    [[4, 1, 3, 2], 2.5],
    [[1, 1000, 2, 3, 1000], 3],
    [[-0, 0, -1], 0],
  ])("of %j is %d", (numbers, expected) => {
    expect(median(numbers)).toBe(expected);
  });

  it("has as many values at or below as at or above it, in any order", () => {
    fc.assert(
      fc.property(values, (numbers) => {
        const middle = median(numbers);
        const below = numbers.filter((n) => n <= middle).length;
        const above = numbers.filter((n) => n >= middle).length;
        expect(Math.min(below, above)).toBeGreaterThanOrEqual(numbers.length / 2);
        expect(median(numbers.toReversed())).toBe(middle);
      }),
    );
  });

  it("leaves the order of its values alone", () => {
    const numbers = [3, 1, 2];
    median(numbers);
    expect(numbers).toEqual([3, 1, 2]);
  });

  it("refuses nothing", () => {
    expect(() => median([])).toThrow(RangeError);
  });
});

describe("quantile", () => {
  it.each([
    [[7], 0.99, 7],
    [[3, 1, 2], 0.5, 2],
    [[4, 3, 2, 1], 0.5, 2],
    [Array.from({ length: 100 }, (_, i) => 100 - i), 0.99, 99],
    [Array.from({ length: 101 }, (_, i) => i), 0.99, 99],
  ])("of %j at %d is %d", (numbers, part, expected) => {
    expect(quantile(numbers, part)).toBe(expected);
  });
});

describe("spread", () => {
  it("is the median between the extremes", () => {
    expect(spread([3, 10, 1])).toEqual({ median: 3, min: 1, max: 10, count: 3 });
  });
});

describe("ratio", () => {
  it.each([
    [12, 4, 3],
    [1, 4, 0.25],
    [5, 0, Number.POSITIVE_INFINITY],
    [0, 0, 1],
    [0, 5, 0],
  ])("of %d to %d is %d", (value, base, expected) => {
    expect(ratio(value, base)).toBe(expected);
  });
});
