import type { Address, Family } from "../base/address.js";
import type { GuestConfig } from "../config/guest-config.js";
import { Socket } from "../sys/constants.js";
import { native } from "../sys/native.js";
import { bindSocket, openSocket } from "../sys/sockets/socket.js";

/**
 * The address that questions to a name server of the host leave from; null for the kernel's choice.
 * A resolver on the loopback may answer the host alone, and whose question it is nobody need see.
 */
export function resolverSource(outbound: GuestConfig["outbound"], server: Address): Address | null {
  return server.isLoopback ? null : outbound[server.family];
}

/**
 * Opens a socket from which a connection is to leave.
 * @param source null for the kernel's choice
 * @returns a non-blocking socket, or a negative errno
 */
export function openOutbound(family: Family, source: Address | null, type: number): number {
  const fd = openSocket(family, type);
  if (fd < 0 || source === null) return fd;
  // The port is chosen by connect, so that one port serves many destinations.
  native.setsockopt(fd, Socket.LevelIp, Socket.BindAddressNoPort, 1);
  const bound = bindSocket(fd, source, 0);
  if (bound >= 0) return fd;
  native.close(fd);
  return bound;
}
