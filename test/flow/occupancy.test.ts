import { describe, expect, test } from "vitest";
import { DropReason } from "../../src/base/drop.js";
import { DEFAULT_LIMITS } from "../../src/base/limits.js";
import { Occupancy } from "../../src/flow/occupancy.js";

const limits = { ...DEFAULT_LIMITS, flows: 4, flowsPerDestination: 2, halfOpen: 3 };
const [one, two, three] = [1, 2, 3];

describe("too many connections", () => {
  test("in all: that which was idle for longest ends", () => {
    const occupancy = new Occupancy(limits);
    const seats = [one, one, two, null].map((to, id) => occupancy.add(id, to, false));
    expect(occupancy.surplusFor(three, false)).toEqual({ id: 0, reason: DropReason.LimitFlows });
    occupancy.touch(seats[0]);
    expect(occupancy.surplusFor(null, false)).toEqual({ id: 1, reason: DropReason.LimitFlows });
    occupancy.remove(seats[1]);
    expect(occupancy.surplusFor(three, false)).toBeNull();
  });

  test("to one destination: that of those", () => {
    const occupancy = new Occupancy(limits);
    const seats = [two, one, one].map((to, id) => occupancy.add(id, to, false));
    const reason = DropReason.LimitDestination;
    expect(occupancy.surplusFor(one, false)).toEqual({ id: 1, reason });
    occupancy.touch(seats[1]);
    expect(occupancy.surplusFor(one, false)).toEqual({ id: 2, reason });
    expect(occupancy.surplusFor(two, false)).toBeNull();
    expect(occupancy.surplusFor(null, false)).toBeNull();
  });

  test("without an answer: that which has waited for longest", () => {
    const occupancy = new Occupancy(limits);
    const seats = [one, two, three].map((to, id) => occupancy.add(id, to, true));
    const reason = DropReason.LimitHalfOpen;
    occupancy.touch(seats[0]);
    expect(occupancy.surplusFor(null, true)).toEqual({ id: 0, reason });
    expect(occupancy.surplusFor(null, false)).toBeNull();
    occupancy.settle(seats[1]);
    expect(occupancy.surplusFor(null, true)).toBeNull();
    for (const seat of seats) occupancy.remove(seat);
    expect(occupancy.surplusFor(one, true)).toBeNull();
  });
});
