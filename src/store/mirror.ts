import { Backoff } from "./backoff.js";
import type { Change, Entry, Listing, Store, StoreError, Watch } from "./store.js";

/** `current`: what is reported is what the store has. `stale`: it may have changed meanwhile. */
export type MirrorState = "current" | "stale";

export interface MirrorEvents {
  /** A key that is new, or was written again. */
  readonly onPut: (entry: Entry) => void;
  readonly onDelete: (key: string) => void;
  /** @param why null: current */
  readonly onState: (state: MirrorState, why: StoreError | null) => void;
}

/** Reports what is below a prefix, and each change, until it is closed. */
export interface Mirror {
  readonly state: MirrorState;
  close(): void;
}

/** First and longest delay until a list is read again, in ms: hosts that lose one store do not come back at once. */
const FIRST_DELAY = 2_000;
const LONGEST_DELAY = 8_000;

/** Follows a prefix, which ends with "/" or is empty. It is stale, without a reason, until it has been read once. */
export function openMirror(store: Store, prefix: string, events: MirrorEvents): Mirror {
  const mirror = new Follower(store, prefix, events);
  mirror.start();
  return mirror;
}

/**
 * | it is    | event                              | then                                              |
 * |----------|------------------------------------|---------------------------------------------------|
 * | listing  | the list is there                  | the difference is reported; watching, still stale |
 * | listing  | it fails                           | waiting, then listing                             |
 * | watching | the watch is open                  | current                                           |
 * | watching | changes                            | reported                                          |
 * | watching | the watch ends, compacted          | stale; waiting, then listing                      |
 * | watching | it ends for another reason         | stale; watching from where it was                 |
 * | any      | close()                            | over                                              |
 *
 * Nothing is forgotten while the store is away. Values are not kept: their revisions tell what has changed.
 */
class Follower implements Mirror {
  state: MirrorState = "stale";
  readonly #store: Store;
  readonly #prefix: string;
  readonly #events: MirrorEvents;
  readonly #backoff = new Backoff(FIRST_DELAY, LONGEST_DELAY);
  /** Of each key that was reported: the revision at which it was last changed. */
  readonly #known = new Map<string, number>();
  /** Everything up to it has been reported. */
  #revision = 0;
  #watch: Watch | null = null;
  #timer: NodeJS.Timeout | undefined;
  #isOver = false;

  constructor(store: Store, prefix: string, events: MirrorEvents) {
    this.#store = store;
    this.#prefix = prefix;
    this.#events = events;
  }

  start(): void {
    this.#list();
  }

  close(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#watch?.close();
  }

  #list(): void {
    this.#store.list(this.#prefix).then(
      (listing) => {
        if (this.#isOver) return;
        this.#compare(listing);
        this.#follow();
      },
      (error: StoreError) => this.#failed(error, () => this.#list()),
    );
  }

  #follow(): void {
    this.#watch = this.#store.watch(this.#prefix, this.#revision, {
      onOpen: () => this.#opened(),
      onChanges: (changes, revision) => this.#take(changes, revision),
      onEnd: (why) => {
        this.#watch = null;
        if (why.failure === "compacted") this.#failed(why, () => this.#list());
        else this.#resume(why);
      },
    });
  }

  #opened(): void {
    this.#backoff.reset();
    this.state = "current";
    this.#events.onState("current", null);
  }

  #failed(why: StoreError, again: () => void): void {
    if (this.#isOver) return;
    this.#timer = setTimeout(again, this.#backoff.next());
    this.#becomeStale(why);
  }

  /** At once: the store waits with what it cannot open, and does so for all its watches together. */
  #resume(why: StoreError): void {
    this.#becomeStale(why);
    if (!this.#isOver) this.#follow();
  }

  #becomeStale(why: StoreError): void {
    this.state = "stale";
    this.#events.onState("stale", why);
  }

  /** Reports what a list has and we have not, the other way round, and what was changed in between. */
  #compare({ entries, revision }: Listing): void {
    // A store that has gone back, as after a restore, counts revisions anew: they tell nothing.
    const isAnother = revision < this.#revision;
    const there = new Set(entries.map(({ key }) => key));
    for (const key of [...this.#known.keys()]) if (!there.has(key)) this.#delete(key);
    for (const entry of entries) {
      if (isAnother || this.#known.get(entry.key) !== entry.modified) this.#put(entry);
    }
    this.#revision = revision;
  }

  #take(changes: readonly Change[], revision: number): void {
    for (const change of changes) {
      if (change.kind === "put") this.#put(change.entry);
      else this.#delete(change.key);
    }
    this.#revision = revision;
  }

  #put(entry: Entry): void {
    if (this.#isOver) return;
    this.#known.set(entry.key, entry.modified);
    this.#events.onPut(entry);
  }

  #delete(key: string): void {
    if (this.#isOver || !this.#known.delete(key)) return;
    this.#events.onDelete(key);
  }
}
