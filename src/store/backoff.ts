/**
 * A time between a quarter of `ms` and all of it, by chance: what many hosts do at one moment is spread when they do
 * it again.
 */
export function jittered(ms: number): number {
  return ms * (0.25 + 0.75 * Math.random());
}

/** Delays between attempts, each twice as long as the last, up to a limit. */
export class Backoff {
  readonly #first: number;
  readonly #most: number;
  #next: number;

  /** @param first in ms, as is `most` */
  constructor(first: number, most: number) {
    this.#first = first;
    this.#most = most;
    this.#next = first;
  }

  /** How long to wait before the next attempt, in ms, jittered. */
  next(): number {
    const delay = jittered(this.#next);
    this.#next = Math.min(2 * this.#next, this.#most);
    return delay;
  }

  /** An attempt has succeeded. */
  reset(): void {
    this.#next = this.#first;
  }
}
