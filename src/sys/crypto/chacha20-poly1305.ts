import { createCipheriv, createDecipheriv } from "node:crypto";

/** ChaCha20-Poly1305 (RFC 8439) of single messages, as handshakes have them. Data goes through aead.ts, in batches. */

const ALGORITHM = "chacha20-poly1305";
const TAG_LENGTH = 16;
const TAG = { authTagLength: TAG_LENGTH } as const;
const NONCE_LENGTH = 12;

/** A nonce as WireGuard has it: four zeros, and a counter of 64 bits in little-endian order. @param counter 0..2^53-1 */
export function nonceOf(counter: number): Uint8Array {
  const nonce = Buffer.alloc(NONCE_LENGTH);
  nonce.writeBigUInt64LE(BigInt(counter), 4);
  return nonce;
}

/** @param key 32 bytes @param nonce 12 bytes @returns what was sealed, with its tag of 16 bytes */
export function seal(
  key: Uint8Array,
  nonce: Uint8Array,
  plain: Uint8Array,
  additional: Uint8Array,
): Buffer {
  const cipher = createCipheriv(ALGORITHM, key, nonce, TAG);
  cipher.setAAD(additional, { plaintextLength: plain.length });
  return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

/** The inverse of seal(). @returns null when it is not authentic */
export function open(
  key: Uint8Array,
  nonce: Uint8Array,
  sealed: Uint8Array,
  additional: Uint8Array,
): Buffer | null {
  const length = sealed.length - TAG_LENGTH;
  if (length < 0) return null;
  const decipher = createDecipheriv(ALGORITHM, key, nonce, TAG);
  decipher.setAAD(additional, { plaintextLength: length });
  decipher.setAuthTag(sealed.subarray(length));
  const plain = decipher.update(sealed.subarray(0, length));
  try {
    return Buffer.concat([plain, decipher.final()]);
  } catch {
    return null;
  }
}

/** seal() with a nonce of 24 bytes, which may be random: XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03 §2.3). */
export function sealX(
  key: Uint8Array,
  nonce: Uint8Array,
  plain: Uint8Array,
  additional: Uint8Array,
): Buffer {
  return seal(subkey(key, nonce), lastPart(nonce), plain, additional);
}

/** The inverse of sealX(). */
export function openX(
  key: Uint8Array,
  nonce: Uint8Array,
  sealed: Uint8Array,
  additional: Uint8Array,
): Buffer | null {
  return open(subkey(key, nonce), lastPart(nonce), sealed, additional);
}

/** Bytes of the long nonce that go into the key; the rest is the nonce of the message. */
const KEYED_LENGTH = 16;

function lastPart(nonce: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.alloc(4), nonce.subarray(KEYED_LENGTH)]);
}

/** The constants of ChaCha20's state (RFC 8439 §2.3): "expand 32-byte k". */
const CONSTANTS = Buffer.from("expand 32-byte k");
const BLOCK_LENGTH = 64;

/**
 * HChaCha20 (draft-irtf-cfrg-xchacha-03 §2.2) by ChaCha20, as OpenSSL has no other: a block of its key stream is the state
 * after the rounds plus the state before. HChaCha20 is the first and the last four words after the rounds, and of these
 * words everybody knows what was there before.
 */
export function subkey(key: Uint8Array, nonce: Uint8Array): Buffer {
  const start = nonce.subarray(0, KEYED_LENGTH);
  const block = createCipheriv("chacha20", key, start).update(Buffer.alloc(BLOCK_LENGTH));
  const result = Buffer.alloc(32);
  for (let at = 0; at < KEYED_LENGTH; at += 4) {
    subtract(result, at, block.readUInt32LE(at), CONSTANTS.readUInt32LE(at));
    subtract(result, 16 + at, block.readUInt32LE(48 + at), Buffer.from(start).readUInt32LE(at));
  }
  return result;
}

function subtract(result: Buffer, at: number, from: number, what: number): void {
  result.writeUInt32LE((from - what) >>> 0, at);
}
