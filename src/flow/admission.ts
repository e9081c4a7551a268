import { TokenBucket } from "../base/token-bucket.js";
import { Errno } from "../sys/constants.js";

/** Part of a second's new flows that may begin at once: programs open many at their start. */
const BURST = 1 / 10;

/**
 * What keeps a flood of new flows from taking the processor from those that there are: a host socket
 * for each costs some 15 µs or more. Each kind of flow has one of its own. A flow gives its token back
 * once it has proved to be one (the guest has completed its handshake, somebody has answered), so
 * that floods and scans are slowed down, and programs that are busy are not.
 * @param most that come to nothing in a second
 */
export function newFlowsBucket(most: number): TokenBucket {
  return new TokenBucket(most, Math.max(1, most * BURST));
}

/** Whether the kernel had no memory for now. */
export function isOutOfMemory(errno: number): boolean {
  return errno === Errno.ENOBUFS || errno === Errno.ENOMEM;
}

/** Whether an open failed as the process, or the system, has no descriptor left. */
export function isOutOfDescriptors(errno: number): boolean {
  return errno === Errno.EMFILE || errno === Errno.ENFILE;
}
