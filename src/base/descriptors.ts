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

/** Where things stand in the ledger, in words: the sum, then two of each thread, ended ones aside. */
const AVAILABLE = 0;
const PLACES = 1;
const PLACE_SIZE = 2;
const MOST_PLACES = 32;
const GUESTS = 0;
const BORROWED = 1;

/**
 * How many descriptors the guests of a process have, whichever thread serves them: memory that all
 * threads share, in which each writes a place of its own.
 */
export class DescriptorLedger {
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #place: number;

  /** @param words of the ledger of another thread @param place this thread's, from 0 */
  constructor(words: Int32Array<SharedArrayBuffer>, place: number) {
    this.#words = words;
    this.#place = PLACES + place * PLACE_SIZE;
  }

  /** @param available to guests, of all that the process may have */
  static create(available: number): DescriptorLedger {
    const size = (PLACES + MOST_PLACES * PLACE_SIZE) * Int32Array.BYTES_PER_ELEMENT;
    const words = new Int32Array(new SharedArrayBuffer(size));
    words[AVAILABLE] = Math.max(0, Math.min(available, 0x7fff_ffff));
    return new DescriptorLedger(words, 0);
  }

  /** For the threads. */
  get words(): Int32Array<SharedArrayBuffer> {
    return this.#words;
  }

  /** A thread has ended, whatever it had. */
  clear(place: number): void {
    const at = PLACES + place * PLACE_SIZE;
    Atomics.store(this.#words, at + GUESTS, 0);
    Atomics.store(this.#words, at + BORROWED, 0);
  }

  /** Of all threads. */
  get guests(): number {
    return this.#sum(GUESTS);
  }

  addGuests(count: number): void {
    Atomics.add(this.#words, this.#place + GUESTS, count);
  }

  /** What each guest has for itself, whatever others do. */
  get kept(): number {
    const { guests } = this;
    return Math.min(MOST_KEPT, Math.floor((this.#available(guests) * DIVIDED) / guests));
  }

  /** What each could have if all had as many. */
  get share(): number {
    const { guests } = this;
    return Math.floor(this.#available(guests) / guests);
  }

  /** Whether each guest would have enough if there were so many more. */
  hasRoom(more: number): boolean {
    const guests = this.guests + more;
    return guests <= 1 || this.#available(guests) * DIVIDED >= LEAST_KEPT * guests;
  }

  /** What is left of that which guests have beyond what is kept for each; negative: too little. */
  get left(): number {
    const { guests } = this;
    return this.#available(guests) - guests * this.kept - this.#sum(BORROWED);
  }

  borrow(count: number): void {
    Atomics.add(this.#words, this.#place + BORROWED, count);
  }

  #available(guests: number): number {
    return Math.max(0, this.#words[AVAILABLE] - guests * PER_GUEST);
  }

  #sum(which: number): number {
    let sum = 0;
    for (let at = PLACES + which; at < this.#words.length; at += PLACE_SIZE)
      sum += Atomics.load(this.#words, at);
    return sum;
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
    const wanted = this.holder.descriptors + count;
    return this.#quotas.grants(this, wanted);
  }

  /** The process has none left all the same: has whoever has most end something. @returns whether it did */
  reclaimOne(): boolean {
    return this.#quotas.reclaimFor(this.holder.descriptors + 1);
  }

  /** Gives back what the guest has closed. To be called now and then. */
  settle(): void {
    if (this.#borrowed > 0) this.take(this.holder.descriptors, this.#quotas.ledger.kept);
  }

  /** The guest has, or is about to have, so many. @param kept of each guest @returns how many more it borrows */
  take(wanted: number, kept: number): number {
    const more = Math.max(0, wanted - kept) - this.#borrowed;
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
  #scarceUntil = Number.NEGATIVE_INFINITY;
  /**
   * Called when there is one more guest, or one that has little was refused: guests of other threads
   * are to make room, too.
   */
  onCrowded: ((isScarce: boolean) => void) | null = null;

  /** @param clock in ms */
  constructor(ledger: DescriptorLedger, clock: () => number) {
    this.ledger = ledger;
    this.#clock = clock;
  }

  /** @throws RangeError when there would be too few for each */
  add(): DescriptorQuota {
    if (!this.ledger.hasRoom(1)) {
      throw new RangeError(
        "too few file descriptors for one more guest (raise the limit: ulimit -n)",
      );
    }
    this.ledger.addGuests(1);
    const quota = new DescriptorQuota(this);
    this.#quotas.add(quota);
    this.makeRoom(false);
    this.onCrowded?.(false);
    return quota;
  }

  remove(quota: DescriptorQuota): void {
    if (this.#quotas.delete(quota)) this.ledger.addGuests(-1);
  }

  /**
   * Has guests that have much end something until each has its own, as there are more guests than before.
   * @param isScarce one that has little was refused, in whichever thread: until it can have a fair share
   */
  makeRoom(isScarce: boolean): void {
    const { kept, share } = this.ledger;
    for (const quota of this.#quotas) quota.take(quota.holder.descriptors, kept);
    if (isScarce) this.#scarceUntil = this.#clock() + SCARCE;
    const least = isScarce ? share - kept : 0;
    while (this.ledger.left < least) if (!this.reclaimFor(share)) return;
  }

  grants(quota: DescriptorQuota, wanted: number): boolean {
    const { ledger } = this;
    const { kept } = ledger;
    if (wanted <= kept) {
      quota.take(wanted, kept);
      return true;
    }
    const hasMuch = wanted > ledger.share;
    if (hasMuch && this.#clock() < this.#scarceUntil) return false;
    for (;;) {
      const more = quota.take(wanted, kept);
      if (more <= 0 || ledger.left >= 0) return true;
      quota.take(quota.holder.descriptors, kept);
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
    const { share, kept } = this.ledger;
    const victim = this.#largest(Math.max(wanted, share));
    if (victim === null || !victim.holder.endOldest()) return false;
    victim.take(victim.holder.descriptors, kept);
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
