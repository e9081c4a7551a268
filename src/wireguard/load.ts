import type { Address } from "../base/address.js";
import { TokenBucket } from "../base/token-bucket.js";

/*
 * How much handshakes may cost. An initiation that we answer takes about 0.5 ms of a processor, most of it four times X25519
 * (33 µs each, m) and the hashes. Handshakes share a thread with all that members send.
 *
 *   messages so far                      |  asked of the next one
 *   few                                  |  to know our public key
 *   more than CALM in a short time       |  a cookie as well: its sender is at its address
 *   more than PER_SOURCE from an address |  dropped
 *   more than WORK with cookies          |  dropped
 */

/** Messages a second beyond which senders must have a cookie. */
const CALM = 100;
const CALM_AT_ONCE = 32;
/** For so long after that, in ms. */
const LOADED_FOR = 1_000;
/** Messages with a cookie that are worked on, a second: a fifth of a processor. */
const WORK = 400;
/** Those in one wake-up: 8 ms. */
const WORK_AT_ONCE = 16;
/** Messages from one address that are worked on in LOADED_FOR, while there is load (§5.3). */
const PER_SOURCE = 20;
/** Addresses that are counted. More than could be worked on; a longer list would be memory for attackers. */
const MOST_SOURCES = 1_024;
/** Cookies that are given, a second. */
const REPLIES = 1_000;

/** What is done with a message of a handshake. `prove`: it must have a cookie. */
export type Admission = "work" | "prove";

export class Load {
  readonly #calm = new TokenBucket(CALM, CALM_AT_ONCE);
  readonly #work = new TokenBucket(WORK, WORK_AT_ONCE);
  readonly #replies = new TokenBucket(REPLIES, REPLIES / 10);
  readonly #sources = new Map<string, number>();
  #loadedUntil = Number.NEGATIVE_INFINITY;
  #countedUntil = Number.NEGATIVE_INFINITY;

  /** A message has come from somebody who knows our public key. */
  arrive(now: number): Admission {
    if (now >= this.#loadedUntil && this.#calm.take(now)) return "work";
    if (now >= this.#loadedUntil) this.#loadedUntil = now + LOADED_FOR;
    return "prove";
  }

  /** Whether a message is worked on whose sender has proven that it is at its address. */
  admits(source: Address, now: number): boolean {
    return this.#isModest(source, now) && this.#work.take(now);
  }

  /** Whether one more cookie may be given. */
  admitsReply(now: number): boolean {
    return this.#replies.take(now);
  }

  #isModest(source: Address, now: number): boolean {
    if (now >= this.#countedUntil) {
      this.#sources.clear();
      this.#countedUntil = now + LOADED_FOR;
    }
    const key = sourceKey(source);
    const count = this.#sources.get(key) ?? 0;
    if (count === 0 && this.#sources.size >= MOST_SOURCES) return false;
    this.#sources.set(key, count + 1);
    return count < PER_SOURCE;
  }
}

/** Whoever has one IPv6 address mostly has all of its /64. */
function sourceKey({ family, w0, w1, w3 }: Address): string {
  return family === 4 ? `${w3}` : `${w0}:${w1}`;
}
