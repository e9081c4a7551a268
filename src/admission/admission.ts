import { TokenBucket } from "../base/token-bucket.js";
import { Errno } from "../sys/constants.js";
import type { BulkMeter } from "./bulk-meter.js";

/** The bucket holds this part of a second's tokens, as programs open many flows when they start. */
const BURST = 1 / 10;

/**
 * While the guest moves bulk, one more flow may begin for each 512 KiB, which take about 400 µs to move.
 * Opening a flow takes a tenth of that, so new flows get a tenth of the processor time.
 */
const BULK_FOR_ONE = 512 * 1024;

/**
 * Limits the rate at which flows of one kind begin. A host socket costs 15 µs or more, which a flood of new
 * flows would take from established ones. A flow that proves genuine (the guest completed its handshake, or
 * somebody answered) gives its token back, so this slows floods and scans but not busy programs. While the
 * guest moves bulk, the limit is lower and no token comes back.
 */
export class Admission {
  readonly #bucket: TokenBucket;
  readonly #bulk: BulkMeter;
  #isBesideBulk = false;
  #movedBefore = 0;

  /** @param most flows per second that do not give their token back */
  constructor(most: number, bulk: BulkMeter) {
    this.#bucket = new TokenBucket(most, Math.max(1, most * BURST));
    this.#bulk = bulk;
  }

  /** Returns the token of a flow that proved genuine. */
  giveBack(): void {
    if (!this.#isBesideBulk) this.#bucket.giveBack();
  }

  /**
   * Takes a token for one more flow.
   * @param now in ms
   * @returns whether it may begin
   */
  take(now: number): boolean {
    this.#isBesideBulk = this.#bulk.isBulky(now);
    if (!this.#isBesideBulk) return this.#bucket.take(now);
    const { moved } = this.#bulk;
    const paid = (moved - this.#movedBefore) / BULK_FOR_ONE;
    this.#movedBefore = moved;
    return this.#bucket.take(now, paid);
  }
}

/** Whether a call failed because the kernel had no memory at the moment. @param errno positive */
export function isOutOfMemory(errno: number): boolean {
  return errno === Errno.ENOBUFS || errno === Errno.ENOMEM;
}

/** Whether a call failed because the process or the system has no descriptor left. @param errno positive */
export function isOutOfDescriptors(errno: number): boolean {
  return errno === Errno.EMFILE || errno === Errno.ENFILE;
}
