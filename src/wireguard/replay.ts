/** Counters that are remembered: a network that delivers out of order must be out of order by more to lose something. */
const WINDOW = 8_192;
const WORDS = WINDOW / 32;
/** The oldest word is cleared, in part or whole, when the window moves; so it is not asked. */
const USABLE = WINDOW - 32;

/** Which counters of a session have been there: a ring of bits for the last ones (RFC 6479). */
export class ReplayWindow {
  readonly #bits = new Uint32Array(WORDS);
  #greatest = -1;

  /** @param counter 0..2^53-1 @returns false for a counter that was there before, or is too old to tell */
  accept(counter: number): boolean {
    if (counter > this.#greatest) this.#moveTo(counter);
    else if (this.#greatest - counter >= USABLE) return false;
    const word = Math.floor(counter / 32) % WORDS;
    const bit = 1 << (counter % 32);
    if ((this.#bits[word] & bit) !== 0) return false;
    this.#bits[word] |= bit;
    return true;
  }

  #moveTo(counter: number): void {
    const first = Math.floor(this.#greatest / 32) + 1;
    const last = Math.floor(counter / 32);
    if (last - first >= WORDS) this.#bits.fill(0);
    else for (let word = first; word <= last; word += 1) this.#bits[word % WORDS] = 0;
    this.#greatest = counter;
  }
}
