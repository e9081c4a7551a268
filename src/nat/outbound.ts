import type { Address, Family } from "../base/address.js";
import type { GuestConfig } from "../config/guest-config.js";
import { Socket } from "../sys/constants.js";
import { native } from "../sys/native.js";
import { bindSocket, openSocket } from "../sys/sockets/socket.js";

/**
 * The source address of queries to a name server of the host; null lets the kernel choose. A resolver on the
 * loopback gets no configured source: it may answer only the host itself.
 */
export function resolverSource(outbound: GuestConfig["outbound"], server: Address): Address | null {
  return server.isLoopback ? null : outbound[server.family];
}

/**
 * Opens a socket for an outbound connection.
 * @param source address to bind to; null lets the kernel choose
 * @param type Socket.Stream or Socket.Datagram
 * @returns a non-blocking socket, or a negative errno
 */
export function openOutbound(family: Family, source: Address | null, type: number): number {
  const fd = openSocket(family, type);
  if (fd < 0 || source === null) return fd;
  // connect(2) then chooses the port, so that one port can serve many destinations.
  native.setsockopt(fd, Socket.LevelIp, Socket.BindAddressNoPort, 1);
  const bound = bindSocket(fd, source, 0);
  if (bound >= 0) return fd;
  native.close(fd);
  return bound;
}
