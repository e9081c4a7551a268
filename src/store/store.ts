import { UserError } from "../base/errors.js";

/** A key with its value. Keys are without the store's prefix. */
export interface Entry {
  readonly key: string;
  readonly value: string;
  /** The revision of the store at which the key was made, and at which it was last changed. */
  readonly created: number;
  readonly modified: number;
}

/** What is below a prefix, as of one revision. */
export interface Listing {
  readonly entries: readonly Entry[];
  readonly revision: number;
}

/** What must hold for a transaction to be carried out. */
export type Condition =
  /** There is no such key. */
  | { readonly kind: "absent"; readonly key: string }
  /** There is no key below that prefix. */
  | { readonly kind: "empty"; readonly prefix: string }
  /** The key was last changed at that revision. */
  | { readonly kind: "unchanged"; readonly key: string; readonly modified: number }
  /** The key has that value. */
  | { readonly kind: "equal"; readonly key: string; readonly value: string };

/** What a transaction does. */
export type Operation =
  /** @property lease the key goes when that ends; null: it stays */
  | {
      readonly kind: "put";
      readonly key: string;
      readonly value: string;
      readonly lease: Lease | null;
    }
  | { readonly kind: "delete"; readonly key: string }
  | { readonly kind: "delete below"; readonly prefix: string };

/**
 * @property done whether the conditions held, and all operations were carried out; otherwise none was
 * @property found if not done: the keys of its conditions that there are, as they are, and of each `empty` one below it
 */
export interface Outcome {
  readonly done: boolean;
  readonly revision: number;
  readonly found: readonly Entry[];
}

/** Keys that go together, unless their owner says every now and then that it lives. */
export interface Lease {
  /** Seconds without a word from us after which it ends. */
  readonly ttl: number;
  /** Whether the store still has it, as far as we know. */
  readonly isAlive: boolean;
  /** Ends it, and deletes its keys. */
  revoke(): Promise<void>;
}

/** What becomes of a lease that is kept alive. */
export interface LeaseEvents {
  /** The store no longer has it: its keys are gone. The last event. */
  readonly onLost: () => void;
  /** Our last word did not reach the store: once until it is back. */
  readonly onAway: (reason: StoreError) => void;
  /** It is kept alive again. */
  readonly onBack: () => void;
}

export type Change =
  | { readonly kind: "put"; readonly entry: Entry }
  | { readonly kind: "delete"; readonly key: string };

/** What a watch reports. */
export interface WatchEvents {
  /** The store has it: from now on it reports as changes come. Once, before all else but `onEnd`. */
  readonly onOpen: () => void;
  /** All changes of one revision, in their order. */
  readonly onChanges: (changes: readonly Change[], revision: number) => void;
  /** It has ended: the connection is gone, or the store no longer has the revisions asked for (compaction). */
  readonly onEnd: (reason: StoreError) => void;
}

export interface Watch {
  close(): void;
}

/**
 * Keys and values that several hosts share, with transactions, leases and watches. Every call ends within
 * CALL_LIMIT, with its result or a StoreError; a long list is read in pages, each of which has that time.
 */
export interface Store {
  /** Where it is, for messages: `etcd://192.0.2.10:2379`. */
  readonly place: string;
  /** Whether hosts, networks and members are only those that it lists, and what we write stays on this host. */
  readonly isFixed: boolean;
  /** Everything below a prefix, however much it is. @throws StoreError */
  list(prefix: string): Promise<Listing>;
  /**
   * @param operations MOST_OPERATIONS at most, as are the conditions; no key is in two of them
   * @throws StoreError; whether it was carried out is unknown after `unreachable`
   */
  commit(conditions: readonly Condition[], operations: readonly Operation[]): Promise<Outcome>;
  /**
   * A lease that is kept alive until it is revoked or the store is closed.
   * @throws StoreError
   */
  lease(ttl: number, events: LeaseEvents): Promise<Lease>;
  /**
   * Reports what changes below a prefix after a revision. One that has ended may be asked for again at once: a store
   * that is away is not asked all the time.
   */
  watch(prefix: string, after: number, events: WatchEvents): Watch;
  /** Ends all watches, and keeps no lease alive any more: they end by themselves. */
  close(): void;
}

/** Longest time that a call takes, in ms. */
export const CALL_LIMIT = 5_000;

/** Conditions, or operations, of a transaction: etcd's own limit, unless it is started with another. */
export const MOST_OPERATIONS = 128;

/**
 * `unreachable`: no answer, or none in time; it may come back. `refused`: wrong user, password or certificate.
 * `compacted`: the revisions asked for are gone. `unusable`: not a store that we know, or an answer without sense.
 */
export type StoreFailure = "unreachable" | "refused" | "compacted" | "unusable";

/** A sentence for the user that names the store. */
export class StoreError extends UserError {
  readonly failure: StoreFailure;

  constructor(failure: StoreFailure, message: string) {
    super(message);
    this.failure = failure;
  }
}
