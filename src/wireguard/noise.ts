import { hash, hmac } from "../sys/crypto/blake2s.js";
import { nonceOf, open, seal } from "../sys/crypto/chacha20-poly1305.js";

const ONE = Uint8Array.of(1);
const TWO = Uint8Array.of(2);
const THREE = Uint8Array.of(3);
const EMPTY = new Uint8Array(0);

/** Each key of a handshake seals one message. */
const FIRST = nonceOf(0);

const CONSTRUCTION = hash(Buffer.from("Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"));
const IDENTIFIER = hash(CONSTRUCTION, Buffer.from("WireGuard v1 zx2c4 Jason@zx2c4.com"));

/**
 * What both ends of a handshake know so far (the Noise protocol framework, §5.2): a chaining key that all secrets go into,
 * and a hash of all that was said.
 */
export class SymmetricState {
  #chainingKey: Buffer = CONSTRUCTION;
  #hash: Buffer;

  /** @param responder its static public key */
  constructor(responder: Uint8Array) {
    this.#hash = hash(IDENTIFIER, responder);
  }

  mixHash(bytes: Uint8Array): void {
    this.#hash = hash(this.#hash, bytes);
  }

  /** A secret, or an ephemeral public key. */
  mixSecret(input: Uint8Array): void {
    this.#chainingKey = hmac(hmac(this.#chainingKey, input), ONE);
  }

  /** @returns a key for the next message */
  mixKey(input: Uint8Array): Buffer {
    const [chainingKey, key] = deriveTwo(this.#chainingKey, input);
    this.#chainingKey = chainingKey;
    return key;
  }

  /** A key that was shared beforehand. @returns a key for the next message */
  mixPreshared(preshared: Uint8Array): Buffer {
    const extracted = hmac(this.#chainingKey, preshared);
    const first = hmac(extracted, ONE);
    const second = hmac(extracted, first, TWO);
    this.#chainingKey = first;
    this.mixHash(second);
    return hmac(extracted, second, THREE);
  }

  /** Seals a message, and mixes it in. */
  seal(key: Uint8Array, plain: Uint8Array): Buffer {
    const sealed = seal(key, FIRST, plain, this.#hash);
    this.mixHash(sealed);
    return sealed;
  }

  /** Opens a message, and mixes it in. @returns null when it is not authentic */
  open(key: Uint8Array, sealed: Uint8Array): Buffer | null {
    const plain = open(key, FIRST, sealed, this.#hash);
    if (plain !== null) this.mixHash(sealed);
    return plain;
  }

  /** The keys of the session: the initiator sends by the first and receives by the second. */
  split(): readonly [Buffer, Buffer] {
    return deriveTwo(this.#chainingKey, EMPTY);
  }

  /** The same state once more: a message that turns out to be forged must leave no trace. */
  clone(): SymmetricState {
    const copy = new SymmetricState(EMPTY);
    copy.#chainingKey = this.#chainingKey;
    copy.#hash = this.#hash;
    return copy;
  }
}

/** HKDF (RFC 5869) with two outputs. */
function deriveTwo(key: Uint8Array, input: Uint8Array): readonly [Buffer, Buffer] {
  const extracted = hmac(key, input);
  const first = hmac(extracted, ONE);
  return [first, hmac(extracted, first, TWO)];
}
