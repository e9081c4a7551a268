/** What each guest costs beside its flows: its TAP, twice where it is served again, and whoever brought it. */
const PER_GUEST = 4;

/** The part of the descriptors that is divided among the guests beforehand: each has its own at once. */
const DIVIDED = 1 / 2;
/** More than that of one guest's are not kept for it. */
const MOST_KEPT = 256;
/** A guest that has fewer kept for it cannot be served beside others. */
const LEAST_KEPT = 4;

/** For so long after somebody who has little was refused nobody who has much gets more, in ms. */
const SCARCE = 1_000;

/** Layout of the ledger, in words: what is available, totals of all threads, and a slot for each thread. */
const AVAILABLE = 0;
const TOTALS = 1;
const SLOTS = 3;
/** Of totals and slots. */
const GUESTS = 0;
const BORROWED = 1;
const SLOT_SIZE = 2;
/** Threads that there may be, those that are ending, too. */
const MOST_SLOTS = 32;

/**
 * How many descriptors the guests of a process have, whichever thread serves them: memory that all
 * threads share. What each has added is told apart, as one may die.
 */
export class DescriptorLedger {
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #slot: number;

  /** @param words of the ledger of another thread @param slot this thread's, from 0 */
  constructor(words: Int32Array<SharedArrayBuffer>, slot: number) {
    this.#words = words;
    this.#slot = SLOTS + slot * SLOT_SIZE;
  }

  /** @param available to guests, of all that the process may have */
  static create(available: number): DescriptorLedger {
    const size = (SLOTS + MOST_SLOTS * SLOT_SIZE) * Int32Array.BYTES_PER_ELEMENT;
    const words = new Int32Array(new SharedArrayBuffer(size));
    words[AVAILABLE] = Math.max(0, Math.min(available, 0x7fff_ffff));
    return new DescriptorLedger(words, 0);
  }

  /** For the threads. */
  get words(): Int32Array<SharedArrayBuffer> {
    return this.#words;
  }

  /** A thread has ended: whatever it had is free. */
  clear(slot: number): void {
    const words = this.#words;
    for (const which of [GUESTS, BORROWED]) {
      const had = Atomics.exchange(words, SLOTS + slot * SLOT_SIZE + which, 0);
      Atomics.sub(words, TOTALS + which, had);
    }
  }

  /** Of all threads. */
  get guests(): number {
    return Atomics.load(this.#words, TOTALS + GUESTS);
  }

  addGuests(count: number): void {
    this.#add(GUESTS, count);
  }

  /** How many descriptors guests of all threads have beyond what is kept for each. */
  get borrowed(): number {
    return Atomics.load(this.#words, TOTALS + BORROWED);
  }

  borrow(count: number): void {
    this.#add(BORROWED, count);
  }

  /** What so many guests may have in all. */
  availableTo(guests: number): number {
    return Math.max(0, this.#words[AVAILABLE] - guests * PER_GUEST);
  }

  #add(which: number, count: number): void {
    Atomics.add(this.#words, this.#slot + which, count);
    Atomics.add(this.#words, TOTALS + which, count);
  }
}

/** A guest, as those who count see it. */
export interface DescriptorHolder {
  /** Of its flows and listeners, at this moment. */
  readonly descriptors: number;
  /** Those of flows that can be ended for others' sake. */
  readonly endable: number;
  /** Ends what has been idle for longest. @returns false when there is nothing, or it cannot be asked */
  endOldest(): boolean;
}

const NOBODY: DescriptorHolder = { descriptors: 0, endable: 0, endOldest: () => false };

/** One guest's part of the descriptors. */
export class DescriptorQuota {
  holder: DescriptorHolder = NOBODY;
  readonly #quotas: DescriptorQuotas;
  /** Beyond what is kept for it. */
  #borrowed = 0;

  constructor(quotas: DescriptorQuotas) {
    this.#quotas = quotas;
  }

  /** Whether the guest may open so many more; others that have much end something for it if need be. */
  mayOpen(count: number): boolean {
    return this.#quotas.grants(this, this.holder.descriptors + count);
  }

  /** The process has none left all the same: has whoever has most end something. @returns whether it did */
  reclaimOne(): boolean {
    return this.#quotas.reclaimFor(this.holder.descriptors + 1);
  }

  /** Gives back what the guest has closed. To be called now and then. */
  settle(): void {
    if (this.#borrowed > 0) this.take(this.holder.descriptors);
  }

  /** The guest has, or is about to have, so many. @returns how many more it borrows than before */
  take(wanted: number): number {
    const more = Math.max(0, wanted - this.#quotas.kept) - this.#borrowed;
    if (more === 0) return 0;
    this.#quotas.ledger.borrow(more);
    this.#borrowed += more;
    return more;
  }

  /** The guest is gone. */
  close(): void {
    this.holder = NOBODY;
    this.#quotas.ledger.borrow(-this.#borrowed);
    this.#borrowed = 0;
    this.#quotas.remove(this);
  }
}

/**
 * Who of a thread's guests may open how many descriptors. A part of all is divided among the guests, so
 * that each gets its own at once, whatever the others hold; the rest is for whoever wants it first. When
 * that is used, who has more than a fair share ends what has been idle for longest for those who have less.
 */
export class DescriptorQuotas {
  readonly ledger: DescriptorLedger;
  readonly #quotas = new Set<DescriptorQuota>();
  readonly #clock: () => number;
  /** What each guest has for itself, what each could have if all had as many, and what is not kept. */
  #kept = 0;
  #share = 0;
  #rest = 0;
  #scarceUntil = Number.NEGATIVE_INFINITY;
  /**
   * Called when there are more guests, or fewer, or one that has little was refused: makeRoom() is to be
   * called in all threads.
   */
  onCrowded: ((isScarce: boolean) => void) | null = null;

  /** @param clock in ms */
  constructor(ledger: DescriptorLedger, clock: () => number) {
    this.ledger = ledger;
    this.#clock = clock;
  }

  get kept(): number {
    return this.#kept;
  }

  /** @throws RangeError when there would be too few for each */
  add(): DescriptorQuota {
    const guests = this.ledger.guests + 1;
    if (guests > 1 && this.ledger.availableTo(guests) * DIVIDED < LEAST_KEPT * guests) {
      throw new RangeError(
        "too few file descriptors for one more guest (raise the limit: ulimit -n)",
      );
    }
    const quota = new DescriptorQuota(this);
    this.#quotas.add(quota);
    this.#onGuests(1);
    return quota;
  }

  remove(quota: DescriptorQuota): void {
    if (this.#quotas.delete(quota)) this.#onGuests(-1);
  }

  #onGuests(more: number): void {
    this.ledger.addGuests(more);
    this.makeRoom(false);
    this.onCrowded?.(false);
  }

  /**
   * Has guests that have much end something until each has its own, as there may be more guests than before.
   * @param isScarce one that has little was refused, in whichever thread: until it can have a fair share
   */
  makeRoom(isScarce: boolean): void {
    this.#divide();
    for (const quota of this.#quotas) quota.take(quota.holder.descriptors);
    if (isScarce) this.#scarceUntil = this.#clock() + SCARCE;
    const least = isScarce ? this.#share - this.#kept : 0;
    while (this.#left < least) if (!this.reclaimFor(this.#share)) return;
  }

  #divide(): void {
    const { guests } = this.ledger;
    const available = this.ledger.availableTo(guests);
    const each = guests === 0 ? 0 : available / guests;
    this.#share = Math.floor(each);
    this.#kept = Math.min(MOST_KEPT, Math.floor(each * DIVIDED));
    this.#rest = available - guests * this.#kept;
  }

  get #left(): number {
    return this.#rest - this.ledger.borrowed;
  }

  /** Whether a guest may have so many in all. */
  grants(quota: DescriptorQuota, wanted: number): boolean {
    const hasMuch = wanted > this.#share;
    if (hasMuch && this.#clock() < this.#scarceUntil) return false;
    for (;;) {
      const more = quota.take(wanted);
      if (more <= 0 || this.#left >= 0) return true;
      quota.take(quota.holder.descriptors);
      if (!this.reclaimFor(wanted)) break;
    }
    if (!hasMuch) this.#tellScarce();
    return false;
  }

  #tellScarce(): void {
    const now = this.#clock();
    if (now < this.#scarceUntil) return;
    this.#scarceUntil = now + SCARCE;
    this.onCrowded?.(true);
  }

  /** One that would have so many then needs one: whoever has most, and more, ends something. */
  reclaimFor(wanted: number): boolean {
    const victim = this.#largest(Math.max(wanted, this.#share));
    if (victim === null || !victim.holder.endOldest()) return false;
    victim.settle();
    return true;
  }

  /** Who has most, and more than so many, and something to end. */
  #largest(than: number): DescriptorQuota | null {
    let largest: DescriptorQuota | null = null;
    let most = than;
    for (const quota of this.#quotas) {
      const { descriptors, endable } = quota.holder;
      if (descriptors <= most || endable === 0) continue;
      largest = quota;
      most = descriptors;
    }
    return largest;
  }
}
