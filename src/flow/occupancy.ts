import { DropReason } from "../base/drop.js";
import type { Limits } from "../base/limits.js";
import { type Place, Recency } from "../base/recency.js";

/** What a connection takes of the limits, from its beginning to its end. */
export interface Seat {
  readonly among: Place<number>;
  /** Those to the same destination; null where that is not limited. */
  readonly same: Same | null;
  /** null once both sides stand. */
  halfOpen: Place<number> | null;
}

interface Same {
  readonly destination: number;
  readonly list: Recency<number>;
  readonly place: Place<number>;
}

/** A connection that must end for another to begin, and by which limit. */
export interface Surplus {
  readonly id: number;
  readonly reason: DropReason;
}

/** Which TCP connection of a guest ends when there are too many: what was idle for longest. */
export class Occupancy {
  readonly #limits: Limits;
  readonly #all = new Recency<number>();
  readonly #halfOpen = new Recency<number>();
  readonly #byDestination = new Map<number, Recency<number>>();

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  /**
   * What must end first for one more connection to begin; ask again until null.
   * @param destination to whom, as endpointKey has it; null where that is not limited
   * @param isHalfOpen whether the new one counts among those
   */
  surplusFor(destination: number | null, isHalfOpen: boolean): Surplus | null {
    const { flows, flowsPerDestination, halfOpen } = this.#limits;
    const those = destination === null ? undefined : this.#byDestination.get(destination);
    return (
      (isHalfOpen ? oldestOf(this.#halfOpen, halfOpen, DropReason.LimitHalfOpen) : null) ??
      oldestOf(those, flowsPerDestination, DropReason.LimitDestination) ??
      oldestOf(this.#all, flows, DropReason.LimitFlows)
    );
  }

  /** What has been idle for longest of all; null when there is nothing. */
  get oldest(): number | null {
    return this.#all.oldest;
  }

  add(id: number, destination: number | null, isHalfOpen: boolean): Seat {
    return {
      among: this.#all.add(id),
      same: destination === null ? null : this.#addTo(destination, id),
      halfOpen: isHalfOpen ? this.#halfOpen.add(id) : null,
    };
  }

  /** Bytes went either way. */
  touch({ among, same }: Seat): void {
    this.#all.touch(among);
    if (same !== null) same.list.touch(same.place);
  }

  /** Both sides stand. */
  settle(seat: Seat): void {
    if (seat.halfOpen !== null) this.#halfOpen.remove(seat.halfOpen);
    seat.halfOpen = null;
  }

  remove(seat: Seat): void {
    this.settle(seat);
    this.#all.remove(seat.among);
    if (seat.same === null) return;
    const { destination, list, place } = seat.same;
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
): Surplus | null {
  if (list === undefined || list.count < most || list.oldest === null) return null;
  return { id: list.oldest, reason };
}
