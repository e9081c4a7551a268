/** Heavy guests are limited for so many ms after a frame of a guest that sends little. */
const CROWDED = 5;
/** The part of the time that they get then, and the ms of service after which they rest. */
const SHARE = 0.3;
const STRETCH = 0.03;
/** A stretch that seems longer, in ms, is one in which the scheduler ran another process. */
const LONGEST_STRETCH = 1;

/**
 * Decides when heavy guests rest, so that guests beside them that send little are served quickly. Without rests the
 * process never sleeps, and whoever waits for a frame waits for the processor, too: whole ticks of the scheduler.
 *
 * There are two times, both in ms: `now` stays the same for a whole wake-up, `clock` goes on.
 */
export class HeavyShare {
  /** When a heavy guest was last served, and when a guest beside it that sends little. */
  #heavyAt = Number.NEGATIVE_INFINITY;
  #modestAt = Number.NEGATIVE_INFINITY;
  /** How long heavy guests have been served since their last rest, in ms. */
  #stretch = 0;
  /** When the service of this wake-up began. */
  #began = 0;
  #restsUntil = 0;

  /** Whether a heavy guest was served in the last CROWDED ms. */
  isFlooded(now: number): boolean {
    return now - this.#heavyAt < CROWDED;
  }

  /** A guest that has not been heavy since then counts as one that sends little. */
  modestSince(now: number): number {
    return now - CROWDED;
  }

  /** A guest that sends little has sent something. */
  noteModest(now: number): void {
    this.#modestAt = now;
  }

  /** Adds time that others took for what heavy guests caused. */
  spend(ms: number): void {
    this.#stretch += ms;
  }

  /** Called before the heavy guests of a wake-up are served. */
  begin(now: number, clock: number): void {
    this.#heavyAt = now;
    this.#began = clock;
  }

  /** Called after they were served. @returns whether they rest from now on, until hasRested() */
  end(now: number, clock: number): boolean {
    if (now - this.#modestAt >= CROWDED) {
      this.#stretch = 0;
      return false;
    }
    this.#stretch += clock - this.#began;
    if (this.#stretch < STRETCH) return false;
    const stretch = Math.min(this.#stretch, LONGEST_STRETCH);
    this.#restsUntil = clock + stretch * (1 / SHARE - 1);
    this.#stretch = 0;
    return true;
  }

  hasRested(clock: number): boolean {
    return clock >= this.#restsUntil;
  }

  /** @returns ms that are left of the rest; at least 0 */
  restLeft(clock: number): number {
    return Math.max(0, this.#restsUntil - clock);
  }
}
