import type { Address } from "../base/address.js";
import { randomBytes } from "../sys/random.js";

/** Unknown to guests, so that none can aim its addresses at one key. */
const [hashKey] = new Uint32Array(randomBytes(4).buffer);

/** A number for an address and port, to look things up by: exact in the port, a hash of the address. */
export function endpointKey({ w0, w1, w2, w3 }: Address, port: number): number {
  const hash = mixed(mixed(mixed(mixed(hashKey, w0), w1), w2), w3);
  return port * 0x1_0000_0000 + (hash >>> 0);
}

function mixed(hash: number, word: number): number {
  const product = Math.imul(hash ^ word, 0x9e37_79b1);
  return product ^ (product >>> 15);
}
