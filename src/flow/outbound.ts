import type { Address } from "../base/address.js";
import type { GuestConfig } from "../base/plan.js";
import { Socket } from "../sys/constants.js";
import { native } from "../sys/native.js";
import { bindSocket, openSocket } from "../sys/socket.js";

/** The address that packets to a destination leave from; null for the kernel's choice. */
export function outboundSource(
  outbound: GuestConfig["outbound"],
  destination: Address,
): Address | null {
  // The host's own services are reached from its loopback, whatever the world shall see.
  return destination.isLoopback ? null : outbound[destination.family];
}

/**
 * Opens a socket from which a connection to the destination is to leave.
 * @returns a non-blocking socket, or a negative errno
 */
export function openOutbound(
  outbound: GuestConfig["outbound"],
  destination: Address,
  type: number,
): number {
  const fd = openSocket(destination.family, type);
  const source = outboundSource(outbound, destination);
  if (fd < 0 || source === null) return fd;
  // The port is chosen by connect, so that one port serves many destinations.
  native.setsockopt(fd, Socket.LevelIp, Socket.BindAddressNoPort, 1);
  const bound = bindSocket(fd, source, 0);
  if (bound >= 0) return fd;
  native.close(fd);
  return bound;
}
