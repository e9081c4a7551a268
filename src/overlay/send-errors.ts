import { DropReason } from "../base/drop.js";
import { Errno } from "../sys/constants.js";

/** Why a datagram is dropped that the kernel did not take. @param errno positive */
export function reasonOf(errno: number): DropReason {
  const isFull = errno === Errno.EAGAIN || errno === Errno.ENOBUFS || errno === Errno.ENOMEM;
  return isFull ? DropReason.HostQueueFull : DropReason.TunnelUnreachable;
}

/** Whether the kernel refused UDP_SEGMENT. EMSGSIZE, EINVAL: the segments are above the MTU (m). EIO: the interface computes no checksums. */
export function isAboutSegments(errno: number): boolean {
  return errno === Errno.EMSGSIZE || errno === Errno.EINVAL || errno === Errno.EIO;
}
