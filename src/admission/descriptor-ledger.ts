/** Descriptors of a guest beside its flows: its TAP, the copy kept to serve it again, its owner's connection. */
const PER_GUEST = 4;

/** Layout of the ledger, in words: what is available, the totals, and a slot for each thread. */
const AVAILABLE = 0;
const TOTALS = 1;
const SLOTS = 3;
/** Words of the totals and of a slot. */
const GUESTS = 0;
const BORROWED = 1;
const SLOT_SIZE = 2;
/** Threads at once, including those that are ending. */
const MOST_SLOTS = 32;

/**
 * How many descriptors the guests of a process hold, whichever thread serves them, in memory that all
 * threads share. Each thread's part is kept apart, so that it can be taken back when the thread dies.
 */
export class DescriptorLedger {
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #slot: number;

  /**
   * @param words of another thread's ledger of the same process
   * @param slot this thread's, 0..31
   */
  constructor(words: Int32Array<SharedArrayBuffer>, slot: number) {
    this.#words = words;
    this.#slot = SLOTS + slot * SLOT_SIZE;
  }

  /** @param available descriptors that the guests may have in all */
  static create(available: number): DescriptorLedger {
    const size = (SLOTS + MOST_SLOTS * SLOT_SIZE) * Int32Array.BYTES_PER_ELEMENT;
    const words = new Int32Array(new SharedArrayBuffer(size));
    words[AVAILABLE] = Math.max(0, Math.min(available, 0x7fff_ffff));
    return new DescriptorLedger(words, 0);
  }

  /** The shared memory, for the ledgers of other threads. */
  get words(): Int32Array<SharedArrayBuffer> {
    return this.#words;
  }

  /** Frees what a thread held that has ended. */
  clear(slot: number): void {
    const words = this.#words;
    for (const which of [GUESTS, BORROWED]) {
      const had = Atomics.exchange(words, SLOTS + slot * SLOT_SIZE + which, 0);
      Atomics.sub(words, TOTALS + which, had);
    }
  }

  /** Guests of all threads. */
  get guests(): number {
    return Atomics.load(this.#words, TOTALS + GUESTS);
  }

  addGuests(count: number): void {
    this.#add(GUESTS, count);
  }

  /** Descriptors that guests of all threads hold beyond their reserved shares. */
  get borrowed(): number {
    return Atomics.load(this.#words, TOTALS + BORROWED);
  }

  /** @param count to add to this thread's part; negative to give back */
  borrow(count: number): void {
    this.#add(BORROWED, count);
  }

  /** @returns how many descriptors the flows of `guests` guests may have in all */
  availableTo(guests: number): number {
    return Math.max(0, this.#words[AVAILABLE] - guests * PER_GUEST);
  }

  #add(which: number, count: number): void {
    Atomics.add(this.#words, this.#slot + which, count);
    Atomics.add(this.#words, TOTALS + which, count);
  }
}
