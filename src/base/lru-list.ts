/** A value's entry in an {@link LruList}. Its owner keeps it and does nothing else with it. */
export class LruEntry<T> {
  readonly value: T;
  older: LruEntry<T> | null = null;
  newer: LruEntry<T> | null = null;

  constructor(value: T) {
    this.value = value;
  }
}

/**
 * Values in the order of their last use, as a doubly linked list. All operations, also finding the least recently used
 * value, take constant time.
 */
export class LruList<T> {
  #oldest: LruEntry<T> | null = null;
  #newest: LruEntry<T> | null = null;
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** The least recently used value; null when the list is empty. */
  get oldest(): T | null {
    return this.#oldest?.value ?? null;
  }

  add(value: T): LruEntry<T> {
    const entry = new LruEntry(value);
    this.#append(entry);
    this.#count += 1;
    return entry;
  }

  /** Marks the entry as used now. */
  touch(entry: LruEntry<T>): void {
    if (entry === this.#newest) return;
    this.#unlink(entry);
    this.#append(entry);
  }

  /** @param entry of this list; it must not be used again */
  remove(entry: LruEntry<T>): void {
    this.#unlink(entry);
    this.#count -= 1;
  }

  #append(entry: LruEntry<T>): void {
    entry.older = this.#newest;
    entry.newer = null;
    if (this.#newest === null) this.#oldest = entry;
    else this.#newest.newer = entry;
    this.#newest = entry;
  }

  #unlink({ older, newer }: LruEntry<T>): void {
    if (older === null) this.#oldest = newer;
    else older.newer = newer;
    if (newer === null) this.#newest = older;
    else newer.older = older;
  }
}
