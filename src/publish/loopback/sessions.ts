import { UNSPECIFIED } from "../../base/address.js";
import { NEVER } from "../../base/clock.js";
import { DropReason } from "../../base/drop.js";
import { type AskedPort, clientKey } from "../../datagram/sessions.js";
import type { PublishedRule } from "../../nat/published-port.js";
import { Epoll, Socket } from "../../sys/constants.js";
import { native } from "../../sys/native.js";
import type { ScopedEndpoint } from "../../sys/sockets/sockaddr.js";
import { bindSocket, connectSocket } from "../../sys/sockets/socket.js";
import { DOMAIN, type LoopbackContext } from "./context.js";
import { DatagramBatch } from "./datagram-batch.js";
import type { LinkTable, Session } from "./links.js";
import { LoopbackSession, ROUNDS } from "./session.js";

/** The clients of one guest's UDP ports that lead to its loopback. */
export class LoopbackSessions {
  readonly #context: LoopbackContext;
  readonly #links: LinkTable;
  /** Ids by clientKey. */
  readonly #ids = new Map<string, number>();
  /** Made with the first datagram: it takes 1 MiB. */
  #batch: DatagramBatch | null = null;
  /** When the first session may expire, in ms of the loop's clock. */
  #expireAt = NEVER;

  constructor(context: LoopbackContext, links: LinkTable) {
    this.#context = context;
    this.#links = links;
  }

  get count(): number {
    return this.#ids.size;
  }

  /** When expire() may have something to end; NEVER while there is no session. */
  get expireAt(): number {
    return this.#expireAt;
  }

  /** Passes on what a published port's socket has received, and opens sessions for new clients. */
  receive(listener: number, rule: PublishedRule, now: number): void {
    this.#batch ??= new DatagramBatch();
    const batch = this.#batch;
    const received = batch.receive(listener);
    for (let index = 0; index < received; index += 1) {
      const asked = batch.destinationOf(index) ?? rule.host;
      this.#deliver({ rule, asked, listener }, batch, index, now);
    }
  }

  /** See LoopbackRelay.passOn. */
  passOn(port: AskedPort, client: ScopedEndpoint, datagram: Uint8Array, now: number): void {
    this.#batch ??= new DatagramBatch();
    const session = this.#sessionOf(port, client, now);
    if (session === null) this.#context.drops.count(DropReason.LimitFlows);
    else session.pass(datagram, now);
  }

  onEvents(link: Session, isInside: boolean, events: number, now: number): void {
    if (events & Epoll.Error && !isInside) link.session.dropErrors();
    if (isInside) link.session.answer(now);
    else this.#receiveFrom(link, now);
  }

  /** Ends the sessions that have been idle for too long. */
  expire(now: number): void {
    if (now < this.#expireAt) return;
    let next = NEVER;
    for (const id of this.#ids.values()) {
      const expires = this.#sessionAt(id)?.expires ?? now;
      if (expires <= now) this.#end(id);
      else next = Math.min(next, expires);
    }
    this.#expireAt = next;
  }

  /** Ends the sessions of a rule, as their sockets hold its port. */
  endOf(rule: number): void {
    this.#links.forEach((link, id) => {
      if (link.kind === "session" && link.rule.id === rule) this.#end(id);
    });
  }

  close(): void {
    this.#links.forEach((link) => {
      if (link.kind === "session") link.session.close();
    });
    this.#ids.clear();
    this.#batch?.close();
  }

  #sessionAt(id: number): LoopbackSession | null {
    const link = this.#links.at(id);
    return link?.kind === "session" ? link.session : null;
  }

  /**
   * Passes on what a client's socket has received. Its first datagrams may be of other clients
   * (openSessionSocket).
   */
  #receiveFrom(link: Session, now: number): void {
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
      // The other clients' sessions may have ended this one, at the limit.
      if (own < received) return;
    }
  }

  #deliver(port: AskedPort, batch: DatagramBatch, index: number, now: number): void {
    const session = this.#sessionOf(port, batch.clientOf(index), now);
    if (session === null) this.#context.drops.count(DropReason.LimitFlows);
    else session.deliver(index, 1, now);
  }

  #sessionOf(port: AskedPort, client: ScopedEndpoint, now: number): LoopbackSession | null {
    const { address, port: clientPort, scope } = client;
    const key = clientKey({ ...port, client: address, clientPort, scope });
    const known = this.#ids.get(key);
    if (known !== undefined) return this.#sessionAt(known);
    const { limits, quota } = this.#context;
    if (this.#ids.size >= limits.mappings || !quota.mayOpen(2)) this.#endOldest();
    return this.#open(port, key, client, now);
  }

  #open(port: AskedPort, key: string, client: ScopedEndpoint, now: number): LoopbackSession | null {
    const { rule, asked, listener } = port;
    const { guest, guestPort, splice } = rule;
    const inside = this.#context.makeSocket(DOMAIN[guest.family], Socket.Datagram, 0);
    if (inside < 0) return null;
    // As pasta: servers may tell clients by their ports. It may be taken inside.
    if (splice !== undefined) {
      if (guest.family === 6) native.setsockopt(inside, Socket.LevelIpv6, Socket.Ipv6Only, 1);
      bindSocket(inside, UNSPECIFIED[guest.family], client.port);
    }
    const local = { address: asked, port: rule.hostPort, scope: client.scope };
    const outside = this.#context.openSession(listener, local, client, rule);
    if (outside < 0 || this.#batch === null || connectSocket(inside, guest, guestPort) < 0) {
      native.close(inside);
      if (outside >= 0) native.close(outside);
      return null;
    }
    const fds = { outside, inside };
    const session = new LoopbackSession(this.#batch, key, fds, client, now);
    const id = this.#links.add({ kind: "session", rule, asked, listener, session });
    this.#ids.set(key, id);
    this.#expireAt = Math.min(this.#expireAt, session.expires);
    this.#links.watch(id, false, outside, Epoll.In);
    this.#links.watch(id, true, inside, Epoll.In);
    return session;
  }

  #endOldest(): void {
    let oldest = -1;
    let since = Number.POSITIVE_INFINITY;
    for (const id of this.#ids.values()) {
      const lastUsed = this.#sessionAt(id)?.lastUsed ?? since;
      if (lastUsed >= since) continue;
      since = lastUsed;
      oldest = id;
    }
    if (oldest >= 0) this.#end(oldest);
  }

  #end(id: number): void {
    const session = this.#sessionAt(id);
    if (session === null) return;
    session.close();
    this.#ids.delete(session.key);
    this.#links.remove(id);
  }
}
