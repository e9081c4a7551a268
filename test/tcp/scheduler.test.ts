import { beforeEach, describe, expect, it } from "vitest";
import { FlowLimiter } from "../../src/admission/flow-limiter.js";
import { NEVER } from "../../src/base/clock.js";
import { DEFAULT_LIMITS } from "../../src/config/limits.js";
import { TICK_INTERVAL } from "../../src/stack/stack.js";
import { TcpFlow } from "../../src/tcp/flow.js";
import { QUANTUM, Scheduler } from "../../src/tcp/scheduler.js";

const MIB = 1024 * 1024;

let scheduler: Scheduler;
let served: number[];

beforeEach(() => {
  scheduler = new Scheduler();
  served = [];
});

const limiter = new FlowLimiter(DEFAULT_LIMITS);

function makeFlow(id: number): TcpFlow {
  return new TcpFlow(id, -1, 0, limiter.add(id, null, false), 0);
}

/** A server whose flows always have a quantum of data more. */
const insatiable = {
  serve(flow: TcpFlow): void {
    served.push(flow.id);
    scheduler.spend(QUANTUM);
    scheduler.queue(flow, "ready");
  },
};

/** A server whose flows receive nothing. */
const idle = {
  serve(flow: TcpFlow): void {
    served.push(flow.id);
  },
};

/** Two small turns of one flow. */
function converse(): void {
  const flow = makeFlow(9);
  scheduler.note(flow, 100);
  scheduler.note(flow, 100);
}

describe("ready flows", () => {
  it("are served in turn, a quantum each, until the wake-up's budget is used", () => {
    for (const id of [0, 1, 2]) scheduler.queue(makeFlow(id), "ready");
    scheduler.turn(0, insatiable);
    // The budget is looked at between rounds: the last round may exceed it.
    const rounds = Math.ceil(MIB / QUANTUM / 3);
    expect(served).toEqual(Array.from({ length: rounds }, () => [0, 1, 2]).flat());
    expect(scheduler.nextAt(7)).toBe(7);
  });

  it("are not served while the budget is used, and the next wake-up has a new one", () => {
    scheduler.queue(makeFlow(0), "ready");
    scheduler.spend(MIB);
    expect(scheduler.hasBudget).toBe(false);
    scheduler.turn(0, idle);
    expect(served).toEqual([]);
    expect(scheduler.hasBudget).toBe(true);
    scheduler.turn(0, idle);
    expect(served).toEqual([0]);
    expect(scheduler.nextAt(0)).toBe(NEVER);
  });

  it("are queued once", () => {
    const flow = makeFlow(0);
    scheduler.queue(flow, "ready");
    scheduler.queue(flow, "ready");
    scheduler.queue(flow, "starved");
    scheduler.turn(0, idle);
    expect(served).toEqual([0]);
  });

  it("are left out when they have ended since", () => {
    const flow = makeFlow(0);
    scheduler.queue(flow, "ready");
    flow.queued = null;
    scheduler.turn(0, idle);
    expect(served).toEqual([]);
  });
});

describe("starved flows", () => {
  it("are served every 10 ms at most, and asked for after a tick of the stack", () => {
    scheduler.queue(makeFlow(0), "starved");
    expect(scheduler.nextAt(50)).toBe(50 + TICK_INTERVAL);
    scheduler.turn(50, idle);
    scheduler.queue(makeFlow(1), "starved");
    scheduler.turn(59, idle);
    expect(served).toEqual([0]);
    scheduler.turn(60, idle);
    expect(served).toEqual([0, 1]);
    expect(scheduler.nextAt(60)).toBe(NEVER);
  });

  it("that become ready are served once", () => {
    const flow = makeFlow(0);
    scheduler.queue(flow, "starved");
    scheduler.queue(flow, "ready");
    scheduler.turn(0, idle);
    expect(served).toEqual([0]);
  });

  it("that starve again wait again", () => {
    const starving = {
      serve(flow: TcpFlow): void {
        served.push(flow.id);
        scheduler.queue(flow, "starved");
      },
    };
    scheduler.queue(makeFlow(0), "starved");
    scheduler.turn(0, starving);
    expect(served).toEqual([0]);
    scheduler.turn(10, starving);
    expect(served).toEqual([0, 0]);
  });
});

describe("a conversation", () => {
  it("is a flow that receives little twice in a row", () => {
    const flow = makeFlow(0);
    scheduler.note(flow, 100);
    scheduler.note(flow, 0);
    scheduler.note(flow, 4096);
    scheduler.note(flow, 100);
    expect(scheduler.hasConversations).toBe(false);
    scheduler.note(flow, 4095);
    expect(scheduler.hasConversations).toBe(true);
  });

  it("makes 1,024 wake-ups short, beginning with the next", () => {
    converse();
    scheduler.queue(makeFlow(0), "ready");
    scheduler.turn(0, insatiable);
    expect(served.length).toBe(MIB / QUANTUM);
    served = [];
    scheduler.turn(0, insatiable);
    expect(served.length).toBe(MIB / 4 / QUANTUM);
    for (let wakes = 2; wakes < 1_024; wakes += 1) scheduler.turn(0, insatiable);
    expect(scheduler.hasConversations).toBe(false);
    served = [];
    scheduler.turn(0, insatiable);
    expect(served.length).toBe(MIB / QUANTUM);
  });
});
