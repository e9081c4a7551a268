import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Uploads } from "../../src/engine/engine.js";
import { drain } from "../../src/loop/drain.js";

let uploads: Uploads;
let drainedAt: number | null;
let start: number;

beforeEach(() => {
  vi.useFakeTimers();
  start = Date.now();
  vi.spyOn(process, "uptime").mockImplementation(() => (Date.now() - start) / 1_000);
  drainedAt = null;
});

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** @param step changes what is under way, each 50 ms */
async function drainWith(first: Uploads, step: () => void): Promise<number | null> {
  uploads = first;
  drain(
    () => uploads,
    2_000,
    () => {
      drainedAt = Date.now() - start;
    },
  );
  for (let time = 0; time < 3_000; time += 50) {
    await vi.advanceTimersByTimeAsync(50);
    step();
  }
  return drainedAt;
}

test("a drain ends at its first look when nothing is open, and not before", async () => {
  expect(await drainWith({ open: 0, blocked: false, sent: 7 }, () => {})).toBe(5);
});

test("a drain waits until connections that move have ended", async () => {
  const ended = await drainWith({ open: 1, blocked: false, sent: 0 }, () => {
    uploads.sent += 1;
    if (uploads.sent === 20) uploads.open = 0;
  });
  expect(ended).toBe(1_005);
});

test("a drain does not wait for a connection that is silent for longer than a retransmission takes", async () => {
  const ended = await drainWith({ open: 1, blocked: false, sent: 0 }, () => {});
  expect(ended).toBeGreaterThan(200);
  expect(ended).toBeLessThan(300);
});

test("a drain waits for a connection whose host takes nothing, but not longer than the limit", async () => {
  expect(await drainWith({ open: 1, blocked: true, sent: 0 }, () => {})).toBe(2_000);
});
