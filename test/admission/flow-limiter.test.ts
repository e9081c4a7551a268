import { describe, expect, test } from "vitest";
import { FlowLimiter } from "../../src/admission/flow-limiter.js";
import { DropReason } from "../../src/base/drop.js";
import { DEFAULT_LIMITS } from "../../src/config/limits.js";

const limits = { ...DEFAULT_LIMITS, flows: 4, flowsPerDestination: 2, halfOpen: 3 };
const [one, two, three] = [1, 2, 3];

describe("too many connections", () => {
  test("in all: the one idle for longest ends", () => {
    const limiter = new FlowLimiter(limits);
    const slots = [one, one, two, null].map((to, id) => limiter.add(id, to, false));
    expect(limiter.evictionFor(three, false)).toEqual({ id: 0, reason: DropReason.LimitFlows });
    limiter.touch(slots[0]);
    expect(limiter.evictionFor(null, false)).toEqual({ id: 1, reason: DropReason.LimitFlows });
    limiter.remove(slots[1]);
    expect(limiter.evictionFor(three, false)).toBeNull();
  });

  test("to one destination: the one of those idle for longest ends", () => {
    const limiter = new FlowLimiter(limits);
    const slots = [two, one, one].map((to, id) => limiter.add(id, to, false));
    const reason = DropReason.LimitDestination;
    expect(limiter.evictionFor(one, false)).toEqual({ id: 1, reason });
    limiter.touch(slots[1]);
    expect(limiter.evictionFor(one, false)).toEqual({ id: 2, reason });
    expect(limiter.evictionFor(two, false)).toBeNull();
    expect(limiter.evictionFor(null, false)).toBeNull();
  });

  test("without an answer: the one that has waited longest ends", () => {
    const limiter = new FlowLimiter(limits);
    const slots = [one, two, three].map((to, id) => limiter.add(id, to, true));
    const reason = DropReason.LimitHalfOpen;
    limiter.touch(slots[0]);
    expect(limiter.evictionFor(null, true)).toEqual({ id: 0, reason });
    expect(limiter.evictionFor(null, false)).toBeNull();
    limiter.settle(slots[1]);
    expect(limiter.evictionFor(null, true)).toBeNull();
    for (const slot of slots) limiter.remove(slot);
    expect(limiter.evictionFor(one, true)).toBeNull();
  });
});
