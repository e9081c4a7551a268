import type { DescriptorLedger } from "./descriptor-ledger.js";

/** The part of all descriptors that is reserved, in equal shares, for the guests there are. */
const DIVIDED = 1 / 2;
/** Most descriptors reserved for one guest. */
const MOST_KEPT = 256;
/** Fewest descriptors reserved for a guest; if there are fewer, a further guest is refused. */
const LEAST_KEPT = 4;

/** How long guests above their fair share get no more after one below it was refused, in ms. */
const SCARCE = 1_000;

/** A guest, as its quota sees it. */
export interface DescriptorHolder {
  /** Descriptors of its flows and listeners now. */
  readonly descriptors: number;
  /** How many of them endOldest() can close. */
  readonly endable: number;
  /** Ends the flow that has been idle longest. @returns false when there is none, or the guest cannot be asked */
  endOldest(): boolean;
}

const NOBODY: DescriptorHolder = { descriptors: 0, endable: 0, endOldest: () => false };

/** One guest's share of the descriptors. */
export class DescriptorQuota {
  holder: DescriptorHolder = NOBODY;
  readonly #quotas: DescriptorQuotas;
  /** Descriptors beyond the reserved share. */
  #borrowed = 0;

  constructor(quotas: DescriptorQuotas) {
    this.#quotas = quotas;
  }

  /** Whether the guest may open `count` more; if need be, guests above their fair share end flows for it. */
  mayOpen(count: number): boolean {
    return this.#quotas.grants(this, this.holder.descriptors + count);
  }

  /** After EMFILE all the same: has the guest with most descriptors end a flow. @returns whether it did */
  reclaimOne(): boolean {
    return this.#quotas.reclaimFor(this.holder.descriptors + 1);
  }

  /** Gives back what the guest has closed. Call it now and then. */
  settle(): void {
    if (this.#borrowed > 0) this.take(this.holder.descriptors);
  }

  /** Notes that the guest will hold `wanted` descriptors. @returns how many more it borrows than before */
  take(wanted: number): number {
    const more = Math.max(0, wanted - this.#quotas.kept) - this.#borrowed;
    if (more === 0) return 0;
    this.#quotas.ledger.borrow(more);
    this.#borrowed += more;
    return more;
  }

  /** Gives back everything: the guest is gone. */
  close(): void {
    this.holder = NOBODY;
    this.#quotas.ledger.borrow(-this.#borrowed);
    this.#borrowed = 0;
    this.#quotas.remove(this);
  }
}

/**
 * Divides the descriptors of a process among the guests of a thread. One half is reserved for the guests in
 * equal shares, whatever the others hold; the rest goes to whoever asks first. When the rest is used up,
 * guests above their fair share end idle flows for guests below theirs.
 */
export class DescriptorQuotas {
  readonly ledger: DescriptorLedger;
  readonly #quotas = new Set<DescriptorQuota>();
  readonly #clock: () => number;
  /** Reserved for each guest; the fair share of each; what is not reserved. */
  #kept = 0;
  #share = 0;
  #rest = 0;
  #scarceUntil = Number.NEGATIVE_INFINITY;
  /**
   * Called when a guest has come or gone, or one below its fair share was refused (isScarce): makeRoom()
   * must then be called in all threads.
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

  /** @throws RangeError when too few descriptors could be reserved for each guest */
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
   * Divides the descriptors anew and has guests above their fair share end flows until every reserved share
   * is free again.
   * @param isScarce a guest of some thread was refused below its fair share: makes room for that share
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

  /** Whether a guest may hold `wanted` descriptors in all. */
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

  /** For a guest that wants to hold `wanted`: has the guest with most, if it holds more, end a flow. */
  reclaimFor(wanted: number): boolean {
    const victim = this.#largest(Math.max(wanted, this.#share));
    if (victim === null || !victim.holder.endOldest()) return false;
    victim.settle();
    return true;
  }

  /** The guest with most descriptors among those with more than `than` and something to end. */
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
