import { TIMESTAMP_LENGTH } from "../wire/tunnel/wireguard.js";

/** TAI64N labels a second of 1970 with 2^62, plus 10 s that TAI was ahead of UTC then; leap seconds are not counted. */
const EPOCH = 2n ** 62n + 10n;
const NANOSECONDS = 1_000_000_000;

/**
 * Timestamps of initiations (§5.1): labels TAI64N of the wall clock, each greater than the one before, as the other end
 * takes no other.
 *
 * A clock that jumps back makes the next ones greater by a nanosecond each, as long as this process lives. If the process
 * is started again meanwhile, other ends take no initiation of ours until the clock is where it was: those of Slipway begin
 * a handshake themselves then, and forget timestamps when the store says that this host went.
 */
export class Timestamps {
  #seconds = 0;
  #nanoseconds = 0;

  /** @param wallClock ms since 1970 */
  next(wallClock: number): Uint8Array {
    const seconds = Math.floor(wallClock / 1000);
    const nanoseconds = Math.floor(wallClock % 1000) * 1_000_000;
    if (this.#isLater(seconds, nanoseconds)) this.#set(seconds, nanoseconds);
    else if (this.#nanoseconds + 1 < NANOSECONDS) this.#nanoseconds += 1;
    else this.#set(this.#seconds + 1, 0);
    const label = Buffer.alloc(TIMESTAMP_LENGTH);
    label.writeBigUInt64BE(EPOCH + BigInt(this.#seconds), 0);
    label.writeUInt32BE(this.#nanoseconds, 8);
    return label;
  }

  #isLater(seconds: number, nanoseconds: number): boolean {
    if (seconds !== this.#seconds) return seconds > this.#seconds;
    return nanoseconds > this.#nanoseconds;
  }

  #set(seconds: number, nanoseconds: number): void {
    this.#seconds = seconds;
    this.#nanoseconds = nanoseconds;
  }
}

/** Whether a label is later than another. */
export function isLater(label: Uint8Array, than: Uint8Array): boolean {
  return Buffer.compare(label, than) > 0;
}
