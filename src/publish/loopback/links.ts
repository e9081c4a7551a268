import type { Address } from "../../base/address.js";
import { IdPool } from "../../base/id-pool.js";
import type { AskedPort } from "../../datagram/sessions.js";
import type { FlowRecord } from "../../nat/flow-record.js";
import type { PublishedRule } from "../../nat/published-port.js";
import { native } from "../../sys/native.js";
import { localAddress, peerAddress, roundTripTime } from "../../sys/sockets/socket.js";
import { type TokenKind, tokenOf } from "../../sys/token.js";
import type { Direction, LoopbackContext } from "./context.js";
import type { LoopbackSession } from "./session.js";
import type { SplicedConnection } from "./splice.js";

/** A client's TCP connection. */
export interface Connection {
  readonly kind: "connection";
  readonly rule: PublishedRule;
  readonly spliced: SplicedConnection;
  /** The guest's addresses to try when the current one refuses. */
  readonly untried: Address[];
  /** When it began, in ms of the loop's clock. */
  readonly since: number;
  /** Whether it is to go on in the next turn. */
  queued: boolean;
}

/** A client of a UDP port. */
export interface Session extends AskedPort {
  readonly kind: "session";
  readonly session: LoopbackSession;
}

/** A client, joined to a socket inside the guest's namespace. */
export type Link = Connection | Session;

/**
 * The links of one guest by id. Each has two sockets; the token of one carries twice the link's id, and 1
 * more for the socket inside. An id is free again only after reap().
 */
export class LinkTable {
  readonly #links: (Link | undefined)[] = [];
  readonly #ids = new IdPool();
  /** Index of the guest in tokens. */
  readonly #guest: number;
  readonly #kind: TokenKind;

  constructor({ guest, kind }: Pick<LoopbackContext, "guest" | "kind">) {
    this.#guest = guest;
    this.#kind = kind;
  }

  /** @returns the link's id */
  add(link: Link): number {
    const id = this.#ids.take();
    this.#links[id] = link;
    return id;
  }

  at(id: number): Link | undefined {
    return this.#links[id];
  }

  remove(id: number): void {
    this.#links[id] = undefined;
    this.#ids.release(id);
  }

  /** Watches one of a link's sockets. @returns false when the kernel has no memory for it */
  watch(id: number, isInside: boolean, fd: number, events: number): boolean {
    const token = tokenOf(this.#kind, this.#guest, 2 * id + (isInside ? 1 : 0));
    return native.watch(fd, events, token) >= 0;
  }

  /** @param visit may remove the link */
  forEach(visit: (link: Link, id: number) => void): void {
    this.#links.forEach((link, id) => {
      if (link !== undefined) visit(link, id);
    });
  }

  /** The links, each as it is when it is asked for. */
  *values(): Generator<Link> {
    for (const link of this.#links) if (link !== undefined) yield link;
  }

  reap(): void {
    this.#ids.reap();
  }

  clear(): void {
    this.#links.length = 0;
  }
}

/** What is reported of a link. @param direction outbound: `outside` is inside the guest's namespace */
export function recordOf(link: Link, direction: Direction): FlowRecord {
  const { outside, inside } = link.kind === "session" ? link.session.fds : link.spliced.fds;
  const { guest, guestPort } = link.rule;
  const server = { own: { address: guest, port: guestPort }, peer: localAddress(inside) };
  const client = { own: localAddress(outside), peer: peerAddress(outside) };
  const isInbound = direction === "inbound";
  const ends = isInbound ? { guest: server, host: client } : { guest: client, host: server };
  const common = { direction, ...ends };
  if (link.kind === "session") {
    const { isAnswered, fromGuest: answers, toGuest: requests, since } = link.session;
    const state = isAnswered ? ("answered" as const) : ("unanswered" as const);
    const [fromGuest, toGuest] = isInbound ? [answers, requests] : [requests, answers];
    return { ...common, protocol: "udp", state, fromGuest, toGuest, since, roundTripTime: null };
  }
  const { spliced, since } = link;
  const { outwards, inwards } = spliced.volume;
  const [fromGuest, toGuest] = isInbound ? [outwards, inwards] : [inwards, outwards];
  return {
    ...common,
    since,
    protocol: "tcp",
    state: spliced.state,
    fromGuest: { bytes: fromGuest, packets: 0 },
    toGuest: { bytes: toGuest, packets: 0 },
    roundTripTime: roundTripTime(outside),
  };
}
