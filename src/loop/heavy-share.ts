/**
 * For so long after a guest that sends little has sent something, in ms, those that send much have a part
 * of the time only, at a stretch of so many ms. Without a rest the process never sleeps, and then who
 * waits for a frame waits for the processor, too: whole ticks of the scheduler.
 */
const CROWDED = 5;
const SHARE = 0.3;
const STRETCH = 0.03;
/** A longer stretch was somebody else's, who had the processor. */
const LONGEST_STRETCH = 1;

/**
 * When guests that send much are to rest, for the sake of those beside them that send little. Times are
 * two: `now`, which is one for a whole wake-up, and `clock`, which goes on meanwhile; both in ms.
 */
export class HeavyShare {
  /** When a heavy guest sent something last, and when one did beside it that is none. */
  #heavyAt = Number.NEGATIVE_INFINITY;
  #modestAt = Number.NEGATIVE_INFINITY;
  /** For so long heavy guests have been served since they rested last, in ms. */
  #stretch = 0;
  /** When those of this wake-up were begun with. */
  #began = 0;
  #restsUntil = 0;

  /** Whether heavy guests are about. */
  isFlooded(now: number): boolean {
    return now - this.#heavyAt < CROWDED;
  }

  /** Who has sent nothing much since then counts as one that sends little. */
  modestSince(now: number): number {
    return now - CROWDED;
  }

  /** A guest that sends little has sent something. */
  noteModest(now: number): void {
    this.#modestAt = now;
  }

  /** Others spent time on what heavy guests caused: it is of their time. */
  spend(ms: number): void {
    this.#stretch += ms;
  }

  /** The heavy guests of this wake-up are about to be served. */
  begin(now: number, clock: number): void {
    this.#heavyAt = now;
    this.#began = clock;
  }

  /** They have been. @returns whether they are to rest, until hasRested() */
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

  /** @returns ms of the rest that are left, 0 at least */
  restLeft(clock: number): number {
    return Math.max(0, this.#restsUntil - clock);
  }
}
