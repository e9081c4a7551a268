import { monotonicMs } from "../base/clock.js";
import type { Loop } from "../loop/loop.js";

/** Most time of a wake-up for clients, in ms; the last part of an answer may exceed it. */
const MOST_IN_WAKE = 1;

/** While there is bulk traffic, clients get 1/SHARE of the processor's time. */
const SHARE = 10;
/** Time after which they pause then, and the longest pause, in ms. */
const STRETCH = 0.1;
const LONGEST_REST = 20;

/** The part of the loop that TimeShare needs. */
type LoopState = Pick<Loop, "wakes" | "carriesBulk">;

/** Limits the time of the loop that clients of the API use, as packets come first. */
export class TimeShare {
  readonly #loop: LoopState;
  #wake = -1;
  #spentInWake = 0;
  #spent = 0;
  #restsUntil = 0;
  #began = 0;

  constructor(loop: LoopState) {
    this.#loop = loop;
  }

  /** Whether a client may be served now. If so, call end() afterwards. */
  begin(): boolean {
    const now = monotonicMs();
    if (now < this.#restsUntil) return false;
    if (this.#wake !== this.#loop.wakes) {
      this.#wake = this.#loop.wakes;
      this.#spentInWake = 0;
    }
    this.#began = now;
    return this.#spentInWake < MOST_IN_WAKE;
  }

  /** Whether the time of this wake-up is used up, including that since begin(). */
  get isOver(): boolean {
    return this.#spentInWake + monotonicMs() - this.#began >= MOST_IN_WAKE;
  }

  /** @returns for how many ms no client may be served from now on */
  end(): number {
    const now = monotonicMs();
    const time = now - this.#began;
    this.#spentInWake += time;
    if (!this.#loop.carriesBulk) return 0;
    this.#spent += time;
    if (this.#spent < STRETCH) return 0;
    // Bounded, as part of the time may have been that of other processes.
    const rest = Math.min(this.#spent * (SHARE - 1), LONGEST_REST);
    this.#spent = 0;
    this.#restsUntil = now + rest;
    return rest;
  }
}
