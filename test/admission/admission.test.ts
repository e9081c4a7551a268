import { describe, expect, test } from "vitest";
import { Admission } from "../../src/admission/admission.js";
import { BulkMeter } from "../../src/admission/bulk-meter.js";

const KIBIBYTE = 1024;
/** Flows per second, and the tenth of them that may begin at once. */
const MOST = 100;
const BURST = 10;

/** How many of `wanted` flows may begin at `now`. */
function taken(admission: Admission, now: number, wanted = 1_000): number {
  let count = 0;
  while (count < wanted && admission.take(now)) count += 1;
  return count;
}

describe("without bulk", () => {
  test("a tenth of a second's budget may begin at once, then the rate applies", () => {
    const admission = new Admission(MOST, new BulkMeter());
    expect(taken(admission, 0)).toBe(BURST);
    expect(taken(admission, 50)).toBe(5);
    expect(taken(admission, 10_000)).toBe(BURST);
  });

  test("at least one may begin, however low the rate", () => {
    const admission = new Admission(1, new BulkMeter());
    expect(taken(admission, 0)).toBe(1);
    expect(taken(admission, 999)).toBe(0);
    expect(taken(admission, 1_000)).toBe(1);
  });

  test("those that succeed are not counted", () => {
    const admission = new Admission(1, new BulkMeter());
    for (let count = 0; count < 1_000; count += 1) {
      expect(admission.take(0)).toBe(true);
      admission.giveBack();
    }
    expect(admission.take(0)).toBe(true);
    expect(admission.take(0)).toBe(false);
  });
});

describe("during bulk", () => {
  /** An admission whose guest has just begun to move bulk. */
  function bulky(now: number): { bulk: BulkMeter; admission: Admission } {
    const bulk = new BulkMeter();
    const admission = new Admission(MOST, bulk);
    expect(taken(admission, now)).toBe(BURST);
    bulk.note(64 * KIBIBYTE, now);
    // Bytes moved before the bulk began do not count.
    expect(admission.take(now)).toBe(false);
    return { bulk, admission };
  }

  test("one may begin for each 512 KiB moved", () => {
    const { bulk, admission } = bulky(0);
    bulk.note(512 * KIBIBYTE, 50);
    expect(taken(admission, 50)).toBe(1);
    bulk.note(256 * KIBIBYTE, 100);
    expect(taken(admission, 100)).toBe(0);
    bulk.note(256 * KIBIBYTE, 150);
    expect(taken(admission, 150)).toBe(1);
  });

  test("no more may begin than without it", () => {
    const { bulk, admission } = bulky(0);
    bulk.note(1_024 * 1_024 * KIBIBYTE, 50);
    expect(taken(admission, 50)).toBe(5);
  });

  test("those that succeed are counted, too", () => {
    const { bulk, admission } = bulky(0);
    bulk.note(512 * KIBIBYTE, 50);
    expect(admission.take(50)).toBe(true);
    admission.giveBack();
    expect(admission.take(50)).toBe(false);
  });

  test("the ordinary limit applies again 100 ms after the last of it", () => {
    expect(taken(bulky(1_000).admission, 1_099)).toBe(0);
    const { admission } = bulky(1_000);
    expect(taken(admission, 1_100)).toBe(BURST);
    admission.giveBack();
    expect(taken(admission, 1_100)).toBe(1);
  });
});

describe("a guest moves bulk", () => {
  test("for 100 ms after 64 KiB in one wake-up", () => {
    const bulk = new BulkMeter();
    bulk.note(64 * KIBIBYTE - 1, 0);
    expect(bulk.isBulky(0)).toBe(false);
    bulk.note(64 * KIBIBYTE, 10);
    expect(bulk.isBulky(109)).toBe(true);
    expect(bulk.isBulky(110)).toBe(false);
  });

  test("not after little data in many wake-ups", () => {
    const bulk = new BulkMeter();
    for (let now = 0; now < 1_000; now += 1) bulk.note(32 * KIBIBYTE, now);
    expect(bulk.isBulky(1_000)).toBe(false);
    expect(bulk.moved).toBe(32_000 * KIBIBYTE);
  });
});
