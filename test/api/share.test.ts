import { describe, expect, test } from "vitest";
import { Share } from "../../src/api/share.js";

/** Passes so many milliseconds as a client would that is served. */
function work(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

describe("what clients may have of the loop's time", () => {
  test("is a millisecond of a wake-up, and as much of the next", () => {
    const loop = { wakes: 1, carriesBulk: false };
    const share = new Share(loop);
    expect(share.begin()).toBe(true);
    expect(share.isOver).toBe(false);
    work(1);
    expect(share.isOver).toBe(true);
    expect(share.end()).toBe(0);
    expect(share.begin()).toBe(false);
    loop.wakes = 2;
    expect(share.begin()).toBe(true);
  });

  test("is a tenth in all while packets come in bulk", () => {
    const share = new Share({ wakes: 1, carriesBulk: true });
    expect(share.begin()).toBe(true);
    work(0.5);
    const rest = share.end();
    expect(rest).toBeGreaterThanOrEqual(0.5 * 9);
    expect(share.begin()).toBe(false);
    work(rest);
    expect(share.begin()).toBe(true);
  });

  test("comes back soon, however long a stretch has taken", () => {
    const share = new Share({ wakes: 1, carriesBulk: true });
    share.begin();
    work(30);
    expect(share.end()).toBe(20);
  });
});
