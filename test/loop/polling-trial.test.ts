import { expect, test } from "vitest";
import { PollingTrial } from "../../src/loop/polling-trial.js";

let now = 0;

/** Wake-ups for 20 s, each after this many µs; returns the part of that time in which it polled. */
function partPolled(trial: PollingTrial, polling: number, sleeping: number): number {
  const start = now;
  let polled = 0;
  while (now < start + 20e6) {
    const step = trial.isPolling ? polling : sleeping;
    if (trial.isPolling) polled += step;
    now += step;
    trial.note(Math.floor(now / 1000));
  }
  return polled / (now - start);
}

test("it polls most of the time if that makes wake-ups faster", () => {
  expect(partPolled(new PollingTrial(), 25, 45)).toBeGreaterThan(0.85);
});

test("it rarely polls if that makes them slower", () => {
  expect(partPolled(new PollingTrial(), 14, 6)).toBeLessThan(0.2);
});

test("it notices when that changes", () => {
  const trial = new PollingTrial();
  partPolled(trial, 14, 6);
  expect(partPolled(trial, 25, 45)).toBeGreaterThan(0.7);
  expect(partPolled(trial, 14, 6)).toBeLessThan(0.3);
});
