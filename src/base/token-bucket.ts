/** A token bucket. Refills at `rate` per second; holds at most `burst` tokens. */
export class TokenBucket {
  readonly #perMs: number;
  readonly #burst: number;
  #tokens: number;
  #filledAt = 0;

  /**
   * @param rate tokens per second
   * @param burst most tokens, at least 1
   */
  constructor(rate: number, burst: number) {
    this.#perMs = rate / 1000;
    this.#burst = burst;
    this.#tokens = burst;
  }

  /**
   * Takes a token.
   * @param now monotonic, in ms
   * @param most most tokens that the time since the last call may add
   * @returns false when there is none
   */
  take(now: number, most = Number.POSITIVE_INFINITY): boolean {
    this.#fill(now, most);
    return this.#spend(1);
  }

  /** Takes `count` tokens, or none. @param now as for take() @returns false when there are fewer */
  takeMany(now: number, count: number): boolean {
    this.#fill(now, Number.POSITIVE_INFINITY);
    return this.#spend(count);
  }

  /** Puts back a token that was taken. */
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
