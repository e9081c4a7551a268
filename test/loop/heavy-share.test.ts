import { expect, test } from "vitest";
import { HeavyShare } from "../../src/loop/heavy-share.js";

/** Wake-ups for a second in which a heavy guest takes this many ms; returns its part of the time. */
function partServed(share: HeavyShare, took: number, isBeside: (now: number) => boolean): number {
  let served = 0;
  let clock = 0;
  while (clock < 1_000) {
    const now = Math.floor(clock);
    if (isBeside(now)) share.noteModest(now);
    share.begin(now, clock);
    clock += took;
    served += took;
    if (share.end(now, clock)) {
      expect(share.hasRested(clock)).toBe(false);
      clock += share.restLeft(clock);
      expect(share.hasRested(clock)).toBe(true);
    }
  }
  return served / clock;
}

test("a heavy guest gets part of the time beside a light one", () => {
  expect(partServed(new HeavyShare(), 0.01, () => true)).toBeCloseTo(0.3, 1);
  expect(partServed(new HeavyShare(), 0.2, () => true)).toBeCloseTo(0.3, 1);
});

test("it gets all of it without a light one, and after it", () => {
  expect(partServed(new HeavyShare(), 0.01, () => false)).toBe(1);
  const part = partServed(new HeavyShare(), 0.01, (now) => now < 500);
  expect(part).toBeGreaterThan(0.6);
  expect(part).toBeLessThan(0.7);
});

test("a wake-up during which another process had the processor causes no long pause", () => {
  const share = new HeavyShare();
  share.noteModest(0);
  share.begin(0, 0);
  expect(share.end(0, 40)).toBe(true);
  expect(share.restLeft(40)).toBeLessThan(3);
});

test("time that others spend on heavy guests counts as theirs", () => {
  const share = new HeavyShare();
  share.noteModest(0);
  share.spend(1);
  share.begin(0, 1);
  expect(share.end(0, 1)).toBe(true);
});

test("a guest stays heavy for some ms after it was served", () => {
  const share = new HeavyShare();
  expect(share.isFlooded(0)).toBe(false);
  share.begin(10, 10);
  expect(share.isFlooded(14)).toBe(true);
  expect(share.isFlooded(15)).toBe(false);
});
