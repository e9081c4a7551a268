import { expect, it } from "vitest";
import { isLater, Timestamps } from "../../src/wireguard/timestamps.js";

it("a timestamp is a label TAI64N of the wall clock", () => {
  // 2^62 + 10 + 1,700,000,000 s, and 250 ms.
  const label = new Timestamps().next(1_700_000_000_250);
  expect(Buffer.from(label).toString("hex")).toBe("400000006553f10a0ee6b280");
});

it("each one is later than the one before, whatever the clock does", () => {
  const timestamps = new Timestamps();
  let last: Uint8Array = new Uint8Array(0);
  for (const wallClock of [1_000, 1_000, 1_000.5, 2_000, 1_999, 0, 1_999_999, 5, 5]) {
    const label = timestamps.next(wallClock);
    expect(isLater(label, last)).toBe(true);
    last = label;
  }
  expect(isLater(last, last)).toBe(false);
});
