import { TokenBucket } from "../base/token-bucket.js";
import { Errno } from "../sys/constants.js";

/** The bucket holds this part of a second's tokens: programs open many flows when they start. */
const BURST = 1 / 10;

/**
 * During bulk, one more flow may begin for every so many bytes moved, which take some 400 µs. Opening a flow
 * takes a tenth of that, so new flows get a tenth of our processor time, however much of it we have.
 */
const BULK_FOR_ONE = 512 * 1024;

/** A wake-up that moves so many bytes moves bulk; the guest counts as moving bulk for so many ms after it. */
const BULK = 64 * 1024;
const BULK_LASTS = 100;

/** Counts the bytes that a guest moves, and tells whether they are bulk. */
export class BulkMeter {
  /** Bytes since the beginning. */
  moved = 0;
  #until = Number.NEGATIVE_INFINITY;

  /** @param moved bytes in this wake-up @param now in ms */
  note(moved: number, now: number): void {
    this.moved += moved;
    if (moved >= BULK) this.#until = now + BULK_LASTS;
  }

  isBulky(now: number): boolean {
    return now < this.#until;
  }
}

/**
 * Limits how many flows of one kind may begin. A host socket costs 15 µs and more, time which a flood of new
 * flows would take from established ones; during bulk the limit is lower. A flow that turns out to be
 * genuine (the guest completed its handshake, somebody answered) gives its token back unless there is
 * bulk. This slows down floods and scans, but not busy programs.
 */
export class Admission {
  readonly #bucket: TokenBucket;
  readonly #bulk: BulkMeter;
  #isBesideBulk = false;
  #movedBefore = 0;

  /** @param most flows in a second that never give their token back */
  constructor(most: number, bulk: BulkMeter) {
    this.#bucket = new TokenBucket(most, Math.max(1, most * BURST));
    this.#bulk = bulk;
  }

  /** A flow that take() admitted turned out to be genuine. */
  giveBack(): void {
    if (!this.#isBesideBulk) this.#bucket.giveBack();
  }

  /** Whether one more flow may begin now; takes a token for it. @param now in ms */
  take(now: number): boolean {
    this.#isBesideBulk = this.#bulk.isBulky(now);
    if (!this.#isBesideBulk) return this.#bucket.take(now);
    const { moved } = this.#bulk;
    const paid = (moved - this.#movedBefore) / BULK_FOR_ONE;
    this.#movedBefore = moved;
    return this.#bucket.take(now, paid);
  }
}

/** Whether the kernel had no memory for now. */
export function isOutOfMemory(errno: number): boolean {
  return errno === Errno.ENOBUFS || errno === Errno.ENOMEM;
}

/** Whether an open failed as the process, or the system, has no descriptor left. */
export function isOutOfDescriptors(errno: number): boolean {
  return errno === Errno.EMFILE || errno === Errno.ENFILE;
}
