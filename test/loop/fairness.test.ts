import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Fairness } from "../../src/loop/fairness.js";
import type { Served } from "../../src/loop/served.js";

/** The clock while a wake-up lasts, in ms. */
let clock = 0;

beforeEach(() => {
  clock = 1_000;
  vi.spyOn(process, "uptime").mockImplementation(() => clock / 1_000);
});

afterEach(() => vi.restoreAllMocks());

class FakeServed {
  isUp = true;
  isGone = false;
  wanted = true;
  readonly isHeavy: boolean;
  readonly guest;

  constructor(isHeavy: boolean) {
    this.isHeavy = isHeavy;
    this.guest = {
      isHeavy,
      isModest: () => !isHeavy,
      setTapWanted: (wanted: boolean) => {
        this.wanted = wanted;
      },
    };
  }
}

/** A guest that sends much and one that sends little; reading a TAP takes 0.1 ms. */
function withTwo(): { fairness: Fairness; heavy: FakeServed; modest: FakeServed; read: unknown[] } {
  const read: unknown[] = [];
  const fairness = new Fairness((served) => {
    read.push(served);
    clock += 0.1;
  });
  return { fairness, heavy: new FakeServed(true), modest: new FakeServed(false), read };
}

function wake(fairness: Fairness, ...senders: readonly FakeServed[]): void {
  const now = Math.floor(clock);
  fairness.beginWake();
  for (const sender of senders) {
    fairness.note(sender.isHeavy ? 1 : 2, now);
    fairness.onTap(sender as unknown as Served, now);
  }
  fairness.readHeavy(now);
  fairness.endWake(now);
}

test("a heavy guest's TAP is read after the others", () => {
  const { fairness, heavy, modest, read } = withTwo();
  wake(fairness, heavy, modest);
  wake(fairness, heavy, modest);
  expect(read.slice(2)).toEqual([modest, heavy]);
});

test("a heavy guest rests beside one that sends little, and its TAP is watched again after that", () => {
  const { fairness, heavy, modest } = withTwo();
  expect(fairness.limitWait(1_000)).toBe(1_000);
  for (let turn = 0; turn < 3; turn += 1) wake(fairness, modest, heavy);
  expect(heavy.wanted).toBe(false);
  expect(modest.wanted).toBe(true);
  const rest = fairness.limitWait(1_000);
  expect(rest).toBeGreaterThan(0.1);
  expect(rest).toBeLessThan(1);
  expect(fairness.limitWait(0)).toBe(0);
  clock += rest + 0.001;
  fairness.beginWake();
  expect(heavy.wanted).toBe(true);
  expect(fairness.limitWait(1_000)).toBe(1_000);
});

test("a heavy guest that is alone is read at once and never rests", () => {
  const { fairness, heavy, read } = withTwo();
  // The first event of all is of another guest than the one before.
  clock += 200;
  for (let turn = 0; turn < 5; turn += 1) wake(fairness, heavy);
  expect(read).toHaveLength(5);
  expect(heavy.wanted).toBe(true);
});

test("a guest that ended in this wake-up is not read, and its TAP not watched again", () => {
  const { fairness, heavy, modest, read } = withTwo();
  for (let turn = 0; turn < 3; turn += 1) wake(fairness, modest, heavy);
  expect(heavy.wanted).toBe(false);
  heavy.isUp = false;
  heavy.isGone = true;
  const before = read.length;
  clock += 5;
  wake(fairness, heavy);
  expect(read).toHaveLength(before);
  expect(heavy.wanted).toBe(false);
});
