/**
 * Small numbers for the tokens of descriptors. An id that was released is not taken again before reap():
 * events that were fetched before its descriptor was closed still carry it.
 */
export class IdPool {
  /** Ids that may be taken, then those that wait for reap(). */
  readonly #ids: number[] = [];
  /** How many may be taken. */
  #free = 0;
  #next = 0;

  /** @returns the id released last of those that may be taken; otherwise the lowest that never was taken */
  take(): number {
    if (this.#free === 0) {
      this.#next += 1;
      return this.#next - 1;
    }
    this.#free -= 1;
    const id = this.#ids[this.#free];
    const last = this.#ids.pop();
    if (last !== undefined && this.#free < this.#ids.length) this.#ids[this.#free] = last;
    return id;
  }

  /** @param id one that was taken, and released only once */
  release(id: number): void {
    this.#ids.push(id);
  }

  /** Released ids may be taken from now on. To be called when no fetched event is left. */
  reap(): void {
    this.#free = this.#ids.length;
  }
}
