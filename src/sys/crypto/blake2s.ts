import { createHash, createHmac } from "node:crypto";
import { native } from "../native.js";

/** BLAKE2s (RFC 7693), plain, as the hash of HMAC, and keyed. */

const ALGORITHM = "blake2s256";
/** Length of hash() and hmac(), in bytes. */
export const HASH_LENGTH = 32;
const MAC_LENGTH = 16;

export function hash(...parts: readonly Uint8Array[]): Buffer {
  const state = createHash(ALGORITHM);
  for (const part of parts) state.update(part);
  return state.digest();
}

export function hmac(key: Uint8Array, ...parts: readonly Uint8Array[]): Buffer {
  const state = createHmac(ALGORITHM, key);
  for (const part of parts) state.update(part);
  return state.digest();
}

/** Keyed BLAKE2s of 16 bytes, which node:crypto does not have. @param key 1..32 bytes */
export function mac(key: Uint8Array, bytes: Uint8Array): Uint8Array {
  const result = new Uint8Array(MAC_LENGTH);
  const written = native.blake2sMac(key, bytes, result);
  if (written < 0) throw new Error(`blake2sMac: ${written}`);
  return result;
}
