import { createPrivateKey, createPublicKey, diffieHellman, type KeyObject } from "node:crypto";
import { randomBytes } from "../random.js";

/** Length of a key of either kind, in bytes. */
export const X25519_LENGTH = 32;

/** What is before the 32 bytes of a private key in PKCS #8, and of a public key in SPKI (RFC 8410 §7, §4). */
const PKCS8 = Buffer.from("302e020100300506032b656e04220420", "hex");
const SPKI = Buffer.from("302a300506032b656e032100", "hex");

/** A private key with its public key (RFC 7748). */
export interface KeyPair {
  readonly secret: KeyObject;
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
}

/** @param secret 32 bytes of any value: their clamping is X25519's own */
export function keyPairOf(secret: Uint8Array): KeyPair {
  const der = Buffer.concat([PKCS8, secret]);
  const key = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
  der.fill(0);
  const spki = createPublicKey(key).export({ format: "der", type: "spki" });
  return { secret: key, publicKey: Uint8Array.from(spki.subarray(SPKI.length)) };
}

/** A key pair of random bytes of the kernel's. */
export function newKeyPair(): KeyPair {
  const secret = randomBytes(X25519_LENGTH);
  const pair = keyPairOf(secret);
  secret.fill(0);
  return pair;
}

/** @param bytes 32 */
export function publicKeyOf(bytes: Uint8Array): KeyObject {
  return createPublicKey({ key: Buffer.concat([SPKI, bytes]), format: "der", type: "spki" });
}

/**
 * The secret that two pairs share.
 * @returns 32 bytes; null for a public key of low order, with which everybody shares the same (RFC 7748 §6.1)
 */
export function agree(privateKey: KeyObject, publicKey: KeyObject): Buffer | null {
  try {
    return diffieHellman({ privateKey, publicKey });
  } catch {
    return null;
  }
}
