import {
  type Change,
  type Condition,
  type Entry,
  type Lease,
  type LeaseEvents,
  type Listing,
  type Operation,
  type Outcome,
  type Store,
  StoreError,
  type Watch,
  type WatchEvents,
} from "./store.js";

/** All changes of one revision. */
interface Step {
  readonly revision: number;
  readonly changes: readonly Change[];
}

/** Revisions that a watch may begin at; earlier ones are compacted. */
const MOST_STEPS = 1_000;

/**
 * A store in the memory of this process: entries that are given once, and what this host writes besides. Nobody else
 * sees it.
 */
export class MemoryStore implements Store {
  readonly place: string;
  readonly isFixed = true;
  readonly #entries = new Map<string, Entry>();
  readonly #leases = new Map<string, MemoryLease>();
  readonly #watches = new Set<MemoryWatch>();
  readonly #steps: Step[] = [];
  #revision = 1;

  /** @param place for messages: `file:/etc/slipway/cluster.toml` */
  constructor(place: string, entries: ReadonlyMap<string, string>) {
    this.place = place;
    for (const [key, value] of entries) {
      this.#entries.set(key, { key, value, created: 1, modified: 1 });
    }
  }

  async list(prefix: string): Promise<Listing> {
    return { entries: this.#below(prefix), revision: this.#revision };
  }

  async commit(
    conditions: readonly Condition[],
    operations: readonly Operation[],
  ): Promise<Outcome> {
    if (!conditions.every((condition) => this.#holds(condition))) {
      const found = conditions.flatMap((condition) => this.#asked(condition));
      return { done: false, revision: this.#revision, found };
    }
    const changes = operations.flatMap((operation) => this.#changesOf(operation));
    this.#apply(changes);
    for (const operation of operations) this.#bind(operation);
    return { done: true, revision: this.#revision, found: [] };
  }

  async lease(ttl: number, _events: LeaseEvents): Promise<Lease> {
    return new MemoryLease(ttl, (lease) => this.#ended(lease));
  }

  watch(prefix: string, after: number, events: WatchEvents): Watch {
    const watch = new MemoryWatch(prefix, after, events, () => this.#watches.delete(watch));
    this.#watches.add(watch);
    const oldest = this.#steps[0]?.revision ?? this.#revision + 1;
    const isGone = after < oldest - 1;
    const missed = this.#steps.filter(({ revision }) => revision > after);
    watch.begin(isGone ? null : missed, this.place);
    return watch;
  }

  close(): void {
    for (const watch of [...this.#watches]) watch.close();
  }

  #below(prefix: string): Entry[] {
    return [...this.#entries.values()].filter(({ key }) => key.startsWith(prefix));
  }

  #holds(condition: Condition): boolean {
    switch (condition.kind) {
      case "absent":
        return !this.#entries.has(condition.key);
      case "empty":
        return this.#below(condition.prefix).length === 0;
      case "unchanged":
        return (this.#entries.get(condition.key)?.modified ?? 0) === condition.modified;
      case "equal":
        return this.#entries.get(condition.key)?.value === condition.value;
    }
  }

  #asked(condition: Condition): Entry[] {
    if (condition.kind === "empty") return this.#below(condition.prefix).slice(0, 1);
    const entry = this.#entries.get(condition.key);
    return entry === undefined ? [] : [entry];
  }

  #changesOf(operation: Operation): Change[] {
    switch (operation.kind) {
      case "put": {
        const { key, value } = operation;
        const modified = this.#revision + 1;
        const created = this.#entries.get(key)?.created ?? modified;
        return [{ kind: "put", entry: { key, value, created, modified } }];
      }
      case "delete":
        return this.#entries.has(operation.key) ? [{ kind: "delete", key: operation.key }] : [];
      case "delete below":
        return this.#below(operation.prefix).map(({ key }) => ({ kind: "delete", key }));
    }
  }

  #apply(changes: readonly Change[]): void {
    if (changes.length === 0) return;
    this.#revision += 1;
    for (const change of changes) {
      if (change.kind === "put") this.#entries.set(change.entry.key, change.entry);
      else this.#remove(change.key);
    }
    const step = { revision: this.#revision, changes };
    this.#steps.push(step);
    if (this.#steps.length > MOST_STEPS) this.#steps.shift();
    for (const watch of [...this.#watches]) watch.offer(step);
  }

  #remove(key: string): void {
    this.#entries.delete(key);
    this.#leases.delete(key);
  }

  /** Has a key go with its lease; one that is written without a lease stays. */
  #bind(operation: Operation): void {
    if (operation.kind !== "put") return;
    if (operation.lease instanceof MemoryLease) this.#leases.set(operation.key, operation.lease);
    else this.#leases.delete(operation.key);
  }

  #ended(lease: MemoryLease): void {
    const keys = [...this.#leases].filter(([, of]) => of === lease).map(([key]) => key);
    this.#apply(keys.map((key) => ({ kind: "delete", key })));
  }
}

/** Only its owner ends it: we are the store, so that it hears from us as long as it is there. */
class MemoryLease implements Lease {
  readonly ttl: number;
  isAlive = true;
  readonly #onEnd: (lease: MemoryLease) => void;

  constructor(ttl: number, onEnd: (lease: MemoryLease) => void) {
    this.ttl = ttl;
    this.#onEnd = onEnd;
  }

  async revoke(): Promise<void> {
    if (!this.isAlive) return;
    this.isAlive = false;
    this.#onEnd(this);
  }
}

/** Reports in turns of its own, as one over a network does. */
class MemoryWatch implements Watch {
  readonly #prefix: string;
  readonly #events: WatchEvents;
  readonly #onClose: () => void;
  #after: number;
  #isOver = false;

  constructor(prefix: string, after: number, events: WatchEvents, onClose: () => void) {
    this.#prefix = prefix;
    this.#after = after;
    this.#events = events;
    this.#onClose = onClose;
  }

  /** @param missed what has happened since; null: nobody knows any more */
  begin(missed: readonly Step[] | null, place: string): void {
    queueMicrotask(() => {
      if (this.#isOver) return;
      if (missed === null) {
        this.close();
        this.#events.onEnd(new StoreError("compacted", `${place} no longer has all changes`));
      } else this.#events.onOpen();
    });
    for (const step of missed ?? []) this.offer(step);
  }

  offer({ revision, changes }: Step): void {
    if (revision <= this.#after) return;
    this.#after = revision;
    const ours = changes.filter((change) =>
      (change.kind === "put" ? change.entry.key : change.key).startsWith(this.#prefix),
    );
    if (ours.length === 0) return;
    queueMicrotask(() => {
      if (!this.#isOver) this.#events.onChanges(ours, revision);
    });
  }

  close(): void {
    this.#isOver = true;
    this.#onClose();
  }
}
