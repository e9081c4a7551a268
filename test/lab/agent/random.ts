import { type Cipheriv, createCipheriv, createHash, type Hash, randomBytes } from "node:crypto";
import type { Digest } from "./protocol.ts";

const zeros = new Uint8Array(65_536);

/** An endless stream of pseudo-random bytes, faster than any link: a cipher's key stream. */
export class RandomStream {
  readonly #cipher: Cipheriv = createCipheriv("aes-128-ctr", randomBytes(16), randomBytes(16));

  /** @param bytes at most 65536 */
  next(bytes: number): Uint8Array {
    return this.#cipher.update(zeros.subarray(0, bytes));
  }
}

/** Length and hash of a stream of bytes. */
export class Digester {
  readonly #hash: Hash = createHash("sha256");
  #bytes = 0;

  add(chunk: Uint8Array): void {
    this.#hash.update(chunk);
    this.#bytes += chunk.length;
  }

  digest(): Digest {
    return { bytes: this.#bytes, sha256: this.#hash.digest("hex") };
  }
}
