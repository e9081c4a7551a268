import type { Address, Family } from "../../base/address.js";
import { Socket } from "../constants.js";
import { native } from "../native.js";
import { BACKLOG } from "./local-socket.js";
import { bindSocket, openSocket } from "./socket.js";

/** What a socket for clients is bound to, beside an address and a port. */
export interface Binding {
  /** Whether clients of both families come to it; its address is :: then. */
  readonly isDualStack?: true;
  /** Only what arrives by this interface comes to it. Needs no privilege since Linux 5.7. */
  readonly interface?: string;
  /** Whether its address may be one that the host does not have, or not yet (ip(7), IP_FREEBIND). */
  readonly isFree?: true;
}

/** An interface's name is a string without a NUL here (socket(7), SO_BINDTODEVICE). */
const encoder = new TextEncoder();

/** Sets the options of a binding on a socket that is not bound yet. @returns 0 or a negative errno */
export function setBinding(fd: number, family: Family, binding: Binding): number {
  const { interface: name, isDualStack = false, isFree = false } = binding;
  if (family === 6) {
    native.setsockopt(fd, Socket.LevelIpv6, Socket.Ipv6Only, isDualStack ? 0 : 1);
  }
  if (isFree) native.setsockopt(fd, Socket.LevelIp, Socket.IpFreebind, 1);
  if (name === undefined) return 0;
  return native.bindToDevice(fd, encoder.encode(name));
}

/**
 * A socket that listens for TCP at an address of the host.
 * @param port 0 for any free one
 * @returns the socket, or a negative errno
 */
export function listenSocket(address: Address, port: number, binding: Binding = {}): number {
  const { family } = address;
  const fd = openSocket(family, Socket.Stream);
  if (fd < 0) return fd;
  native.setsockopt(fd, Socket.LevelSocket, Socket.ReuseAddress, 1);
  const set = setBinding(fd, family, binding);
  const bound = set < 0 ? set : bindSocket(fd, address, port);
  const error = bound < 0 ? bound : native.listen(fd, BACKLOG);
  if (error >= 0) return fd;
  native.close(fd);
  return error;
}
