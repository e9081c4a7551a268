import { describe, expect, test } from "vitest";
import { Admission, Load } from "../../src/flow/admission.js";

const KIBIBYTE = 1024;
/** A tenth of a second's at once. */
const MOST = 100;
const BURST = 10;

/** How many of `wanted` may begin at once. */
function taken(admission: Admission, now: number, wanted = 1_000): number {
  let count = 0;
  while (count < wanted && admission.take(now)) count += 1;
  return count;
}

describe("while there is no bulk", () => {
  test("a tenth of a second's beginnings come at once, then as many as a second may have", () => {
    const admission = new Admission(MOST, new Load());
    expect(taken(admission, 0)).toBe(BURST);
    expect(taken(admission, 50)).toBe(5);
    expect(taken(admission, 10_000)).toBe(BURST);
  });

  test("one may begin at least, however few may in a second", () => {
    const admission = new Admission(1, new Load());
    expect(taken(admission, 0)).toBe(1);
    expect(taken(admission, 999)).toBe(0);
    expect(taken(admission, 1_000)).toBe(1);
  });

  test("those that prove to be meant are not counted", () => {
    const admission = new Admission(1, new Load());
    for (let count = 0; count < 1_000; count += 1) {
      expect(admission.take(0)).toBe(true);
      admission.giveBack();
    }
    expect(admission.take(0)).toBe(true);
    expect(admission.take(0)).toBe(false);
  });
});

describe("beside bulk", () => {
  /** As if so much were moved in one wake-up. */
  function bulky(now: number): { load: Load; admission: Admission } {
    const load = new Load();
    const admission = new Admission(MOST, load);
    expect(taken(admission, now)).toBe(BURST);
    load.note(64 * KIBIBYTE, now);
    // What was moved before this does not count.
    expect(admission.take(now)).toBe(false);
    return { load, admission };
  }

  test("one may begin for each 512 KiB that is moved", () => {
    const { load, admission } = bulky(0);
    load.note(512 * KIBIBYTE, 50);
    expect(taken(admission, 50)).toBe(1);
    load.note(256 * KIBIBYTE, 100);
    expect(taken(admission, 100)).toBe(0);
    load.note(256 * KIBIBYTE, 150);
    expect(taken(admission, 150)).toBe(1);
  });

  test("no more than without it", () => {
    const { load, admission } = bulky(0);
    load.note(1_024 * 1_024 * KIBIBYTE, 50);
    expect(taken(admission, 50)).toBe(5);
  });

  test("those that prove to be meant are counted all the same", () => {
    const { load, admission } = bulky(0);
    load.note(512 * KIBIBYTE, 50);
    expect(admission.take(50)).toBe(true);
    admission.giveBack();
    expect(admission.take(50)).toBe(false);
  });

  test("all is as before 100 ms after the last of it", () => {
    expect(taken(bulky(1_000).admission, 1_099)).toBe(0);
    const { admission } = bulky(1_000);
    expect(taken(admission, 1_100)).toBe(BURST);
    admission.giveBack();
    expect(taken(admission, 1_100)).toBe(1);
  });
});

describe("a guest moves bulk", () => {
  test("by 64 KiB in one wake-up, for 100 ms", () => {
    const load = new Load();
    load.note(64 * KIBIBYTE - 1, 0);
    expect(load.isBulky(0)).toBe(false);
    load.note(64 * KIBIBYTE, 10);
    expect(load.isBulky(109)).toBe(true);
    expect(load.isBulky(110)).toBe(false);
  });

  test("not by little in many", () => {
    const load = new Load();
    for (let now = 0; now < 1_000; now += 1) load.note(32 * KIBIBYTE, now);
    expect(load.isBulky(1_000)).toBe(false);
    expect(load.moved).toBe(32_000 * KIBIBYTE);
  });
});
