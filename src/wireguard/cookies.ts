import { timingSafeEqual } from "node:crypto";
import type { Address } from "../base/address.js";
import { hash, mac } from "../sys/crypto/blake2s.js";
import { openX, sealX } from "../sys/crypto/chacha20-poly1305.js";
import { randomBytes } from "../sys/random.js";
import { readU32le, writeU16, writeU32le } from "../wire/bytes.js";
import {
  COOKIE_LENGTH,
  COOKIE_NONCE_LENGTH,
  CookieReply,
  emitType,
  Initiation,
  KEY_LENGTH,
  MAC_LENGTH,
  MessageType,
  TAG_LENGTH,
} from "../wire/tunnel/wireguard.js";
import { COOKIE_TIME } from "./limits.js";

/*
 * The two MACs at the end of an initiation or response (§5.4.4), and cookies (§5.4.7). The first shows that the sender knows
 * our public key, at the cost of one hash. The second shows that it is reached at its address: it is made with a cookie,
 * which we send there when handshakes come faster than we like.
 */

const MACS_LENGTH = 2 * MAC_LENGTH;
const MAC1_LABEL = Buffer.from("mac1----");
const COOKIE_LABEL = Buffer.from("cookie--");

/** Checks the MACs of messages to us, and gives cookies. */
export class CookieChecker {
  readonly #mac1Key: Uint8Array;
  readonly #replyKey: Uint8Array;
  #secret: Uint8Array = randomBytes(KEY_LENGTH);
  #secretUntil = Number.NEGATIVE_INFINITY;

  /** @param publicKey ours */
  constructor(publicKey: Uint8Array) {
    this.#mac1Key = hash(MAC1_LABEL, publicKey);
    this.#replyKey = hash(COOKIE_LABEL, publicKey);
  }

  /** Whether the sender of an initiation or response knows our public key. */
  knowsUs(message: Uint8Array): boolean {
    const end = message.length - MACS_LENGTH;
    return isSame(mac(this.#mac1Key, message.subarray(0, end)), message, end);
  }

  /** Whether the sender has the cookie that we gave to that address, so that it is there. */
  hasCookie(message: Uint8Array, address: Address, port: number, now: number): boolean {
    const end = message.length - MAC_LENGTH;
    const cookie = this.#cookieFor(address, port, now);
    return isSame(mac(cookie, message.subarray(0, end)), message, end);
  }

  /** A reply with the cookie of that address, to an initiation or response that knows us. */
  reply(message: Uint8Array, address: Address, port: number, now: number): Uint8Array {
    const reply = new Uint8Array(CookieReply.Length);
    const nonce = randomBytes(COOKIE_NONCE_LENGTH);
    const mac1 = message.subarray(message.length - MACS_LENGTH, message.length - MAC_LENGTH);
    emitType(reply, 0, MessageType.CookieReply);
    writeU32le(reply, CookieReply.Receiver, readU32le(message, Initiation.Sender));
    reply.set(nonce, CookieReply.Nonce);
    const cookie = this.#cookieFor(address, port, now);
    reply.set(sealX(this.#replyKey, nonce, cookie, mac1), CookieReply.Cookie);
    return reply;
  }

  #cookieFor(address: Address, port: number, now: number): Uint8Array {
    if (now >= this.#secretUntil) {
      this.#secret = randomBytes(KEY_LENGTH);
      this.#secretUntil = now + COOKIE_TIME;
    }
    const source = new Uint8Array(address.length + 2);
    address.write(source, 0);
    writeU16(source, address.length, port);
    return mac(this.#secret, source);
  }
}

/** Makes the MACs of messages to a peer, and keeps its cookie. */
export class CookieHolder {
  readonly #mac1Key: Uint8Array;
  readonly #replyKey: Uint8Array;
  /** Of the last message; null once a reply to it has come. */
  #mac1: Uint8Array | null = null;
  #cookie: Uint8Array | null = null;
  #cookieUntil = Number.NEGATIVE_INFINITY;

  /** @param publicKey the peer's */
  constructor(publicKey: Uint8Array) {
    this.#mac1Key = hash(MAC1_LABEL, publicKey);
    this.#replyKey = hash(COOKIE_LABEL, publicKey);
  }

  /** Writes both MACs into an initiation or response. Without a cookie the second is zero. */
  sign(message: Uint8Array, now: number): void {
    const end = message.length - MACS_LENGTH;
    this.#mac1 = mac(this.#mac1Key, message.subarray(0, end));
    message.set(this.#mac1, end);
    if (this.#cookie === null || now >= this.#cookieUntil) return;
    message.set(mac(this.#cookie, message.subarray(0, end + MAC_LENGTH)), end + MAC_LENGTH);
  }

  /** Takes the cookie of a reply to the last message. @returns false when it is none */
  take(reply: Uint8Array, now: number): boolean {
    if (this.#mac1 === null) return false;
    const nonce = reply.subarray(CookieReply.Nonce, CookieReply.Nonce + COOKIE_NONCE_LENGTH);
    const end = CookieReply.Cookie + COOKIE_LENGTH + TAG_LENGTH;
    const sealed = reply.subarray(CookieReply.Cookie, end);
    const cookie = openX(this.#replyKey, nonce, sealed, this.#mac1);
    if (cookie === null) return false;
    this.#mac1 = null;
    this.#cookie = cookie;
    this.#cookieUntil = now + COOKIE_TIME;
    return true;
  }
}

/** Compares in constant time. */
function isSame(expected: Uint8Array, message: Uint8Array, offset: number): boolean {
  return timingSafeEqual(expected, message.subarray(offset, offset + MAC_LENGTH));
}
