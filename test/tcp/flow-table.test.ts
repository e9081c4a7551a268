import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { LimitReports } from "../../src/admission/limit-reports.js";
import { Address } from "../../src/base/address.js";
import { DropCounters, DropReason } from "../../src/base/drop.js";
import { DEFAULT_LIMITS, type Limits } from "../../src/config/limits.js";
import { Socket } from "../../src/sys/constants.js";
import { native } from "../../src/sys/native.js";
import { listenSocket } from "../../src/sys/sockets/listening.js";
import {
  acceptSocket,
  connectSocket,
  localAddress,
  openSocket,
  pendingError,
} from "../../src/sys/sockets/socket.js";
import type { TcpFlow } from "../../src/tcp/flow.js";
import { FlowTable } from "../../src/tcp/flow-table.js";

const loopback = Address.ofIpv4Word(0x7f00_0001);
const RULE = 7;

/** What the table has asked of the stack, in order. */
let asked: string[];
let drops: DropCounters;
const peers: number[] = [];

const stack = {
  reset: (id: number) => void asked.push(`reset ${id}`),
  release: (id: number) => void asked.push(`release ${id}`),
};

beforeEach(() => {
  asked = [];
  drops = new DropCounters();
});
afterEach(() => {
  for (const peer of peers) native.close(peer);
  peers.length = 0;
});

function makeTable(limits: Partial<Limits> = {}): FlowTable {
  const all = { ...DEFAULT_LIMITS, ...limits };
  return new FlowTable(stack, all, new LimitReports(drops, all));
}

/** Two ends of a connection on the loopback; the second is closed after the test. */
function connection(): { readonly fd: number; readonly peer: number } {
  const listener = listenSocket(loopback, 0);
  const fd = openSocket(4, Socket.Stream);
  connectSocket(fd, loopback, localAddress(listener)?.port ?? 0);
  const accepted = acceptSocket(listener);
  native.close(listener);
  if (typeof accepted === "number") throw new Error(`accept: ${accepted}`);
  peers.push(accepted.fd);
  return { fd, peer: accepted.fd };
}

function addOutbound(table: FlowTable, id: number, destination = 0): TcpFlow {
  table.addOutbound(id, connection().fd, destination, 0);
  return table.get(id) as TcpFlow;
}

describe("ids", () => {
  it("are given back by reap, not before, and once", () => {
    const table = makeTable();
    const flow = addOutbound(table, 3);
    table.close(flow);
    expect(flow.ended).toBe(true);
    expect(table.get(3)).toBeUndefined();
    expect(asked).toEqual([]);
    table.reap();
    table.reap();
    expect(asked).toEqual(["release 3"]);
  });

  it("of a removed flow stay the stack's, whose SYN is still to be answered", () => {
    const table = makeTable();
    const flow = addOutbound(table, 3);
    native.close(flow.fd);
    table.remove(flow);
    table.reap();
    expect(asked).toEqual([]);
    expect(table.count).toBe(0);
  });
});

describe("abort", () => {
  it("resets both sides", () => {
    const table = makeTable();
    const { fd, peer } = connection();
    table.addOutbound(3, fd, 0, 0);
    table.abort(table.get(3) as TcpFlow);
    expect(asked).toEqual(["reset 3"]);
    expect(pendingError(peer)).not.toBe(0);
  });
});

describe("unanswered clients of published ports", () => {
  it("are counted until the guest answers or the flow ends", () => {
    const table = makeTable();
    const first = table.addPublished(0, connection().fd, RULE, 0);
    const second = table.addPublished(1, connection().fd, RULE, 0);
    addOutbound(table, 2);
    expect(table.unanswered).toBe(2);
    table.establish(first);
    expect(table.unanswered).toBe(1);
    table.abort(first);
    table.abort(second);
    expect(table.unanswered).toBe(0);
    table.closeAll();
  });
});

describe("makeRoom", () => {
  it("ends the flow that has been idle for longest, by RST when it was established", () => {
    const table = makeTable({ flows: 2 });
    for (const id of [0, 1]) table.establish(addOutbound(table, id));
    table.touch(table.get(0) as TcpFlow);
    table.makeRoom(null, true, 0);
    expect(asked).toEqual(["reset 1"]);
    expect(table.count).toBe(1);
    expect(drops.get(DropReason.LimitFlows)).toBe(1);
    table.closeAll();
  });

  it("ends a half-open flow in silence, as its guest repeats the SYN", () => {
    const table = makeTable({ halfOpen: 1 });
    addOutbound(table, 0);
    table.makeRoom(null, false, 0);
    expect(table.count).toBe(1);
    table.makeRoom(null, true, 0);
    expect(table.count).toBe(0);
    expect(asked).toEqual([]);
    expect(drops.get(DropReason.LimitHalfOpen)).toBe(1);
  });

  it("counts flows to each destination apart", () => {
    const table = makeTable({ flowsPerDestination: 1 });
    for (const id of [0, 1]) table.establish(addOutbound(table, id, id));
    table.makeRoom(2, true, 0);
    expect(table.count).toBe(2);
    table.makeRoom(1, true, 0);
    expect(asked).toEqual(["reset 1"]);
    table.closeAll();
  });
});

describe("closeAll", () => {
  it("resets the host's peers, except those to whom all has been sent", () => {
    const table = makeTable();
    const [whole, cut] = [connection(), connection()];
    table.addOutbound(0, whole.fd, 0, 0);
    table.addOutbound(1, cut.fd, 0, 0);
    const flow = table.get(0) as TcpFlow;
    native.shutdown(flow.fd, Socket.ShutdownWrite);
    flow.writeShut = true;
    table.closeAll();
    expect(pendingError(whole.peer)).toBe(0);
    expect(pendingError(cut.peer)).not.toBe(0);
    expect(asked).toEqual(["reset 0", "reset 1", "release 0", "release 1"]);
    expect(table.endOldest()).toBe(false);
  });
});

it("abandon() resets the host's peers and asks nothing of the stack", () => {
  const table = makeTable();
  const { fd, peer } = connection();
  table.addOutbound(3, fd, 0, 0);
  table.abandon();
  table.closeAll();
  expect(pendingError(peer)).not.toBe(0);
  expect(asked).toEqual([]);
});
