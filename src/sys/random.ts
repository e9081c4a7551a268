import { native } from "./native.js";

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
