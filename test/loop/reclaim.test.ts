import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Reclaimer } from "../../src/loop/reclaim.js";

const { reclaimMemory } = vi.hoisted(() => ({ reclaimMemory: vi.fn() }));

vi.mock("../../src/sys/reclaim.js", () => ({ reclaimMemory }));

beforeEach(() => {
  vi.useFakeTimers();
  reclaimMemory.mockClear();
});

afterEach(() => vi.useRealTimers());

test("memory is given back once, after a second without a wake-up", () => {
  const reclaimer = new Reclaimer();
  const told = vi.fn();
  reclaimer.onReclaimed = told;
  reclaimer.whenQuiet();
  reclaimer.whenQuiet();
  vi.advanceTimersByTime(900);
  reclaimer.onWake();
  vi.advanceTimersByTime(1_000);
  expect(reclaimMemory).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1_000);
  expect(reclaimMemory).toHaveBeenCalledOnce();
  expect(told).toHaveBeenCalledOnce();
  vi.advanceTimersByTime(60_000);
  expect(reclaimMemory).toHaveBeenCalledOnce();
});

test("memory is given back again in the pause after 10,000 wake-ups", () => {
  const reclaimer = new Reclaimer();
  reclaimer.whenQuiet();
  vi.advanceTimersByTime(1_000);
  for (let wake = 1; wake < 10_000; wake += 1) reclaimer.onWake();
  vi.advanceTimersByTime(60_000);
  expect(reclaimMemory).toHaveBeenCalledOnce();
  reclaimer.onWake();
  vi.advanceTimersByTime(1_000);
  expect(reclaimMemory).toHaveBeenCalledTimes(2);
  expect(reclaimer.wakes).toBe(10_000);
});
