import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { TimeShare } from "../../src/api/time-share.js";

/** The clock of src/base/clock.ts, in ms: a machine that is busy would pass time of its own. */
let now = 0;

beforeEach(() => {
  now = 1_000;
  vi.spyOn(process, "uptime").mockImplementation(() => now / 1000);
});
afterEach(() => vi.restoreAllMocks());

/** Spends this many milliseconds as a served client would. */
function work(ms: number): void {
  now += ms;
}

describe("API clients' share of the loop's time", () => {
  test("is a millisecond of each wake-up", () => {
    const loop = { wakes: 1, carriesBulk: false };
    const share = new TimeShare(loop);
    expect(share.begin()).toBe(true);
    expect(share.isOver).toBe(false);
    work(1.5);
    expect(share.isOver).toBe(true);
    expect(share.end()).toBe(0);
    expect(share.begin()).toBe(false);
    loop.wakes = 2;
    expect(share.begin()).toBe(true);
  });

  test("is a tenth while packets come in bulk", () => {
    const share = new TimeShare({ wakes: 1, carriesBulk: true });
    expect(share.begin()).toBe(true);
    work(0.5);
    const rest = share.end();
    expect(rest).toBeCloseTo(0.5 * 9);
    expect(share.begin()).toBe(false);
    work(rest + 0.01);
    expect(share.begin()).toBe(true);
  });

  test("recovers soon, however long one turn has taken", () => {
    const share = new TimeShare({ wakes: 1, carriesBulk: true });
    share.begin();
    work(30);
    expect(share.end()).toBe(20);
  });
});
