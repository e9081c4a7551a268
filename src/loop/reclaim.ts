import { reclaimMemory } from "../sys/reclaim.js";

/** A pause is a time without a wake-up, of so many ms. */
const QUIET = 1_000;
/** Memory is given back in the first pause after the start, and in the first after so many more wake-ups. */
const RECLAIM_WAKES = 10_000;

/** Gives memory that nobody uses any more back to the kernel, in pauses of the traffic. */
export class Reclaimer {
  /** Called when memory has been given back: what was compiled may have gone with it. */
  onReclaimed: (() => void) | null = null;
  /** How many wake-ups there have been. */
  #wakes = 0;
  /** Number of the wake-up after which memory is given back. */
  #reclaimAt = 0;
  /** Not null while a pause is waited for. */
  #timer: NodeJS.Timeout | null = null;

  /** A number for each wake-up. */
  get wakes(): number {
    return this.#wakes;
  }

  /** Called once for each wake-up. */
  onWake(): void {
    this.#wakes += 1;
    if (this.#wakes === this.#reclaimAt) this.whenQuiet();
  }

  /** Gives memory back as soon as there was no wake-up for QUIET ms. */
  whenQuiet(): void {
    if (this.#timer !== null) return;
    const before = this.#wakes;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      if (this.#wakes === before) this.#reclaim();
      else this.whenQuiet();
    }, QUIET);
    this.#timer.unref();
  }

  #reclaim(): void {
    reclaimMemory();
    this.#reclaimAt = this.#wakes + RECLAIM_WAKES;
    this.onReclaimed?.();
  }
}
