import { MAC_LENGTH, type Mac, readMac } from "../base/mac.js";
import { native } from "./native.js";

/** Of the first byte of a MAC: whether it is of a group, and whether it is locally administered (IEEE 802-2014 §8.2). */
const GROUP_BIT = 0x01;
const LOCAL_BIT = 0x02;

/**
 * @param length 1..256
 * @returns unpredictable bytes of the kernel's generator (getrandom(2))
 * @throws Error when it gives fewer
 */
export function randomBytes(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  const filled = native.getRandom(bytes);
  if (filled !== length) throw new Error(`getrandom: ${filled}`);
  return bytes;
}

/** A random id of 64 hexadecimal digits, such as Docker's. */
export function randomId(): string {
  return Buffer.from(randomBytes(32)).toString("hex");
}

/** A random MAC for an interface, as the kernel makes one (eth_random_addr()). */
export function randomInterfaceMac(): Mac {
  const bytes = randomBytes(MAC_LENGTH);
  bytes[0] = (bytes[0] & ~GROUP_BIT) | LOCAL_BIT;
  return readMac(bytes, 0);
}
