/**
 * Ids for the tokens of descriptors. A released id is not taken again before reap(): events that were fetched before
 * its descriptor was closed still carry it.
 */
export class IdPool {
  /** Free ids, followed by released ones that wait for reap(). */
  readonly #ids: number[] = [];
  /** Number of free ids. */
  #free = 0;
  #next = 0;

  /** @returns the free id that was released last; without one, the lowest id never taken */
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

  /** @param id taken before; released once */
  release(id: number): void {
    this.#ids.push(id);
  }

  /** Makes released ids free. Call it when all fetched events have been handled. */
  reap(): void {
    this.#free = this.#ids.length;
  }
}
