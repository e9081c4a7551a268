/** A wake-up that moves at least so many bytes moves bulk. */
const BULK_BYTES = 64 * 1024;
/** How long a guest counts as moving bulk after such a wake-up, in ms. */
const BULK_LASTS = 100;

/** Counts the bytes that a guest moves and tells whether it moves bulk. */
export class BulkMeter {
  /** Bytes since the beginning. */
  moved = 0;
  #until = Number.NEGATIVE_INFINITY;

  /**
   * @param moved bytes in this wake-up
   * @param now in ms
   */
  note(moved: number, now: number): void {
    this.moved += moved;
    if (moved >= BULK_BYTES) this.#until = now + BULK_LASTS;
  }

  /** @param now in ms */
  isBulky(now: number): boolean {
    return now < this.#until;
  }
}
