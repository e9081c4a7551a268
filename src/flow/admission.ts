import { TokenBucket } from "../base/token-bucket.js";
import { Errno } from "../sys/constants.js";

/** Part of a second's beginnings that may come at once: programs open many at their start. */
const BURST = 1 / 10;

/**
 * While bulk is under way one more may begin for each so many bytes of it, some 400 µs of work: a tenth
 * of the processor, however much of one we have.
 */
const BULK_FOR_ONE = 512 * 1024;

/** Bytes of one wake-up that are bulk, and for how long they count, in ms. */
const BULK = 64 * 1024;
const BULK_LASTS = 100;

/** Whether a guest moves much. */
export class Load {
  /** Bytes so far. */
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
 * How many of a kind may begin. A host socket costs 15 µs and more, which a flood of beginnings would
 * take from what is under way; so there may be fewer while there is much. What has proved to be meant
 * (the guest has completed its handshake, somebody has answered) gives its token back while there is
 * no bulk, so that floods and scans are slowed down, and programs that are busy are not.
 */
export class Admission {
  readonly #bucket: TokenBucket;
  readonly #load: Load;
  #isBesideBulk = false;
  #movedBefore = 0;

  /** @param most that come to nothing in a second */
  constructor(most: number, load: Load) {
    this.#bucket = new TokenBucket(most, Math.max(1, most * BURST));
    this.#load = load;
  }

  /** One that was let through has proved to be meant. */
  giveBack(): void {
    if (!this.#isBesideBulk) this.#bucket.giveBack();
  }

  /** Whether one more may begin now. @param now in ms */
  take(now: number): boolean {
    this.#isBesideBulk = this.#load.isBulky(now);
    if (!this.#isBesideBulk) return this.#bucket.take(now);
    const { moved } = this.#load;
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
