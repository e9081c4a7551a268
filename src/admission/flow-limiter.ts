import { DropReason } from "../base/drop.js";
import { type Place, Recency } from "../base/lru-list.js";
import type { Limits } from "../config/limits.js";

/** One connection's entry in a FlowLimiter, from its beginning to its end. */
export interface Slot {
  readonly among: Place<number>;
  /** Its place among connections to the same destination; null where that is not limited. */
  readonly same: Same | null;
  /** Its place among half-open connections; null once both sides are established. */
  halfOpen: Place<number> | null;
}

interface Same {
  readonly destination: number;
  readonly list: Recency<number>;
  readonly place: Place<number>;
}

/** The connection that must end before another may begin, and the limit that says so. */
export interface Eviction {
  readonly id: number;
  readonly reason: DropReason;
}

/** Limits the TCP connections of one guest. At a limit the one that has been idle for longest must end. */
export class FlowLimiter {
  readonly #limits: Limits;
  readonly #all = new Recency<number>();
  readonly #halfOpen = new Recency<number>();
  readonly #byDestination = new Map<number, Recency<number>>();

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  /**
   * The next connection that must end before one more may begin; end it and ask again, until null.
   * @param destination of the new one, an endpointKey; null where that is not limited
   * @param isHalfOpen whether the new one counts as half-open
   */
  evictionFor(destination: number | null, isHalfOpen: boolean): Eviction | null {
    const { flows, flowsPerDestination, halfOpen } = this.#limits;
    const those = destination === null ? undefined : this.#byDestination.get(destination);
    return (
      (isHalfOpen ? oldestOf(this.#halfOpen, halfOpen, DropReason.LimitHalfOpen) : null) ??
      oldestOf(those, flowsPerDestination, DropReason.LimitDestination) ??
      oldestOf(this.#all, flows, DropReason.LimitFlows)
    );
  }

  /** The connection that has been idle for longest; null when there is none. */
  get oldest(): number | null {
    return this.#all.oldest;
  }

  add(id: number, destination: number | null, isHalfOpen: boolean): Slot {
    return {
      among: this.#all.add(id),
      same: destination === null ? null : this.#addTo(destination, id),
      halfOpen: isHalfOpen ? this.#halfOpen.add(id) : null,
    };
  }

  /** The connection is in use: bytes went either way. */
  touch({ among, same }: Slot): void {
    this.#all.touch(among);
    if (same !== null) same.list.touch(same.place);
  }

  /** Both sides are established: the connection is not half-open any more. */
  settle(slot: Slot): void {
    if (slot.halfOpen !== null) this.#halfOpen.remove(slot.halfOpen);
    slot.halfOpen = null;
  }

  remove(slot: Slot): void {
    this.settle(slot);
    this.#all.remove(slot.among);
    if (slot.same === null) return;
    const { destination, list, place } = slot.same;
    list.remove(place);
    if (list.count === 0) this.#byDestination.delete(destination);
  }

  #addTo(destination: number, id: number): Same {
    const list = this.#byDestination.get(destination) ?? new Recency<number>();
    this.#byDestination.set(destination, list);
    return { destination, list, place: list.add(id) };
  }
}

function oldestOf(
  list: Recency<number> | undefined,
  most: number,
  reason: DropReason,
): Eviction | null {
  if (list === undefined || list.count < most || list.oldest === null) return null;
  return { id: list.oldest, reason };
}
