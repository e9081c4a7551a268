import type { Address } from "../base/address.js";
import { NEVER } from "../base/clock.js";
import { DropReason, type DropReasonOrOk } from "../base/drop.js";
import { type KeyPair, keyPairOf, newKeyPair } from "../sys/crypto/x25519.js";
import { randomBytes } from "../sys/random.js";
import { readU32le } from "../wire/bytes.js";
import {
  CookieReply,
  MessageType,
  messageType,
  paddedLength,
  Response,
} from "../wire/tunnel/wireguard.js";
import { CookieChecker } from "./cookies.js";
import { Begun, identify, Opened, type SessionKeys } from "./handshake.js";
import { Load } from "./load.js";
import { Peer, type Pending } from "./peer.js";
import { Session } from "./session.js";
import { Due, Schedule, Timers } from "./timers.js";
import { isLater, Timestamps } from "./timestamps.js";

/** What a device needs from outside. It has no socket and no clock. */
export interface DeviceOutput {
  /** Sends a message to an address of the underlay. `message` is valid during the call only. */
  readonly transmit: (message: Uint8Array, address: Address, port: number) => void;
  /** A packet that waited for a handshake is dropped. */
  readonly onDrop: (reason: DropReason) => void;
  /** Gives the addon a key of 32 bytes for aeadSeal and aeadOpen. @returns its number, or a negative errno */
  readonly addKey: (key: Uint8Array) => number;
  readonly removeKey: (number: number) => void;
  /** The wall clock, in ms since 1970: for the timestamps of handshakes alone. */
  readonly wallClock: () => number;
}

/** Initiations that are made in one run: each takes 0.3 ms. The rest follows in the next one. */
const INITIATIONS_AT_ONCE = 4;
/** A peer that initiates more often than that is broken, in ms. */
const LEAST_INTERVAL = 20;

/**
 * WireGuard with one private key, for any number of peers. Times are monotonic, in ms.
 *
 * Messages of handshakes are handled here (onMessage), data is not: its owner looks up the session (lookup), opens a batch,
 * asks whether each message is new (Session.accept), and tells once that it came (onReceived). To send it asks for a
 * session (sessionFor), reserves counters (Session.reserve) and seals.
 */
export class Device {
  readonly #output: DeviceOutput;
  readonly #ours: KeyPair;
  readonly #checker: CookieChecker;
  readonly #timestamps = new Timestamps();
  readonly #load = new Load();
  readonly #schedule = new Schedule();
  /** By public key, in base64. */
  readonly #peers = new Map<string, Peer>();
  /** By our index, as int32: those are small integers to V8, which larger ones are not. */
  readonly #indices = new Map<number, Session<Peer> | Pending>();

  /** @param privateKey 32 bytes */
  constructor(privateKey: Uint8Array, output: DeviceOutput) {
    this.#output = output;
    this.#ours = keyPairOf(privateKey);
    this.#checker = new CookieChecker(this.#ours.publicKey);
  }

  /** 32 bytes. */
  get publicKey(): Uint8Array {
    return this.#ours.publicKey;
  }

  /** When run() is to be called, in ms; Infinity: never. Any other call may change it. */
  get nextAt(): number {
    return this.#schedule.at;
  }

  /**
   * @param publicKey 32 bytes
   * @param keepalive ms of silence after which a keepalive is sent (for NAT on the way); Infinity: never
   * @returns null when the key is no key, ours, or a peer's
   */
  addPeer(publicKey: Uint8Array, keepalive: number): Peer | null {
    const name = nameOf(publicKey);
    if (this.#peers.has(name) || name === nameOf(this.publicKey)) return null;
    const identity = identify(this.#ours, Uint8Array.from(publicKey));
    if (identity === null) return null;
    const peer = new Peer(identity, new Timers(this.#schedule, keepalive, Math.random));
    this.#peers.set(name, peer);
    return peer;
  }

  /** Forgets it with its sessions. */
  removePeer(peer: Peer): void {
    this.#peers.delete(nameOf(peer.publicKey));
    this.#wipe(peer);
    this.#dropWaiting(peer);
  }

  /**
   * A message of a handshake: of type 1, 2 or 3.
   * @returns why it was dropped, or 0
   */
  onMessage(
    bytes: Uint8Array,
    offset: number,
    length: number,
    address: Address,
    port: number,
    now: number,
  ): DropReasonOrOk {
    const type = messageType(bytes, offset, length);
    if (type === null || type === MessageType.Data) return DropReason.TunnelMalformed;
    const message = bytes.slice(offset, offset + length);
    if (type === MessageType.CookieReply) return this.#onCookieReply(message, now);
    if (!this.#checker.knowsUs(message)) return DropReason.TunnelUnknownHost;
    const pending = type === MessageType.Response ? this.#pendingOf(message) : null;
    if (type === MessageType.Response && pending === null) return DropReason.TunnelUnknownHost;
    if (!this.#admits(message, address, port, now)) return DropReason.LimitRate;
    if (pending !== null) return this.#onResponse(pending, message, address, port, now);
    return this.#onInitiation(message, address, port, now);
  }

  /** The session of a data message by the receiver index in it; null: none, or none that is still good. */
  lookup(receiverIndex: number, now: number): Session<Peer> | null {
    const entry = this.#indices.get(receiverIndex | 0);
    return entry instanceof Session && entry.canReceive(now) ? entry : null;
  }

  /**
   * Messages of a session were opened and accepted: the session is confirmed, timers run, and the peer is at that address
   * from now on. It is called once for a batch.
   * @param hasData whether one of them had a packet (without, they are keepalives)
   */
  onReceived(
    session: Session<Peer>,
    address: Address,
    port: number,
    hasData: boolean,
    now: number,
  ): void {
    const { peer } = session;
    peer.moveTo(address, port);
    peer.timers.received(hasData, now);
    if (session.isOldForReceiving(now)) peer.timers.want(now);
    if (session !== peer.next) return;
    this.#end(peer.promote());
    peer.timers.confirmed();
    this.#flush(peer, session, now);
  }

  /** The session to send by; null when there is none: a handshake is under way, or begins now. */
  sessionFor(peer: Peer, now: number): Session<Peer> | null {
    const session = peer.sendable(now);
    if (session === null && peer.address !== null) peer.wantSession(now);
    return session;
  }

  /**
   * Keeps a copy of a packet until there is a session, when it is sealed and transmitted. The oldest give way.
   * @param most length that padding may lead to: the MTU of its network
   */
  enqueue(
    peer: Peer,
    bytes: Uint8Array,
    offset: number,
    length: number,
    most: number,
    now: number,
  ): DropReasonOrOk {
    if (peer.address === null) return DropReason.TunnelUnreachable;
    const packet = new Uint8Array(paddedLength(length, most));
    packet.set(bytes.subarray(offset, offset + length));
    peer.timers.insist(now);
    return peer.wait(packet) ? DropReason.TunnelUnreachable : 0;
  }

  /** Carries out what is due. */
  run(now: number): void {
    if (now < this.#schedule.at) return;
    this.#schedule.at = NEVER;
    let room = INITIATIONS_AT_ONCE;
    for (const peer of this.#peers.values()) {
      if (this.#runPeer(peer, room > 0, now)) room -= 1;
      this.#schedule.wake(peer.timers.nextAt);
    }
  }

  /** @returns whether it initiated a handshake */
  #runPeer(peer: Peer, mayInitiate: boolean, now: number): boolean {
    const session = peer.sendable(now);
    const due = peer.timers.due(now, session !== null);
    if (due === 0) return false;
    if ((due & Due.GiveUp) !== 0) this.#giveUp(peer);
    if ((due & Due.Wipe) !== 0) this.#wipe(peer);
    if ((due & Due.Keepalive) !== 0 && session !== null) this.#sendData(peer, session, null, now);
    if ((due & Due.Initiate) === 0 || !mayInitiate) return false;
    this.#initiate(peer, now);
    return true;
  }

  #initiate(peer: Peer, now: number): void {
    const { identity } = peer;
    if (peer.pending !== null) peer.goHome();
    const index = this.#newIndex();
    const timestamp = this.#timestamps.next(this.#output.wallClock());
    const begun =
      peer.address === null ? null : Begun.begin(identity, newKeyPair(), index, timestamp);
    if (begun === null) {
      this.#giveUp(peer);
      return;
    }
    this.#dropPending(peer);
    peer.pending = { peer, index, begun };
    this.#indices.set(index, peer.pending);
    peer.cookies.sign(begun.message, now);
    peer.timers.initiated(now);
    this.#transmit(peer, begun.message);
  }

  #onInitiation(message: Uint8Array, address: Address, port: number, now: number): DropReasonOrOk {
    const opened = Opened.open(this.#ours, message);
    if (opened === null) return DropReason.TunnelMalformed;
    const peer = this.#peers.get(nameOf(opened.publicKey));
    if (peer === undefined) return DropReason.TunnelUnknownHost;
    const timestamp = opened.authenticate(peer.identity);
    if (timestamp === null) return DropReason.TunnelSpoofed;
    if (!isLater(timestamp, peer.lastTimestamp)) {
      // A replay; or their clock was set back before they were started again: then a handshake of ours helps.
      this.sessionFor(peer, now);
      return DropReason.TunnelReplayed;
    }
    if (now - peer.initiatedAt < LEAST_INTERVAL) return DropReason.LimitRate;
    peer.lastTimestamp = timestamp;
    peer.initiatedAt = now;
    const index = this.#newIndex();
    const answer = opened.respond(peer.identity, newKeyPair(), index);
    if (answer === null) return DropReason.TunnelMalformed;
    const session = this.#newSession(peer, index, answer.keys, false, now);
    if (session === null) return DropReason.LimitMemory;
    this.#end(peer.offered(session));
    peer.moveTo(address, port);
    peer.timers.received(false, now);
    peer.cookies.sign(answer.response, now);
    this.#transmit(peer, answer.response);
    return 0;
  }

  #onResponse(
    pending: Pending,
    message: Uint8Array,
    address: Address,
    port: number,
    now: number,
  ): DropReasonOrOk {
    const { peer, index, begun } = pending;
    const keys = begun.complete(message);
    if (keys === null) return DropReason.TunnelSpoofed;
    this.#dropPending(peer);
    const session = this.#newSession(peer, index, keys, true, now);
    if (session === null) return DropReason.LimitMemory;
    for (const ended of peer.began(session)) this.#end(ended);
    peer.moveTo(address, port);
    peer.timers.received(false, now);
    peer.timers.confirmed();
    // The other end does not send by the session before it got something by it.
    if (!this.#flush(peer, session, now)) this.#sendData(peer, session, null, now);
    return 0;
  }

  #onCookieReply(message: Uint8Array, now: number): DropReasonOrOk {
    const entry = this.#indices.get(readU32le(message, CookieReply.Receiver) | 0);
    if (entry === undefined) return DropReason.TunnelUnknownHost;
    // The cookie goes into the next message: a reply at once would answer one message with another without end (§6.6).
    return entry.peer.cookies.take(message, now) ? 0 : DropReason.TunnelSpoofed;
  }

  /** Whether a message is worked on. If its sender has to prove its address first, it is told how. */
  #admits(message: Uint8Array, address: Address, port: number, now: number): boolean {
    if (this.#load.arrive(now) === "work") return true;
    if (this.#checker.hasCookie(message, address, port, now)) {
      return this.#load.admits(address, now);
    }
    if (!this.#load.admitsReply(now)) return false;
    this.#output.transmit(this.#checker.reply(message, address, port, now), address, port);
    return false;
  }

  #pendingOf(response: Uint8Array): Pending | null {
    const entry = this.#indices.get(readU32le(response, Response.Receiver) | 0);
    return entry === undefined || entry instanceof Session ? null : entry;
  }

  /** @returns null when the addon has no room for its keys */
  #newSession(
    peer: Peer,
    index: number,
    keys: SessionKeys,
    isInitiator: boolean,
    now: number,
  ): Session<Peer> | null {
    const { addKey, removeKey } = this.#output;
    const send = addKey(keys.send);
    const receive = addKey(keys.receive);
    keys.receive.fill(0);
    if (send < 0 || receive < 0) {
      for (const key of [send, receive]) if (key >= 0) removeKey(key);
      return null;
    }
    const session = new Session(peer, index, keys, { send, receive }, isInitiator, now);
    this.#indices.set(index, session);
    peer.timers.made(now);
    return session;
  }

  #end(session: Session<Peer> | null): void {
    if (session === null) return;
    this.#indices.delete(session.localIndex);
    this.#output.removeKey(session.sendKey);
    this.#output.removeKey(session.receiveKey);
    session.wipe();
  }

  /** @returns whether anything waited */
  #flush(peer: Peer, session: Session<Peer>, now: number): boolean {
    const waiting = peer.takeWaiting();
    for (const packet of waiting) this.#sendData(peer, session, packet, now);
    return waiting.length > 0;
  }

  #sendData(peer: Peer, session: Session<Peer>, packet: Uint8Array | null, now: number): void {
    this.#transmit(peer, session.seal(packet, now));
  }

  #transmit({ address, port }: Peer, message: Uint8Array): void {
    if (address !== null) this.#output.transmit(message, address, port);
  }

  #giveUp(peer: Peer): void {
    peer.timers.confirmed();
    this.#dropPending(peer);
    this.#dropWaiting(peer);
  }

  #wipe(peer: Peer): void {
    this.#dropPending(peer);
    for (const session of peer.forget()) this.#end(session);
  }

  #dropPending(peer: Peer): void {
    if (peer.pending !== null) this.#indices.delete(peer.pending.index);
    peer.pending = null;
  }

  #dropWaiting(peer: Peer): void {
    for (const _ of peer.takeWaiting()) this.#output.onDrop(DropReason.TunnelUnreachable);
  }

  /** An index that is not in use, as int32; random, so that strangers can't guess one. */
  #newIndex(): number {
    for (;;) {
      const index = readU32le(randomBytes(4), 0) | 0;
      if (!this.#indices.has(index)) return index;
    }
  }
}

function nameOf(publicKey: Uint8Array): string {
  return Buffer.from(publicKey).toString("base64");
}
