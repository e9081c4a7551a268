import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { BulkMeter } from "../../src/admission/bulk-meter.js";
import { DescriptorLedger } from "../../src/admission/descriptor-ledger.js";
import { DescriptorQuotas } from "../../src/admission/descriptors.js";
import { LimitReports } from "../../src/admission/limit-reports.js";
import { Address, LOOPBACK } from "../../src/base/address.js";
import { DropCounters, DropReason } from "../../src/base/drop.js";
import { DEFAULT_LIMITS, type Limits } from "../../src/config/limits.js";
import type { PublishedRule } from "../../src/nat/published-port.js";
import { FlowEvent, type FlowTuple, Stack } from "../../src/stack/stack.js";
import { Epoll, Socket } from "../../src/sys/constants.js";
import { native } from "../../src/sys/native.js";
import { listenSocket } from "../../src/sys/sockets/listening.js";
import {
  acceptSocket,
  connectSocket,
  localAddress,
  openSocket,
  pendingError,
  resetSocket,
} from "../../src/sys/sockets/socket.js";
import { TcpRelay } from "../../src/tcp/relay.js";
import { IcmpError } from "../../src/wire/icmp.js";
import { OWN_OPEN } from "../nat/plans.ts";
import { config } from "../services/frames.ts";

// The table of states of src/tcp/flow.ts, row by row: a second stack is the guest's, the host's peers are sockets
// of the loopback, and the test reports their events.

const MAC = 0x525500000002;
const OWN = Address.parse("10.0.2.100") as Address;
const OTHER = Address.parse("10.0.2.101") as Address;
const GATEWAY = Address.parse("10.0.2.2") as Address;
const NEIGHBOR = Address.parse("10.0.2.50") as Address;

/** A stack whose frames wait in `outbox`. */
class Side {
  readonly outbox: Buffer[] = [];
  readonly stack: Stack = new Stack({
    mtu: 1500,
    offload: true,
    mac: MAC,
    seed: Uint32Array.of(1, 2),
    memoryBudget: 64 * 1024 * 1024,
    transmit: (pieces, count) => this.#transmit(pieces, count),
  });

  #transmit(pieces: number, count: number): number {
    const { memory, bytes } = this.stack;
    const iov = new Uint32Array(memory, pieces, 2 * count);
    const parts = Array.from({ length: count }, (_, piece) =>
      bytes.subarray(iov[2 * piece], iov[2 * piece] + iov[2 * piece + 1]),
    );
    this.outbox.push(Buffer.concat(parts));
    return 0;
  }

  input(frame: Uint8Array): void {
    this.stack.bytes.set(frame, this.stack.buffer);
    this.stack.input(frame.length);
  }

  takeEvents(handle: (id: number, events: number) => void): void {
    const { stack } = this;
    for (let count = stack.takeEvents(); count > 0; count = stack.takeEvents()) {
      for (let index = 0; index < count; index += 1) {
        handle(stack.flowOfEvent(index), stack.events[2 * index + 1]);
      }
    }
  }
}

let guest: Side;
let ours: Side;
let relay: TcpRelay;
let memory: number;
let drops: DropCounters;
/** What the guest's stack has reported of its connections, ORed. */
let seen: number;
/** The guest refuses connections to this address of its own. */
let refuses: Address | null;
let unreachable: IcmpError[];
let now: number;
const fds: number[] = [];

function setUp(limits: Partial<Limits> = {}): void {
  guest = new Side();
  ours = new Side();
  memory = native.registerMemory(ours.stack.memory);
  drops = new DropCounters();
  [seen, refuses, unreachable, now] = [0, null, [], 1_000];
  const all = { ...DEFAULT_LIMITS, ...limits };
  relay = new TcpRelay({
    stack: ours.stack,
    config: config({ plans: OWN_OPEN, limits: all }),
    dnsStreams: null,
    drops,
    reports: new LimitReports(drops, all),
    bulk: new BulkMeter(),
    quota: new DescriptorQuotas(DescriptorLedger.create(1_000), () => now).add(),
    memory,
    guest: 0,
    sendUnreachable: (_id, _tuple, error) => void unreachable.push(error),
  });
}

beforeEach(() => setUp());
afterEach(() => {
  relay.close();
  native.unregisterMemory(memory);
  for (const fd of fds) native.close(fd);
  fds.length = 0;
});

function onGuestEvents(id: number, events: number): void {
  const { stack } = guest;
  seen |= events;
  if (events & FlowEvent.Syn) {
    if (refuses?.equals(stack.tuple(id).peer) === true) {
      stack.refuse(id);
      stack.release(id);
    } else {
      stack.accept(id);
    }
  }
  if (events & FlowEvent.Data) stack.consumed(id, 0);
}

/** Wake-ups, without events of sockets, until no frame moves. */
function settle(): void {
  for (let moved = true; moved; ) {
    ours.takeEvents((id, events) => relay.onStackEvents(id, events, now));
    relay.turn(now, false);
    relay.reap();
    guest.takeEvents(onGuestEvents);
    const [down, up] = [ours.outbox.splice(0), guest.outbox.splice(0)];
    for (const frame of down) guest.input(frame);
    for (const frame of up) ours.input(frame);
    moved = down.length + up.length > 0;
    for (const { stack } of [ours, guest]) moved = stack.flushAcks() || moved;
  }
}

/** The states of all flows. */
function states(): readonly string[] {
  return [...relay.records()].map(({ state }) => state);
}

/** A port of the host's loopback. */
function listen(): { readonly listener: number; readonly port: number } {
  const listener = listenSocket(LOOPBACK[4], 0);
  return { listener, port: localAddress(listener)?.port ?? 0 };
}

/** The guest sends a SYN. @returns its id of the connection */
function connect(address: Address, port: number, ownPort = 40_000): number {
  const tuple = { guest: address, guestPort: port, peer: OWN, peerPort: ownPort };
  const id = guest.stack.connect(tuple, MAC);
  settle();
  return id;
}

/** A connection from the guest to the host. @returns its id there, and the host's peer */
function connected(): { readonly id: number; readonly peer: number } {
  const { listener, port } = listen();
  fds.push(listener);
  const id = connect(GATEWAY, port);
  expect(states()).toEqual(["connecting"]);
  relay.onEvents(0, Epoll.Out);
  settle();
  expect(states()).toEqual(["established"]);
  return { id, peer: accepted(listener) };
}

function accepted(listener: number): number {
  const client = acceptSocket(listener);
  if (typeof client === "number") throw new Error(`accept: ${client}`);
  fds.push(client.fd);
  return client.fd;
}

/** A client of a published port that waits for the guest. @returns the client's end */
function published(otherwise?: Address): number {
  const { listener, port } = listen();
  const client = openSocket(4, Socket.Stream);
  fds.push(client);
  connectSocket(client, LOOPBACK[4], port);
  const accepting = acceptSocket(listener);
  native.close(listener);
  if (typeof accepting === "number") throw new Error(`accept: ${accepting}`);
  const rule: PublishedRule = {
    id: 7,
    protocol: "tcp",
    host: LOOPBACK[4],
    hostPort: port,
    guest: OWN,
    guestPort: 80,
    ...(otherwise === undefined ? {} : { otherwise }),
  };
  const tuple: FlowTuple = { guest: OWN, guestPort: 80, peer: GATEWAY, peerPort: 50_000 };
  expect(relay.connect(accepting.fd, rule, tuple, MAC, now)).toBe(true);
  expect(states()).toEqual(["connecting"]);
  return client;
}

/** The host's peer ends its direction, and the relay is told. */
function endHost(peer: number): void {
  native.shutdown(peer, Socket.ShutdownWrite);
  relay.onEvents(0, Epoll.In | Epoll.ReadHangUp);
}

describe("a SYN of the guest", () => {
  it("is answered with RST when the host refuses, and leaves no flow", () => {
    const { listener, port } = listen();
    native.close(listener);
    connect(GATEWAY, port);
    relay.onEvents(0, Epoll.Error | Epoll.HangUp);
    settle();
    expect(states()).toEqual([]);
    expect(seen & FlowEvent.Reset).toBeTruthy();
  });

  it("is answered with an ICMP error when there is no way to its destination", () => {
    connect(NEIGHBOR, 80);
    expect(states()).toEqual([]);
    expect(unreachable).toEqual([IcmpError.HostUnreachable]);
    expect(drops.get(DropReason.PolicyDenied)).toBe(1);
  });

  it("is held when too many came before it, and admitted later", () => {
    relay.close();
    native.unregisterMemory(memory);
    setUp({ newFlows: 1 });
    const { listener, port } = listen();
    fds.push(listener);
    connect(GATEWAY, port, 40_000);
    connect(GATEWAY, port, 40_001);
    expect(states()).toEqual(["connecting"]);
    expect(relay.nextAt(now)).toBe(now + 1);
    now += 1_000;
    settle();
    expect(states()).toEqual(["connecting", "connecting"]);
  });

  it("is forgotten when the guest resets it while it is held", () => {
    relay.close();
    native.unregisterMemory(memory);
    setUp({ newFlows: 1 });
    const { listener, port } = listen();
    fds.push(listener);
    connect(GATEWAY, port, 40_000);
    guest.stack.reset(connect(GATEWAY, port, 40_001));
    settle();
    now += 1_000;
    settle();
    expect(states()).toEqual(["connecting"]);
  });

  it("is dropped when too many are held", () => {
    relay.close();
    native.unregisterMemory(memory);
    setUp({ newFlows: 1, halfOpen: 1 });
    const { listener, port } = listen();
    fds.push(listener);
    for (const ownPort of [40_000, 40_001, 40_002]) connect(GATEWAY, port, ownPort);
    expect(drops.get(DropReason.LimitRate)).toBe(1);
    expect(seen & FlowEvent.Reset).toBe(0);
  });
});

describe("an outbound flow", () => {
  it("that the guest resets while it connects ends", () => {
    const { listener, port } = listen();
    fds.push(listener);
    guest.stack.reset(connect(GATEWAY, port));
    settle();
    expect(states()).toEqual([]);
    expect(pendingError(accepted(listener))).not.toBe(0);
  });

  it("that the guest ends first is guest-ended, closing and then gone", () => {
    const { id, peer } = connected();
    guest.stack.finish(id);
    settle();
    expect(states()).toEqual(["guest-ended"]);
    endHost(peer);
    expect(states()).toEqual(["closing"]);
    settle();
    expect(states()).toEqual([]);
    expect(seen & FlowEvent.Reset).toBe(0);
    expect(pendingError(peer)).toBe(0);
  });

  it("that the host ends first is host-ended and then gone", () => {
    const { id, peer } = connected();
    endHost(peer);
    settle();
    expect(states()).toEqual(["host-ended"]);
    expect(seen & FlowEvent.Fin).toBeTruthy();
    guest.stack.finish(id);
    settle();
    expect(states()).toEqual([]);
    expect(pendingError(peer)).toBe(0);
  });

  it("that the guest resets is reset on the host", () => {
    const { id, peer } = connected();
    guest.stack.reset(id);
    settle();
    expect(states()).toEqual([]);
    expect(pendingError(peer)).not.toBe(0);
  });

  it("that the host resets is reset in the guest", () => {
    const { peer } = connected();
    resetSocket(peer);
    fds.splice(fds.indexOf(peer), 1);
    relay.onEvents(0, Epoll.In | Epoll.HangUp | Epoll.Error);
    settle();
    expect(states()).toEqual([]);
    expect(seen & FlowEvent.Reset).toBeTruthy();
  });
});

describe("a flow of a published port", () => {
  it("is established when the guest answers", () => {
    published();
    settle();
    expect(states()).toEqual(["established"]);
  });

  it("resets a client that the guest refuses", () => {
    refuses = OWN;
    const client = published();
    settle();
    expect(states()).toEqual([]);
    expect(pendingError(client)).not.toBe(0);
  });

  it("is led to the guest's other address when the guest refuses, once", () => {
    refuses = OWN;
    const client = published(OTHER);
    settle();
    const [{ state, guest: ends }] = [...relay.records()];
    expect(state).toBe("established");
    expect(ends.own?.address).toEqual(OTHER);
    expect(pendingError(client)).toBe(0);
  });

  it("resets the guest's side when the client hangs up before it is answered", () => {
    published();
    relay.onEvents(0, Epoll.HangUp);
    settle();
    expect(states()).toEqual([]);
    expect(relay.descriptors).toBe(0);
  });

  it("ends when the port is withdrawn", () => {
    const client = published();
    settle();
    relay.endPublished(8);
    expect(states()).toEqual(["established"]);
    relay.endPublished(7);
    expect(states()).toEqual([]);
    settle();
    expect(seen & FlowEvent.Reset).toBeTruthy();
    expect(pendingError(client)).not.toBe(0);
  });
});
