import type { KeyObject } from "node:crypto";
import { agree, type KeyPair, publicKeyOf } from "../sys/crypto/x25519.js";
import { readU32le, writeU32le } from "../wire/bytes.js";
import {
  emitType,
  Initiation,
  KEY_LENGTH,
  MessageType,
  Response,
  TAG_LENGTH,
  TIMESTAMP_LENGTH,
} from "../wire/tunnel/wireguard.js";
import { SymmetricState } from "./noise.js";

/*
 * The handshake Noise_IKpsk2 (§5.4): an initiation and a response make a session. Messages are written and read here but
 * for their MACs, which cookies.ts has.
 *
 * Nobody configures a key that is shared beforehand: it is all zeros, as the protocol has it then.
 */
const PRESHARED = new Uint8Array(KEY_LENGTH);
const EMPTY = new Uint8Array(0);

/** The static keys of a pair of hosts. */
export interface Identity {
  readonly ours: KeyPair;
  readonly theirs: KeyObject;
  readonly theirPublicKey: Uint8Array;
  /** What ours and theirs share: of all secrets of a handshake the one that is always the same. */
  readonly shared: Uint8Array;
}

/** Keys of a session, from our side, and the index that the other end knows it by. */
export interface SessionKeys {
  readonly send: Uint8Array;
  readonly receive: Uint8Array;
  readonly remoteIndex: number;
}

/** @returns null when the key is no key: of low order */
export function identify(ours: KeyPair, theirPublicKey: Uint8Array): Identity | null {
  const theirs = publicKeyOf(theirPublicKey);
  const shared = agree(ours.secret, theirs);
  return shared === null ? null : { ours, theirs, theirPublicKey, shared };
}

/** A handshake that we began. */
export class Begun {
  readonly #identity: Identity;
  readonly #ephemeral: KeyPair;
  readonly #state: SymmetricState;
  /** The initiation, without its MACs. */
  readonly message: Uint8Array = new Uint8Array(Initiation.Length);

  /** @param timestamp TAI64N, greater than in any earlier handshake with that peer */
  static begin(
    identity: Identity,
    ephemeral: KeyPair,
    index: number,
    timestamp: Uint8Array,
  ): Begun | null {
    const secret = agree(ephemeral.secret, identity.theirs);
    return secret === null ? null : new Begun(identity, ephemeral, index, timestamp, secret);
  }

  private constructor(
    identity: Identity,
    ephemeral: KeyPair,
    index: number,
    timestamp: Uint8Array,
    secret: Uint8Array,
  ) {
    const state = new SymmetricState(identity.theirPublicKey);
    this.#identity = identity;
    this.#ephemeral = ephemeral;
    this.#state = state;
    const { message } = this;
    emitType(message, 0, MessageType.Initiation);
    writeU32le(message, Initiation.Sender, index);
    message.set(ephemeral.publicKey, Initiation.Ephemeral);
    state.mixSecret(ephemeral.publicKey);
    state.mixHash(ephemeral.publicKey);
    const key = state.mixKey(secret);
    message.set(state.seal(key, identity.ours.publicKey), Initiation.Static);
    message.set(state.seal(state.mixKey(identity.shared), timestamp), Initiation.Timestamp);
  }

  /** The response has come. @returns null when it is not the other end's to this initiation, which may still get one */
  complete(response: Uint8Array): SessionKeys | null {
    const state = this.#state.clone();
    const ephemeral = part(response, Response.Ephemeral, KEY_LENGTH);
    const theirs = publicKeyOf(ephemeral);
    const first = agree(this.#ephemeral.secret, theirs);
    const second = agree(this.#identity.ours.secret, theirs);
    if (first === null || second === null) return null;
    state.mixSecret(ephemeral);
    state.mixHash(ephemeral);
    state.mixSecret(first);
    state.mixSecret(second);
    const key = state.mixPreshared(PRESHARED);
    if (state.open(key, part(response, Response.Nothing, TAG_LENGTH)) === null) return null;
    const [send, receive] = state.split();
    return { send, receive, remoteIndex: readU32le(response, Response.Sender) };
  }
}

/** An initiation that came: who sent it is known, whether they did is not yet. */
export class Opened {
  /** The static public key of who claims to have sent it. */
  readonly publicKey: Uint8Array;
  readonly #message: Uint8Array;
  readonly #state: SymmetricState;

  /**
   * @param ours our static keys
   * @param message the initiation, which must not change before respond() has returned
   * @returns null when it is not for us
   */
  static open(ours: KeyPair, message: Uint8Array): Opened | null {
    const state = new SymmetricState(ours.publicKey);
    const ephemeral = part(message, Initiation.Ephemeral, KEY_LENGTH);
    const secret = agree(ours.secret, publicKeyOf(ephemeral));
    if (secret === null) return null;
    state.mixSecret(ephemeral);
    state.mixHash(ephemeral);
    const sealed = part(message, Initiation.Static, KEY_LENGTH + TAG_LENGTH);
    const publicKey = state.open(state.mixKey(secret), sealed);
    return publicKey === null ? null : new Opened(publicKey, message, state);
  }

  private constructor(publicKey: Uint8Array, message: Uint8Array, state: SymmetricState) {
    this.publicKey = publicKey;
    this.#message = message;
    this.#state = state;
  }

  /** Its timestamp. @param identity of publicKey @returns null when they did not send it */
  authenticate(identity: Identity): Uint8Array | null {
    const sealed = part(this.#message, Initiation.Timestamp, TIMESTAMP_LENGTH + TAG_LENGTH);
    return this.#state.open(this.#state.mixKey(identity.shared), sealed);
  }

  /**
   * Answers it, once it is authenticated.
   * @param index ours
   * @returns the response, without its MACs; null when the ephemeral key was of low order
   */
  respond(
    identity: Identity,
    ephemeral: KeyPair,
    index: number,
  ): { readonly response: Uint8Array; readonly keys: SessionKeys } | null {
    const state = this.#state;
    const theirs = publicKeyOf(part(this.#message, Initiation.Ephemeral, KEY_LENGTH));
    const first = agree(ephemeral.secret, theirs);
    const second = agree(ephemeral.secret, identity.theirs);
    if (first === null || second === null) return null;
    const remoteIndex = readU32le(this.#message, Initiation.Sender);
    const response = new Uint8Array(Response.Length);
    emitType(response, 0, MessageType.Response);
    writeU32le(response, Response.Sender, index);
    writeU32le(response, Response.Receiver, remoteIndex);
    response.set(ephemeral.publicKey, Response.Ephemeral);
    state.mixSecret(ephemeral.publicKey);
    state.mixHash(ephemeral.publicKey);
    state.mixSecret(first);
    state.mixSecret(second);
    response.set(state.seal(state.mixPreshared(PRESHARED), EMPTY), Response.Nothing);
    const [receive, send] = state.split();
    return { response, keys: { send, receive, remoteIndex } };
  }
}

function part(message: Uint8Array, offset: number, length: number): Uint8Array {
  return message.subarray(offset, offset + length);
}
