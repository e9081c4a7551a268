import type { DescriptorQuota } from "../../admission/descriptors.js";
import { type Address, type Family, LOOPBACK } from "../../base/address.js";
import { NEVER } from "../../base/clock.js";
import { type DropCounters, DropReason } from "../../base/drop.js";
import { IdPool } from "../../base/id-pool.js";
import type { Limits } from "../../config/limits.js";
import { type AskedPort, clientKey } from "../../datagram/sessions.js";
import type { Engine, EngineFigures, Uploads } from "../../engine/engine.js";
import type { FlowRecord } from "../../nat/flow-record.js";
import type { PublishedRule } from "../../nat/published-port.js";
import { Epoll, Errno, Socket, STREAM_EVENTS } from "../../sys/constants.js";
import { native } from "../../sys/native.js";
import { openSessionSocket } from "../../sys/sockets/datagram-socket.js";
import type { ScopedEndpoint } from "../../sys/sockets/sockaddr.js";
import {
  type Accepted,
  connectSocket,
  localAddress,
  peerAddress,
  resetSocket,
  roundTripTime,
} from "../../sys/sockets/socket.js";
import { TokenKind, tokenOf } from "../../sys/token.js";
import { DatagramBatch, LoopbackSession, ROUNDS } from "./session.js";
import { PipePool, SplicedConnection } from "./splice.js";

/** As socket(2), inside the guest's namespace. @returns a non-blocking handle or a negative errno */
export type MakeSocket = (domain: number, type: number, protocol: number) => number;

export interface LoopbackContext {
  /** Each client takes two descriptors. */
  readonly limits: Pick<Limits, "flows" | "mappings">;
  readonly drops: DropCounters;
  readonly quota: DescriptorQuota;
  /** Index of the guest in tokens. */
  readonly guest: number;
  readonly makeSocket: MakeSocket;
}

const DOMAIN: Readonly<Record<Family, number>> = { 4: Socket.Inet, 6: Socket.Inet6 };

/** A client's connection, and where it may lead still when the address that is tried refuses. */
interface Connection {
  readonly kind: "connection";
  readonly rule: PublishedRule;
  readonly spliced: SplicedConnection;
  readonly untried: Address[];
  /** When it began, in ms of the loop's clock. */
  readonly since: number;
  queued: boolean;
}

interface Session extends AskedPort {
  readonly kind: "session";
  readonly session: LoopbackSession;
}

/**
 * The published ports of one guest that lead to its own loopback, where no packet from outside can
 * get: each client is joined to a socket that was made inside the namespace, so the server there sees
 * a client of its own loopback. TCP is spliced by the kernel, datagrams are copied.
 */
export class LoopbackRelay implements Engine {
  readonly kind = TokenKind.Loopback;
  /** Its clients are not ended for the sake of others. */
  readonly endable = 0;
  readonly #context: LoopbackContext;
  readonly #links: (Connection | Session | undefined)[] = [];
  readonly #ids = new IdPool();
  readonly #sessions = new Map<string, number>();
  readonly #pipes: PipePool;
  #batch: DatagramBatch | null = null;
  /** Connections with more to move than their turn allowed. */
  #ready: number[] = [];
  #connections = 0;
  /** When sessions are to be looked at again. */
  #expireAt = NEVER;
  /** Bytes of TCP since the beginning, to the clients and to the guest. */
  #outwards = 0;
  #inwards = 0;
  #told = 0;

  constructor(context: LoopbackContext) {
    this.#context = context;
    this.#pipes = new PipePool(context.quota);
  }

  /** Of all clients, two each, and of what moves their bytes. */
  get descriptors(): number {
    return 2 * (this.#connections + this.#sessions.size) + this.#pipes.descriptors;
  }

  /** Bytes of TCP moved since the last call. */
  takeMoved(): number {
    const moved = this.#outwards + this.#inwards - this.#told;
    this.#told += moved;
    return moved;
  }

  addFigures(figures: EngineFigures): void {
    figures.tcpBytesFromGuest += this.#outwards;
    figures.tcpBytesToGuest += this.#inwards;
  }

  addUploads(uploads: Uploads): void {
    for (const link of this.#links) {
      if (link?.kind !== "connection") continue;
      const { isOpen, isBlocked } = link.spliced.upload;
      if (isOpen) uploads.open += 1;
      uploads.blocked ||= isBlocked;
    }
    uploads.sent += this.#outwards;
  }

  /** The clients there are, each as it is when it is asked for. */
  *records(): Generator<FlowRecord> {
    for (const link of this.#links) if (link !== undefined) yield recordOf(link);
  }

  /** Joins a client of a published port to the guest; one that is refused there is reset. */
  connect(client: Accepted, rule: PublishedRule, now: number): void {
    const untried = addressesFor(rule);
    const { limits, drops, quota } = this.#context;
    const hasRoom = this.#connections < limits.flows && quota.mayOpen(2);
    const inside = hasRoom ? this.#dial(untried, rule) : -Errno.ENFILE;
    if (inside < 0) {
      const isRefused = inside === -Errno.ECONNREFUSED;
      drops.count(isRefused ? DropReason.GuestUnreachable : DropReason.LimitFlows);
      resetSocket(client.fd);
      return;
    }
    native.setsockopt(client.fd, Socket.LevelTcp, Socket.NoDelay, 1);
    const spliced = new SplicedConnection(this.#pipes, client.fd, inside);
    const kind = "connection" as const;
    const id = this.#add({ kind, rule, spliced, untried, since: now, queued: false });
    this.#connections += 1;
    const watched = native.watch(client.fd, STREAM_EVENTS, this.#token(id, false));
    if (watched >= 0 && this.#watchInside(id, inside)) return;
    spliced.reset();
    this.#end(id);
  }

  /** Passes on what the socket of a published UDP port has received, and makes sessions for it. */
  receive(listener: number, rule: PublishedRule, now: number): void {
    this.#batch ??= new DatagramBatch();
    const batch = this.#batch;
    const received = batch.receive(listener);
    for (let index = 0; index < received; index += 1) {
      const asked = batch.destinationOf(index) ?? rule.host;
      this.#deliver({ rule, asked, listener }, batch, index, now);
    }
  }

  onEvents(id: number, events: number, now: number): void {
    const link = this.#links[id >>> 1];
    const isInside = (id & 1) === 1;
    if (link === undefined) return;
    if (link.kind === "session") {
      if (events & Epoll.Error && !isInside) link.session.dropErrors();
      if (isInside) link.session.answer(now);
      else this.#ask(link, now);
    } else if (link.spliced.note(isInside, events)) {
      this.#transfer(id >>> 1, link);
    } else if (isInside && !link.spliced.isConnected) {
      this.#tryNext(id >>> 1, link);
    } else {
      link.spliced.reset();
      this.#end(id >>> 1);
    }
  }

  /** Ends sessions that are out of use, and gives a turn to every connection that had more to move. */
  turn(now: number): void {
    this.#expire(now);
    const ready = this.#ready;
    if (ready.length > 0) this.#ready = [];
    for (const id of ready) {
      const link = this.#links[id];
      if (link?.kind !== "connection") continue;
      link.queued = false;
      this.#transfer(id, link);
    }
  }

  nextAt(now: number): number {
    return this.#ready.length > 0 ? now : this.#expireAt;
  }

  reap(): void {
    this.#ids.reap();
  }

  endOldest(): boolean {
    return false;
  }

  #expire(now: number): void {
    if (now < this.#expireAt) return;
    let next = NEVER;
    for (const id of this.#sessions.values()) {
      const expires = this.#sessionAt(id)?.expires ?? now;
      if (expires <= now) this.#endSession(id);
      else next = Math.min(next, expires);
    }
    this.#expireAt = next;
  }

  /** Ends the clients that a rule for UDP has, as they hold its port. */
  endSessions(rule: number): void {
    this.#links.forEach((link, id) => {
      if (link?.kind === "session" && link.rule.id === rule) this.#endSession(id);
    });
  }

  /** Resets the connections that came by a rule. */
  endConnections(rule: number): void {
    this.#links.forEach((link, id) => {
      if (link?.kind !== "connection" || link.rule.id !== rule) return;
      link.spliced.reset();
      this.#end(id);
    });
  }

  close(): void {
    for (const link of this.#links) {
      if (link?.kind === "connection") link.spliced.close();
      else link?.session.close();
    }
    this.#links.length = 0;
    this.#sessions.clear();
    this.#ready = [];
    this.#pipes.close();
    this.#batch?.close();
  }

  #token(id: number, isInside: boolean): number {
    return tokenOf(this.kind, this.#context.guest, 2 * id + (isInside ? 1 : 0));
  }

  #add(link: Connection | Session): number {
    const id = this.#ids.take();
    this.#links[id] = link;
    return id;
  }

  /** A socket of the guest, connecting to the first of the addresses that can be; takes it off. */
  #dial(untried: Address[], { guestPort }: PublishedRule): number {
    let error = -Errno.ECONNREFUSED;
    for (let address = untried.shift(); address !== undefined; address = untried.shift()) {
      const fd = this.#context.makeSocket(DOMAIN[address.family], Socket.Stream, 0);
      error = fd < 0 ? fd : connectSocket(fd, address, guestPort);
      if (error >= 0 || error === -Errno.EINPROGRESS) {
        native.setsockopt(fd, Socket.LevelTcp, Socket.NoDelay, 1);
        return fd;
      }
      if (fd >= 0) native.close(fd);
    }
    return error;
  }

  #tryNext(id: number, { spliced, untried, rule }: Connection): void {
    const inside = this.#dial(untried, rule);
    if (inside < 0) {
      spliced.reset();
      this.#end(id);
      return;
    }
    spliced.replaceInside(inside);
    if (this.#watchInside(id, inside)) return;
    spliced.reset();
    this.#end(id);
  }

  #watchInside(id: number, inside: number): boolean {
    return native.watch(inside, STREAM_EVENTS, this.#token(id, true)) >= 0;
  }

  #transfer(id: number, link: Connection): void {
    const before = link.spliced.volume;
    const progress = link.spliced.transfer();
    const { outwards, inwards } = link.spliced.volume;
    this.#outwards += outwards - before.outwards;
    this.#inwards += inwards - before.inwards;
    if (progress === "over") {
      this.#end(id);
    } else if (progress === "more" && !link.queued) {
      link.queued = true;
      this.#ready.push(id);
    }
  }

  #end(id: number): void {
    this.#links[id] = undefined;
    this.#ids.release(id);
    this.#connections -= 1;
  }

  #sessionAt(id: number): LoopbackSession | null {
    const link = this.#links[id];
    return link?.kind === "session" ? link.session : null;
  }

  /** Passes on what a client's socket has: the first may be other clients' (openSessionSocket). */
  #ask(link: Session, now: number): void {
    const { session } = link;
    for (let round = 0; round < ROUNDS; round += 1) {
      const { batch } = session;
      const received = batch.receive(session.fds.outside);
      if (received === 0) return;
      const own = session.countOwn(received);
      session.deliver(0, own, now);
      for (let index = own; index < received; index += 1) {
        this.#deliver(link, batch, index, now);
      }
      // They may have ended this one, to have room for theirs.
      if (own < received) return;
    }
  }

  #deliver(port: AskedPort, batch: DatagramBatch, index: number, now: number): void {
    const session = this.#sessionFor(port, batch, index, now);
    if (session === null) this.#context.drops.count(DropReason.LimitFlows);
    else session.deliver(index, 1, now);
  }

  #sessionFor(
    port: AskedPort,
    batch: DatagramBatch,
    index: number,
    now: number,
  ): LoopbackSession | null {
    const client = batch.clientOf(index);
    const { address, port: clientPort, scope } = client;
    const key = clientKey({ ...port, client: address, clientPort, scope });
    const known = this.#sessions.get(key);
    if (known !== undefined) return this.#sessionAt(known);
    const { limits, quota } = this.#context;
    if (this.#sessions.size >= limits.mappings || !quota.mayOpen(2)) this.#endOldestSession();
    return this.#openSession(port, key, client, now);
  }

  #openSession(
    port: AskedPort,
    key: string,
    client: ScopedEndpoint,
    now: number,
  ): LoopbackSession | null {
    const { rule, asked, listener } = port;
    const { guest, guestPort } = rule;
    const inside = this.#context.makeSocket(DOMAIN[guest.family], Socket.Datagram, 0);
    if (inside < 0) return null;
    const local = { address: asked, port: rule.hostPort, scope: client.scope };
    const outside = openSessionSocket(listener, local, client);
    if (outside < 0 || this.#batch === null || connectSocket(inside, guest, guestPort) < 0) {
      native.close(inside);
      if (outside >= 0) native.close(outside);
      return null;
    }
    const fds = { outside, inside };
    const session = new LoopbackSession(this.#batch, key, fds, client, now);
    const id = this.#add({ kind: "session", rule, asked, listener, session });
    this.#sessions.set(key, id);
    this.#expireAt = Math.min(this.#expireAt, session.expires);
    native.watch(outside, Epoll.In, this.#token(id, false));
    native.watch(inside, Epoll.In, this.#token(id, true));
    return session;
  }

  #endOldestSession(): void {
    let oldest = -1;
    let since = Number.POSITIVE_INFINITY;
    for (const id of this.#sessions.values()) {
      const lastUsed = this.#sessionAt(id)?.lastUsed ?? since;
      if (lastUsed >= since) continue;
      since = lastUsed;
      oldest = id;
    }
    if (oldest >= 0) this.#endSession(oldest);
  }

  #endSession(id: number): void {
    const session = this.#sessionAt(id);
    if (session === null) return;
    session.close();
    this.#sessions.delete(session.key);
    this.#links[id] = undefined;
    this.#ids.release(id);
  }
}

function recordOf(link: Connection | Session): FlowRecord {
  const { outside, inside } = link.kind === "session" ? link.session.fds : link.spliced.fds;
  const { guest, guestPort } = link.rule;
  const common = {
    direction: "inbound" as const,
    guest: { own: { address: guest, port: guestPort }, peer: localAddress(inside) },
    host: { own: localAddress(outside), peer: peerAddress(outside) },
  };
  if (link.kind === "session") {
    const { isAnswered, fromGuest, toGuest, since } = link.session;
    const state = isAnswered ? ("answered" as const) : ("unanswered" as const);
    return { ...common, protocol: "udp", state, fromGuest, toGuest, since, roundTripTime: null };
  }
  const { spliced, since } = link;
  const { outwards, inwards } = spliced.volume;
  return {
    ...common,
    since,
    protocol: "tcp",
    state: spliced.state,
    fromGuest: { bytes: outwards, packets: 0 },
    toGuest: { bytes: inwards, packets: 0 },
    roundTripTime: roundTripTime(outside),
  };
}

/** Servers for "localhost" often have 127.0.0.1 alone, while its clients try ::1 first. */
function addressesFor({ guest }: PublishedRule): Address[] {
  return guest.family === 6 ? [guest, LOOPBACK[4]] : [guest];
}
