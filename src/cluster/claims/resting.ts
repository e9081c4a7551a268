import type { Lease, LeaseEvents, Store } from "../../store/store.js";

/** Seconds for which an address that was given back is given to nobody. */
const REST = 60;

/** For so long addresses that are given back rest on one lease, in ms: a hundred at once need no hundred leases. */
const SHARED_FOR = 5_000;

/** Whether the store hears it does not matter: the lease ends anyway. */
const UNHEARD: LeaseEvents = { onLost: () => {}, onAway: () => {}, onBack: () => {} };

/** Leases of addresses that were given back. */
export class RestingLeases {
  readonly #store: Store;
  #current: Promise<Lease> | null = null;
  readonly #timers = new Set<NodeJS.Timeout>();

  constructor(store: Store) {
    this.#store = store;
  }

  /** One that ends after a minute, or a few seconds later. @throws StoreError */
  async get(): Promise<Lease> {
    this.#current ??= this.#open();
    const lease = await this.#current;
    if (lease.isAlive) return lease;
    this.#current = this.#open();
    return await this.#current;
  }

  /** Those that there are end by themselves. */
  close(): void {
    for (const timer of this.#timers) clearTimeout(timer);
  }

  #open(): Promise<Lease> {
    const lease = this.#store.lease(REST, UNHEARD);
    const forget = (): void => {
      if (this.#current === lease) this.#current = null;
    };
    lease.then((granted) => {
      this.#after(SHARED_FOR, forget);
      this.#after(SHARED_FOR + REST * 1_000, () => void granted.revoke().catch(() => {}));
    }, forget);
    return lease;
  }

  #after(delay: number, action: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      action();
    }, delay);
    this.#timers.add(timer.unref());
  }
}
