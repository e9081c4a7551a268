import { DropReason } from "../base/drop.js";
import { type LruEntry, LruList } from "../base/lru-list.js";
import type { Limits } from "../config/limits.js";

/** One connection's entry in a FlowLimiter. */
export interface Slot {
  /** Its place among all connections. */
  readonly all: LruEntry<number>;
  /** Its place among connections to the same destination; null when those are not limited. */
  readonly same: Same | null;
  /** Its place among half-open connections; null once both sides are established. */
  halfOpen: LruEntry<number> | null;
}

interface Same {
  readonly destination: number;
  readonly list: LruList<number>;
  readonly place: LruEntry<number>;
}

/** A connection that must end before another may begin, and the limit that it falls to. */
export interface Eviction {
  readonly id: number;
  readonly reason: DropReason;
}

/** Limits the TCP connections of one guest. At a limit the connection that has been idle longest must end. */
export class FlowLimiter {
  readonly #limits: Limits;
  readonly #all = new LruList<number>();
  readonly #halfOpen = new LruList<number>();
  readonly #byDestination = new Map<number, LruList<number>>();

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  /**
   * The next connection that must end before one more may begin. End it and ask again until null.
   * @param destination endpointKey of the new connection's; null when it is not limited
   * @param isHalfOpen whether the new connection counts as half-open
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

  /** The connection that has been idle longest; null when there is none. */
  get oldest(): number | null {
    return this.#all.oldest;
  }

  add(id: number, destination: number | null, isHalfOpen: boolean): Slot {
    return {
      all: this.#all.add(id),
      same: destination === null ? null : this.#addTo(destination, id),
      halfOpen: isHalfOpen ? this.#halfOpen.add(id) : null,
    };
  }

  /** Notes that bytes went either way. */
  touch({ all, same }: Slot): void {
    this.#all.touch(all);
    if (same !== null) same.list.touch(same.place);
  }

  /** Notes that both sides are established. */
  settle(slot: Slot): void {
    if (slot.halfOpen !== null) this.#halfOpen.remove(slot.halfOpen);
    slot.halfOpen = null;
  }

  remove(slot: Slot): void {
    this.settle(slot);
    this.#all.remove(slot.all);
    if (slot.same === null) return;
    const { destination, list, place } = slot.same;
    list.remove(place);
    if (list.count === 0) this.#byDestination.delete(destination);
  }

  #addTo(destination: number, id: number): Same {
    const list = this.#byDestination.get(destination) ?? new LruList<number>();
    this.#byDestination.set(destination, list);
    return { destination, list, place: list.add(id) };
  }
}

function oldestOf(
  list: LruList<number> | undefined,
  most: number,
  reason: DropReason,
): Eviction | null {
  if (list === undefined || list.count < most || list.oldest === null) return null;
  return { id: list.oldest, reason };
}
