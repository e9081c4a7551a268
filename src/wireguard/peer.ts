import type { Address } from "../base/address.js";
import { CookieHolder } from "./cookies.js";
import type { Begun, Identity } from "./handshake.js";
import { REKEY_TIMEOUT } from "./limits.js";
import type { Session, SessionPeer } from "./session.js";
import type { Timers } from "./timers.js";

/** Packets that wait for a handshake, each of a peer: the first of some connections. More are lost, as on a full link. */
const MOST_WAITING = 16;

/** A handshake that we began, until its response comes. */
export interface Pending {
  readonly peer: Peer;
  readonly index: number;
  readonly begun: Begun;
}

/**
 * Another end of tunnels. It has three sessions at most:
 *
 *   current   we send by it
 *   previous  what comes by it is still taken: packets may be under way when a new session begins
 *   next      the other end made it, and has not sent by it yet; so we don't know that they have our response
 *
 *   event                        | current  | previous          | next
 *   response to our initiation   | that one | next, or current  | none
 *   initiation of theirs         |          |                   | that one
 *   first data by next           | next     | current           | none
 *   no new one for 9 minutes     | none     | none              | none
 */
export class Peer implements SessionPeer {
  readonly identity: Identity;
  readonly timers: Timers;
  readonly cookies: CookieHolder;
  address: Address | null = null;
  port = 0;
  /** Timestamp of their last initiation: an earlier one is a replay. */
  lastTimestamp: Uint8Array = new Uint8Array(0);
  /** When that came, in ms. */
  initiatedAt = Number.NEGATIVE_INFINITY;
  pending: Pending | null = null;
  current: Session<Peer> | null = null;
  previous: Session<Peer> | null = null;
  next: Session<Peer> | null = null;
  #waiting: Uint8Array[] = [];
  #home: Address | null = null;
  #homePort = 0;

  constructor(identity: Identity, timers: Timers) {
    this.identity = identity;
    this.timers = timers;
    this.cookies = new CookieHolder(identity.theirPublicKey);
  }

  /** 32 bytes. */
  get publicKey(): Uint8Array {
    return this.identity.theirPublicKey;
  }

  /** It was heard of there. */
  moveTo(address: Address, port: number): void {
    this.address = address;
    this.port = port;
  }

  /** Its owner knows that it lives there. */
  settle(address: Address, port: number): void {
    this.#home = address;
    this.#homePort = port;
    this.moveTo(address, port);
  }

  /** It does not answer where it was heard of last: it is looked for where it lives, if that is known. */
  goHome(): void {
    if (this.#home !== null) this.moveTo(this.#home, this.#homePort);
  }

  onSent(session: Session<Peer>, hasData: boolean, now: number): void {
    this.timers.sent(hasData, now);
    if (session.isOldForSending(now)) this.timers.want(now);
  }

  /** The session to send by; null: there is none. */
  sendable(now: number): Session<Peer> | null {
    return this.current?.canSend(now) === true ? this.current : null;
  }

  /** A handshake is wanted, unless they have just made one: then what they send next confirms it. */
  wantSession(now: number): void {
    const theirs = this.next === null ? 0 : this.next.created + REKEY_TIMEOUT - now;
    this.timers.want(now, Math.max(theirs, 0));
  }

  /** Keeps a packet until there is a session. @returns whether another one was dropped for it */
  wait(packet: Uint8Array): boolean {
    this.#waiting.push(packet);
    if (this.#waiting.length <= MOST_WAITING) return false;
    this.#waiting.shift();
    return true;
  }

  /** The packets that wait, which do so no more. */
  takeWaiting(): readonly Uint8Array[] {
    const waiting = this.#waiting;
    this.#waiting = [];
    return waiting;
  }

  /** A session that we began. @returns the sessions that end */
  began(session: Session<Peer>): readonly (Session<Peer> | null)[] {
    const ended = [this.previous, this.next === null ? null : this.current];
    this.previous = this.next ?? this.current;
    this.current = session;
    this.next = null;
    return ended;
  }

  /** A session that they began. @returns the one that ends */
  offered(session: Session<Peer>): Session<Peer> | null {
    const ended = this.next;
    this.next = session;
    return ended;
  }

  /** They sent by the next session. @returns the one that ends */
  promote(): Session<Peer> | null {
    const ended = this.previous;
    this.previous = this.current;
    this.current = this.next;
    this.next = null;
    return ended;
  }

  /** All sessions end. @returns them */
  forget(): readonly (Session<Peer> | null)[] {
    const ended = [this.previous, this.current, this.next];
    this.previous = null;
    this.current = null;
    this.next = null;
    return ended;
  }
}
