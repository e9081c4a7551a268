import type { Address } from "../base/address.js";
import { nonceOf, seal } from "../sys/crypto/chacha20-poly1305.js";
import { Data, emitDataHeader, TAG_LENGTH } from "../wire/tunnel/wireguard.js";
import type { SessionKeys } from "./handshake.js";
import {
  KEEPALIVE_TIMEOUT,
  REJECT_AFTER_MESSAGES,
  REJECT_AFTER_TIME,
  REKEY_AFTER_MESSAGES,
  REKEY_AFTER_TIME,
  REKEY_TIMEOUT,
} from "./limits.js";
import { ReplayWindow } from "./replay.js";

/** The other end of a session. */
export interface SessionPeer {
  /** Where it was last heard of, or is said to be; null: unknown until it speaks. */
  readonly address: Address | null;
  readonly port: number;
  /** Messages are sent. @param hasData not a keepalive */
  onSent(session: Session, hasData: boolean, now: number): void;
}

/** Numbers of keys for aeadSeal and aeadOpen. */
export interface KeyNumbers {
  readonly send: number;
  readonly receive: number;
}

const NOTHING = new Uint8Array(0);
/** An initiator that only receives makes a new session when this one is so old, while there is time (§6.2). */
const LAST_CALL = REJECT_AFTER_TIME - KEEPALIVE_TIMEOUT - REKEY_TIMEOUT;

/** Keys that a handshake made, for both directions. */
export class Session<P extends SessionPeer = SessionPeer> {
  readonly peer: P;
  readonly localIndex: number;
  /** The index that the other end knows it by: it goes into the messages that we send. */
  readonly remoteIndex: number;
  readonly sendKey: number;
  readonly receiveKey: number;
  readonly #isInitiator: boolean;
  /** ms, of the handshake. */
  readonly created: number;
  /** For the few messages that the device seals itself. */
  readonly #key: Uint8Array;
  readonly #window = new ReplayWindow();
  #counter = 0;

  constructor(
    peer: P,
    localIndex: number,
    keys: SessionKeys,
    numbers: KeyNumbers,
    isInitiator: boolean,
    now: number,
  ) {
    this.peer = peer;
    this.localIndex = localIndex;
    this.remoteIndex = keys.remoteIndex;
    this.sendKey = numbers.send;
    this.receiveKey = numbers.receive;
    this.#isInitiator = isInitiator;
    this.created = now;
    this.#key = keys.send;
  }

  /**
   * Reserves counters for `count` messages that are sealed and sent now. Counters that are not used are lost, which harms
   * nothing.
   * @returns the first
   */
  reserve(count: number, now: number): number {
    const first = this.#counter;
    this.#counter += count;
    this.peer.onSent(this, true, now);
    return first;
  }

  /**
   * Whether a message that was opened with its key is new. It is asked once a message, after opening.
   * @param counter 0..2^53-1
   * @returns false for one that was there before, or is too old to tell
   */
  accept(counter: number): boolean {
    return counter < REJECT_AFTER_MESSAGES && this.#window.accept(counter);
  }

  /** One message, with a packet that is padded; without one, a keepalive. */
  seal(packet: Uint8Array | null, now: number): Uint8Array {
    const plain = packet ?? NOTHING;
    const counter = this.#counter;
    this.#counter += 1;
    const message = new Uint8Array(Data.Packet + plain.length + TAG_LENGTH);
    emitDataHeader(message, 0, this.remoteIndex, counter);
    message.set(seal(this.#key, nonceOf(counter), plain, NOTHING), Data.Packet);
    this.peer.onSent(this, packet !== null, now);
    return message;
  }

  /** Whether what was sealed with its keys may be opened. */
  canReceive(now: number): boolean {
    return now - this.created < REJECT_AFTER_TIME;
  }

  canSend(now: number): boolean {
    return this.#counter < REJECT_AFTER_MESSAGES && this.canReceive(now);
  }

  /** Whether sending by it asks for a new one: of two ends only the initiator's clock counts, so that one of them begins. */
  isOldForSending(now: number): boolean {
    if (this.#counter >= REKEY_AFTER_MESSAGES) return true;
    return this.#isInitiator && now - this.created >= REKEY_AFTER_TIME;
  }

  /** Whether receiving by it asks for a new one. */
  isOldForReceiving(now: number): boolean {
    return this.#isInitiator && now - this.created >= LAST_CALL;
  }

  /** Nothing is sealed by it any more. */
  wipe(): void {
    this.#key.fill(0);
  }
}
