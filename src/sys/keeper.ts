import { Errno } from "./constants.js";
import { native } from "./native.js";

/** The keeper cuts texts to this, in bytes. */
const LONGEST_TEXT = 65_536;

/**
 * The text of the file that the keeper watches for us, resolv.conf (native/src/broker/protocol.h).
 * @returns null while it has not changed since the last call, or cannot be read now
 * @throws Error when the keeper is gone
 */
export function keeperText(): string | null {
  const bytes = new Uint8Array(LONGEST_TEXT);
  const length = native.keeperText(bytes);
  if (length >= 0) return new TextDecoder().decode(bytes.subarray(0, length));
  if (length === -Errno.EAGAIN) return null;
  throw new Error(`the keeper does not answer (errno ${-length})`);
}
