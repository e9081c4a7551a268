import { describe, expect, test } from "vitest";
import { DescriptorLedger } from "../../src/admission/descriptor-ledger.js";
import {
  type DescriptorHolder,
  type DescriptorQuota,
  DescriptorQuotas,
} from "../../src/admission/descriptors.js";

/** Descriptors for flows; each guest costs 4 more. */
const MOST = 100;

/** A guest with flows only. */
class Guest implements DescriptorHolder {
  descriptors = 0;
  /** Descriptors that cannot be ended, such as published ports. */
  pinned = 0;
  ended = 0;
  readonly #quota: DescriptorQuota;

  constructor(quotas: DescriptorQuotas) {
    this.#quota = quotas.add();
    this.#quota.holder = this;
  }

  get endable(): number {
    return this.descriptors - this.pinned;
  }

  endOldest(): boolean {
    this.descriptors -= 1;
    this.ended += 1;
    return true;
  }

  /** Opens as many as it can. @returns how many that were */
  open(most = 1_000): number {
    let opened = 0;
    while (opened < most && this.#quota.mayOpen(1)) {
      this.descriptors += 1;
      opened += 1;
    }
    return opened;
  }

  close(count: number): void {
    this.descriptors -= count;
    this.#quota.settle();
  }

  leave(): void {
    this.#quota.close();
  }
}

/** The threads of one process, all of which make room when one of them asks. */
function threads(count: number, most: number): readonly DescriptorQuotas[] {
  const { words } = DescriptorLedger.create(most);
  const all = Array.from(
    { length: count },
    (_, slot) => new DescriptorQuotas(new DescriptorLedger(words, slot), () => now),
  );
  for (const each of all) {
    each.onCrowded = (isScarce) => {
      for (const other of all) other.makeRoom(isScarce);
    };
  }
  return all;
}

let now = 0;

describe("guests of one thread", () => {
  test("a single one may use all descriptors", () => {
    const [quotas] = threads(1, MOST + 4);
    const alone = new Guest(quotas);
    expect(alone.open()).toBe(MOST);
    alone.close(30);
    expect(alone.open()).toBe(30);
    expect(alone.ended).toBe(0);
  });

  test("one that has all yields others their share, and ends no more flows than needed", () => {
    const [quotas] = threads(1, MOST + 8);
    const hog = new Guest(quotas);
    hog.open();
    const other = new Guest(quotas);
    expect(other.open(10)).toBe(10);
    expect(hog.descriptors).toBeGreaterThanOrEqual(75);
    expect(other.open()).toBe(40);
    expect([hog.descriptors, other.descriptors]).toEqual([50, 50]);
    expect(hog.open()).toBe(0);
    expect(other.ended).toBe(0);
  });

  test("each newcomer has its own part at once, whatever the others do", () => {
    const [quotas] = threads(1, MOST + 4 * 8);
    const guests: Guest[] = [];
    for (let count = 1; count <= 8; count += 1) {
      const guest = new Guest(quotas);
      guests.push(guest);
      for (const each of guests) if (each !== guest) each.open();
      expect(guest.open(5)).toBe(5);
      guest.open();
    }
    const total = guests.reduce((sum, { descriptors }) => sum + descriptors, 0);
    expect(total).toBeLessThanOrEqual(MOST);
    for (const { descriptors } of guests) expect(descriptors).toBeGreaterThanOrEqual(12);
  });

  test("flows that cannot be ended use nothing of others' parts", () => {
    const [quotas] = threads(1, MOST + 8);
    const hog = new Guest(quotas);
    hog.pinned = hog.open(70);
    const other = new Guest(quotas);
    expect(other.open()).toBe(MOST - 70);
    expect(hog.ended).toBe(0);
  });

  test("others get what a guest has closed, or had when it left", () => {
    const [quotas] = threads(1, MOST + 8);
    const [one, two] = [new Guest(quotas), new Guest(quotas)];
    one.open(75);
    expect(two.open(25)).toBe(25);
    one.close(70);
    expect(two.open(45)).toBe(45);
    expect(one.ended).toBe(0);
    two.leave();
    expect(one.open()).toBe(99);
  });

  test("a guest that would leave too few to each is refused", () => {
    const [quotas] = threads(1, 12 * 5);
    for (let count = 0; count < 5; count += 1) new Guest(quotas);
    expect(() => new Guest(quotas)).toThrow("too few file descriptors for one more guest");
    expect(quotas.ledger.guests).toBe(5);
  });
});

describe("guests of several threads", () => {
  test("one that has all yields others their own parts", () => {
    const [left, right] = threads(2, MOST + 8);
    const hog = new Guest(left);
    hog.open();
    const other = new Guest(right);
    expect(other.open(25)).toBe(25);
    // The first request is refused and makes the hog give up descriptors; the next is granted.
    expect(other.open()).toBe(0);
    expect(other.open()).toBe(25);
    expect([hog.descriptors, other.descriptors]).toEqual([50, 50]);
  });

  test("one with much gets no more for a second after one with little was refused", () => {
    const [left, right] = threads(2, MOST + 8);
    const hog = new Guest(left);
    hog.open();
    const other = new Guest(right);
    other.open(25);
    expect(other.open()).toBe(0);
    expect(hog.open()).toBe(0);
    expect(other.open(5)).toBe(5);
    now += 1_000;
    expect(hog.open()).toBe(20);
  });

  test("the descriptors of a dead thread are free", () => {
    const [left, right] = threads(2, MOST + 4);
    new Guest(left).open();
    right.ledger.clear(0);
    right.makeRoom(false);
    expect(new Guest(right).open()).toBe(MOST);
  });
});
