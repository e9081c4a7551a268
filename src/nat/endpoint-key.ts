import type { Address } from "../base/address.js";
import { randomBytes } from "../sys/random.js";

/** Random, so that no guest can choose addresses that collide. */
const [hashKey] = new Uint32Array(randomBytes(4).buffer);

/** A key for tables over (address, port): exact in the port, a hash of the address. */
export function endpointKey({ w0, w1, w2, w3 }: Address, port: number): number {
  const hash = mixed(mixed(mixed(mixed(hashKey, w0), w1), w2), w3);
  return port * 0x1_0000_0000 + (hash >>> 0);
}

function mixed(hash: number, word: number): number {
  const product = Math.imul(hash ^ word, 0x9e37_79b1);
  return product ^ (product >>> 15);
}
