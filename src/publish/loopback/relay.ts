import type { AskedPort } from "../../datagram/sessions.js";
import type { Engine, EngineFigures, Uploads } from "../../engine/engine.js";
import type { FlowRecord } from "../../nat/flow-record.js";
import type { PublishedRule } from "../../nat/published-port.js";
import type { ScopedEndpoint } from "../../sys/sockets/sockaddr.js";
import type { Accepted } from "../../sys/sockets/socket.js";
import type { TokenKind } from "../../sys/token.js";
import { LoopbackConnections } from "./connections.js";
import type { Direction, LoopbackContext } from "./context.js";
import { LinkTable, recordOf } from "./links.js";
import { LoopbackSessions } from "./sessions.js";

export type { MakeSocket } from "./context.js";

/**
 * The published ports of one guest that lead to its loopback, which no packet from outside reaches. Each
 * client is joined to a socket made inside the guest's namespace, so that the server sees a client of its
 * own loopback.
 */
export class LoopbackRelay implements Engine {
  readonly kind: TokenKind;
  /** Its clients are not ended for the sake of others. */
  readonly endable = 0;
  readonly #links: LinkTable;
  readonly #connections: LoopbackConnections;
  readonly #sessions: LoopbackSessions;
  readonly #direction: Direction;

  constructor(context: LoopbackContext) {
    this.kind = context.kind;
    this.#direction = context.direction;
    this.#links = new LinkTable(context);
    this.#connections = new LoopbackConnections(context, this.#links);
    this.#sessions = new LoopbackSessions(context, this.#links);
  }

  get descriptors(): number {
    return this.#connections.descriptors + 2 * this.#sessions.count;
  }

  /** @returns bytes of TCP moved since the last call */
  takeMoved(): number {
    return this.#connections.takeMoved();
  }

  addFigures(figures: EngineFigures): void {
    this.#connections.addFigures(figures);
  }

  addUploads(uploads: Uploads): void {
    this.#connections.addUploads(uploads);
  }

  /** The clients, each as it is when it is asked for. */
  *records(): Generator<FlowRecord> {
    for (const link of this.#links.values()) yield recordOf(link, this.#direction);
  }

  /** Joins a TCP client to the guest's server; resets it when the server refuses, or at a limit. */
  connect(client: Accepted, rule: PublishedRule, now: number): void {
    this.#connections.connect(client, rule, now);
  }

  /** Passes on what the socket of a published UDP port has received. */
  receive(listener: number, rule: PublishedRule, now: number): void {
    this.#sessions.receive(listener, rule, now);
  }

  /**
   * Passes on the first datagram of a client that goes beside the TAP; the session that begins with it receives the
   * next ones.
   */
  passOn(port: AskedPort, client: ScopedEndpoint, datagram: Uint8Array, now: number): void {
    this.#sessions.passOn(port, client, datagram, now);
  }

  onEvents(id: number, events: number, now: number): void {
    const link = this.#links.at(id >>> 1);
    if (link === undefined) return;
    const isInside = (id & 1) === 1;
    if (link.kind === "session") this.#sessions.onEvents(link, isInside, events, now);
    else this.#connections.onEvents(id >>> 1, link, isInside, events);
  }

  turn(now: number): void {
    this.#sessions.expire(now);
    this.#connections.turn();
  }

  nextAt(now: number): number {
    return this.#connections.hasMore ? now : this.#sessions.expireAt;
  }

  reap(): void {
    this.#links.reap();
  }

  endOldest(): boolean {
    return false;
  }

  /** Ends the UDP clients of a rule, as their sockets hold its port. */
  endSessions(rule: number): void {
    this.#sessions.endOf(rule);
  }

  /** Resets the TCP connections of a rule. */
  endConnections(rule: number): void {
    this.#connections.endOf(rule);
  }

  close(): void {
    this.#connections.close();
    this.#sessions.close();
    this.#links.clear();
  }
}
