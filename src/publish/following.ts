/** Time until the next scan, in ms. It doubles with each scan that finds nothing new: servers start in groups, mostly early. */
const SHORTEST_WAIT = 100;

/** When what could not be had is tried again, in ms. */
const RETRY_AFTER = 2_000;

/** Most that is tried after one scan: a guest may listen on any number of ports that cannot be had. */
const MOST_TRIED = 128;

/** How ports follow listeners. */
export interface FollowingRules<Wanted, Held> {
  /** The longest time until the next scan, in ms. */
  readonly longestWait: number;
  /** Whether what is held is still what is wanted by the same key. */
  isSame(wanted: Wanted, held: Held): boolean;
  /** Whether something else serves it already. */
  isServed(wanted: Wanted): boolean;
  /**
   * @param all what is wanted besides
   * @returns a negative errno when it cannot be had
   */
  begin(wanted: Wanted, all: ReadonlyMap<string, Wanted>): Held | number;
  end(held: Held): void;
}

/** Holds ports for as long as something listens for them. */
export class Following<Wanted, Held extends object> {
  readonly #rules: FollowingRules<Wanted, Held>;
  readonly #held = new Map<string, Held>();
  /** When what could not be had is tried again, in ms, by key. */
  readonly #retryAt = new Map<string, number>();
  #wait = SHORTEST_WAIT;

  constructor(rules: FollowingRules<Wanted, Held>) {
    this.#rules = rules;
  }

  get held(): ReadonlyMap<string, Held> {
    return this.#held;
  }

  /**
   * Ends what is no longer wanted, and begins what is new.
   * @param now in ms
   * @returns ms until the next scan
   */
  update(wanted: ReadonlyMap<string, Wanted>, now: number): number {
    const ended = this.#endOthers(wanted);
    const begun = this.#begin(wanted, now);
    const longer = Math.min(2 * this.#wait, this.#rules.longestWait);
    this.#wait = ended || begun ? SHORTEST_WAIT : longer;
    return this.#wait;
  }

  #endOthers(wanted: ReadonlyMap<string, Wanted>): boolean {
    let ended = false;
    for (const [key, held] of this.#held) {
      const still = wanted.get(key);
      if (still !== undefined && this.#rules.isSame(still, held)) continue;
      this.#held.delete(key);
      ended = true;
      this.#rules.end(held);
    }
    for (const key of this.#retryAt.keys()) if (!wanted.has(key)) this.#retryAt.delete(key);
    return ended;
  }

  #begin(wanted: ReadonlyMap<string, Wanted>, now: number): boolean {
    let begun = false;
    let tried = 0;
    for (const [key, each] of wanted) {
      if (this.#held.has(key) || (this.#retryAt.get(key) ?? 0) > now) continue;
      if (this.#rules.isServed(each)) continue;
      if (tried === MOST_TRIED) return true;
      tried += 1;
      const held = this.#rules.begin(each, wanted);
      if (typeof held === "number") {
        this.#retryAt.set(key, now + RETRY_AFTER);
      } else {
        this.#held.set(key, held);
        this.#retryAt.delete(key);
        begun = true;
      }
    }
    return begun;
  }
}
