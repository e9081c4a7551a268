/** The place of a value in a {@link Recency}; for its owner to keep, and nothing else. */
export class Place<T> {
  readonly value: T;
  older: Place<T> | null = null;
  newer: Place<T> | null = null;

  constructor(value: T) {
    this.value = value;
  }
}

/**
 * Values in the order in which they were last used, as a list linked both ways: at a limit, what has
 * been idle for longest is found at once, however many there are.
 */
export class Recency<T> {
  #oldest: Place<T> | null = null;
  #newest: Place<T> | null = null;
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** What has not been used for longest; null when there is nothing. */
  get oldest(): T | null {
    return this.#oldest?.value ?? null;
  }

  add(value: T): Place<T> {
    const place = new Place(value);
    this.#append(place);
    this.#count += 1;
    return place;
  }

  /** The value was used. */
  touch(place: Place<T>): void {
    if (place === this.#newest) return;
    this.#unlink(place);
    this.#append(place);
  }

  /** @param place of this list; it is not to be used again */
  remove(place: Place<T>): void {
    this.#unlink(place);
    this.#count -= 1;
  }

  #append(place: Place<T>): void {
    place.older = this.#newest;
    place.newer = null;
    if (this.#newest === null) this.#oldest = place;
    else this.#newest.newer = place;
    this.#newest = place;
  }

  #unlink({ older, newer }: Place<T>): void {
    if (older === null) this.#oldest = newer;
    else older.newer = newer;
    if (newer === null) this.#newest = older;
    else newer.older = older;
  }
}
