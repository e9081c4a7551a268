import { monotonicMs } from "../base/clock.js";
import type { Loop } from "../loop/loop.js";

/** What one wake-up may be kept by clients, in ms, give or take one part of an answer. */
const MOST_IN_WAKE = 1;

/** While packets come in bulk, clients have one part in so many of the processor's time. */
const SHARE = 10;
/** What they have at a stretch then, and for how long they rest at most, in ms. */
const STRETCH = 0.1;
const LONGEST_REST = 20;

/** What is to be known of the loop. */
type LoopState = Pick<Loop, "wakes" | "carriesBulk">;

/** What clients may have of the loop's time. Packets come first; who is put off is asked again. */
export class Share {
  readonly #loop: LoopState;
  #wake = -1;
  #spentInWake = 0;
  #spent = 0;
  #restsUntil = 0;
  #began = 0;

  constructor(loop: LoopState) {
    this.#loop = loop;
  }

  /** Whether a client may be served now; to be followed by end(). */
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

  /** Whether the time of this wake-up is over, since begin(). */
  get isOver(): boolean {
    return this.#spentInWake + monotonicMs() - this.#began >= MOST_IN_WAKE;
  }

  /** @returns for how many ms nobody is to be served from now on */
  end(): number {
    const now = monotonicMs();
    const time = now - this.#began;
    this.#spentInWake += time;
    if (!this.#loop.carriesBulk) return 0;
    this.#spent += time;
    if (this.#spent < STRETCH) return 0;
    // A part of it may have been somebody else's, as when we were put off the processor.
    const rest = Math.min(this.#spent * (SHARE - 1), LONGEST_REST);
    this.#spent = 0;
    this.#restsUntil = now + rest;
    return rest;
  }
}
