/** Lets so much through in a second, and as much at once after a pause of `burst`. */
export class TokenBucket {
  /** A millisecond. */
  readonly #perMs: number;
  readonly #burst: number;
  #tokens: number;
  #filledAt = 0;

  /**
   * @param rate a second
   * @param burst most at once, 1 or more
   */
  constructor(rate: number, burst: number) {
    this.#perMs = rate / 1000;
    this.#burst = burst;
    this.#tokens = burst;
  }

  /**
   * Takes a token.
   * @param now ms, never going back
   * @param most tokens that may have come since the last call
   * @returns false when there is none
   */
  take(now: number, most = Number.POSITIVE_INFINITY): boolean {
    this.#fill(now, most);
    return this.#spend(1);
  }

  /** Takes so many tokens, or none. @param now as for take() @returns false when there are fewer */
  takeMany(now: number, count: number): boolean {
    this.#fill(now, Number.POSITIVE_INFINITY);
    return this.#spend(count);
  }

  /** Returns a token that was taken. */
  giveBack(): void {
    this.#tokens = Math.min(this.#tokens + 1, this.#burst);
  }

  #fill(now: number, most: number): void {
    const tokens = this.#tokens + Math.min((now - this.#filledAt) * this.#perMs, most);
    this.#filledAt = now;
    this.#tokens = Math.min(tokens, this.#burst);
  }

  #spend(count: number): boolean {
    if (this.#tokens < count) return false;
    this.#tokens -= count;
    return true;
  }
}
