import type { Address } from "../base/address.js";
import { openOutbound } from "../nat/outbound.js";
import { Epoll, Errno, Socket, STREAM_EVENTS } from "../sys/constants.js";
import { native } from "../sys/native.js";
import { setTrafficClass } from "../sys/sockets/datagram-socket.js";
import { connectSocket, resetSocket } from "../sys/sockets/socket.js";
import { TokenKind, tokenOf } from "../sys/token.js";

const SOCKET_EVENTS = STREAM_EVENTS | Epoll.Priority;

/**
 * Opens a host socket for the guest and begins to connect it.
 * @param source address of the host that it leaves from; null for the kernel's choice
 * @param serviceClass DSCP, its bits where they are in the traffic class; 0: the default
 * @returns a non-blocking socket, or a negative errno
 */
export function openConnecting(
  destination: Address,
  port: number,
  source: Address | null,
  serviceClass: number,
): number {
  const { family } = destination;
  const fd = openOutbound(family, source, Socket.Stream);
  if (fd < 0) return fd;
  setStreamOptions(fd);
  if (family === 6) {
    // Without it the host's kernel keeps ICMPv6 errors to itself until the connect times out (m).
    native.setsockopt(fd, Socket.LevelIpv6, Socket.Ipv6ReceiveErrors, 1);
  }
  if (serviceClass !== 0) setTrafficClass(fd, family, serviceClass);
  const connected = connectSocket(fd, destination, port);
  if (connected >= 0 || connected === -Errno.EINPROGRESS) return fd;
  resetSocket(fd);
  return connected;
}

/**
 * Has the socket pass on at once what arrives, and deliver urgent data in line (RFC 6093 §5): apart from the
 * stream its one byte would be lost.
 */
export function setStreamOptions(fd: number): void {
  native.setsockopt(fd, Socket.LevelTcp, Socket.NoDelay, 1);
  native.setsockopt(fd, Socket.LevelSocket, Socket.OutOfBandInline, 1);
}

/**
 * Has epoll report events of a flow's host socket, edge-triggered.
 * @param guest index of the guest in tokens
 * @returns 0 or a negative errno
 */
export function watchSocket(fd: number, guest: number, id: number): number {
  return native.watch(fd, SOCKET_EVENTS, tokenOf(TokenKind.Tcp, guest, id));
}

/** A watched socket now stands for another flow; events that were reported for the old one are reported again. */
export function rewatchSocket(fd: number, guest: number, id: number): void {
  native.rewatch(fd, SOCKET_EVENTS, tokenOf(TokenKind.Tcp, guest, id));
}
