import { afterEach, beforeEach, expect, test, vi } from "vitest";

vi.mock("node:os", async (original) => ({
  ...(await original<typeof import("node:os")>()),
  availableParallelism: () => 2,
}));

const { Spin } = await import("../../src/loop/spin.js");
const { native } = await import("../../src/sys/native.js");

const told: number[] = [];

beforeEach(() => {
  told.length = 0;
  vi.spyOn(native, "loopSpin").mockImplementation((microseconds) => {
    told.push(microseconds);
    return 0;
  });
});

afterEach(() => vi.restoreAllMocks());

function wake(spin: InstanceType<typeof Spin>, count: number, moved: number, isFlooded = false) {
  for (let index = 0; index < count; index += 1) spin.adapt(moved, 0, isFlooded, 0);
}

test("polling begins after 16 small wake-ups in a row and ends with one that is not small", () => {
  const spin = new Spin();
  wake(spin, 15, 4_096);
  expect([told, spin.carriesBulk]).toEqual([[], true]);
  wake(spin, 5, 4_096);
  expect([told, spin.carriesBulk]).toEqual([[50], false]);
  wake(spin, 1, 4_097);
  expect([told, spin.carriesBulk]).toEqual([[50, 0], true]);
});

test("nobody polls beside heavy guests", () => {
  const spin = new Spin();
  wake(spin, 40, 100, true);
  expect(told).toEqual([]);
  wake(spin, 1, 100);
  expect(told).toEqual([50]);
  wake(spin, 1, 100, true);
  expect(told).toEqual([50, 0]);
});

test("between members polling stops for a trial of the other way, and goes on when frames cross no more", () => {
  const spin = new Spin();
  for (let index = 0; index < 2_048; index += 1) spin.adapt(0, 100, false, index);
  expect(told).toEqual([50, 0]);
  wake(spin, 16, 100);
  expect(told).toEqual([50, 0, 50]);
});
