import { afterEach, beforeEach, expect, it } from "vitest";
import { DescriptorLedger } from "../../../src/admission/descriptor-ledger.js";
import { DescriptorQuotas } from "../../../src/admission/descriptors.js";
import { Address } from "../../../src/base/address.js";
import { NEVER } from "../../../src/base/clock.js";
import { DropCounters } from "../../../src/base/drop.js";
import { DEFAULT_LIMITS } from "../../../src/config/limits.js";
import type { PublishedRule } from "../../../src/nat/published-port.js";
import { LoopbackRelay } from "../../../src/publish/loopback/relay.js";
import { Epoll } from "../../../src/sys/constants.js";
import { native } from "../../../src/sys/native.js";
import {
  bindDatagramPort,
  openDatagramSocket,
  openSessionSocket,
} from "../../../src/sys/sockets/datagram-socket.js";
import { connectSocket, localAddress } from "../../../src/sys/sockets/socket.js";
import { TokenKind } from "../../../src/sys/token.js";

const address = Address.ofIpv4Word(0x7f00_0001);
const datagram = Uint8Array.of(1);
/** TokenKind.Loopback: the id of the guest's side of link 0. */
const INSIDE_OF_FIRST = 1;

/** The loopback of this network namespace takes the role of the guest's. */
let relay: LoopbackRelay;
let listener: number;
let server: number;
let rule: PublishedRule;
const fds: number[] = [];

function boundSocket(): { readonly fd: number; readonly port: number } {
  const fd = bindDatagramPort(address, 0);
  fds.push(fd);
  return { fd, port: localAddress(fd)?.port ?? 0 };
}

/** A new client that has sent a datagram, which was passed on. */
function ask(now: number): void {
  const client = openDatagramSocket(4, 0);
  fds.push(client);
  expect(connectSocket(client, address, rule.hostPort)).toBe(0);
  expect(native.writeBytes(client, datagram)).toBe(1);
  relay.receive(listener, rule, now);
}

/** The guest's server answers the client of the first session. */
function answer(now: number): void {
  const [first] = relay.records();
  expect(connectSocket(server, address, first?.guest.peer?.port ?? 0)).toBe(0);
  expect(native.writeBytes(server, datagram)).toBe(1);
  relay.onEvents(INSIDE_OF_FIRST, Epoll.In, now);
}

beforeEach(() => {
  const quotas = new DescriptorQuotas(DescriptorLedger.create(1_000), () => 0);
  relay = new LoopbackRelay({
    limits: DEFAULT_LIMITS,
    drops: new DropCounters(),
    quota: quotas.add(),
    guest: 0,
    makeSocket: () => openDatagramSocket(4, 0),
    openSession: openSessionSocket,
    kind: TokenKind.Loopback,
    direction: "inbound",
  });
  const published = boundSocket();
  const inGuest = boundSocket();
  listener = published.fd;
  server = inGuest.fd;
  const [hostPort, guestPort] = [published.port, inGuest.port];
  rule = { id: 1, protocol: "udp", host: address, hostPort, guest: address, guestPort };
});
afterEach(() => {
  relay.close();
  for (const fd of fds.splice(0)) native.close(fd);
});

it("has no deadline while there is no session", () => {
  expect(relay.nextAt(0)).toBe(NEVER);
});

it("ends a session 30 s after its last datagram without an answer", () => {
  ask(1_000);
  ask(2_000);
  expect(relay.nextAt(2_000)).toBe(31_000);
  relay.turn(31_000);
  expect([...relay.records()]).toHaveLength(1);
  expect(relay.nextAt(31_000)).toBe(32_000);
  relay.turn(32_000);
  expect([...relay.records()]).toHaveLength(0);
  expect(relay.nextAt(32_000)).toBe(NEVER);
});

it("does so beside an answered one, which lasts for 180 s", () => {
  ask(0);
  answer(0);
  relay.turn(30_000);
  expect(relay.nextAt(30_000)).toBe(180_000);
  ask(40_000);
  expect(relay.nextAt(40_000)).toBe(70_000);
  relay.turn(70_000);
  expect([...relay.records()].map(({ state }) => state)).toEqual(["answered"]);
  expect(relay.nextAt(70_000)).toBe(180_000);
});
