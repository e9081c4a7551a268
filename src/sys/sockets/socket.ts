import { Address, type Family } from "../../base/address.js";
import { Errno, Socket } from "../constants.js";
import { native } from "../native.js";
import {
  type Endpoint,
  sockaddrAddressOffset,
  sockaddrFamily,
  sockaddrPort,
  writeSockaddr,
} from "./sockaddr.js";

/** Socket addresses on their way to and from the kernel; in calls that use no WASM memory. */
const scratch = new Uint8Array(new ArrayBuffer(64));
const scratchMemory = native.registerMemory(scratch.buffer);

/** struct tcp_info of linux/tcp.h up to and with tcpi_rtt, and the offset of that. */
const TCP_INFO_SIZE = 72;
const TCP_INFO_RTT = 68;
const tcpInfo = new Uint8Array(TCP_INFO_SIZE);

/** struct sockaddr_in. */
const SOCKADDR_IN_LENGTH = 16;

/** @returns a non-blocking socket, or a negative errno */
export function openSocket(family: Family, type: number): number {
  return native.socket(family === 4 ? Socket.Inet : Socket.Inet6, type, 0);
}

/** Two descriptors, in bytes. */
const PAIR_SIZE = 8;

/** Port for a connect(2) after which nothing is sent (discard, RFC 863). */
const DISCARD_PORT = 9;

/** @returns 0, -EINPROGRESS, or another negative errno */
export function connectSocket(fd: number, address: Address, port: number, scope = 0): number {
  return native.connect(fd, scratchMemory, 0, writeSockaddr(scratch, 0, address, port, scope));
}

/** @returns 0 or a negative errno */
export function bindSocket(fd: number, address: Address, port: number, scope = 0): number {
  return native.bind(fd, scratchMemory, 0, writeSockaddr(scratch, 0, address, port, scope));
}

/** A client of a listening socket. */
export interface Accepted {
  /** A non-blocking socket. */
  readonly fd: number;
  readonly address: Address;
  readonly port: number;
}

/** Takes the next client of a listening socket. @returns a negative errno when there is none */
export function acceptSocket(listener: number): Accepted | number {
  const fd = native.accept(listener, scratchMemory, 0, scratch.length);
  if (fd < 0) return fd;
  const family = sockaddrFamily(scratch, 0);
  const address = Address.read(scratch, sockaddrAddressOffset(family), family);
  return { fd, address, port: sockaddrPort(scratch, 0) };
}

/** The address and port a socket is bound to, or null when it has none. */
export function localAddress(fd: number): Endpoint | null {
  return endpointOf(native.getsockname(fd, scratchMemory, 0, scratch.length));
}

/** The address and port a socket is connected to, or null when it is not. */
export function peerAddress(fd: number): Endpoint | null {
  return endpointOf(native.getpeername(fd, scratchMemory, 0, scratch.length));
}

/** Two stream sockets, connected to each other. @returns their descriptors, or a negative errno */
export function socketPair(): readonly [number, number] | number {
  const made = native.socketPair(scratchMemory, 0, PAIR_SIZE);
  if (made < 0) return made;
  const numbers = new DataView(scratch.buffer);
  return [numbers.getUint32(0, true), numbers.getUint32(4, true)];
}

/** The smoothed round-trip time of a TCP connection in µs; null before the first is measured. */
export function roundTripTime(fd: number): number | null {
  const length = native.getsockoptBytes(fd, Socket.LevelTcp, Socket.TcpInfo, tcpInfo);
  if (length < TCP_INFO_SIZE) return null;
  const microseconds = new DataView(tcpInfo.buffer).getUint32(TCP_INFO_RTT, true);
  return microseconds === 0 ? null : microseconds;
}

/** @param length what the call that fills `scratch` returned */
function endpointOf(length: number): Endpoint | null {
  const isInternet = scratch[0] === Socket.Inet || scratch[0] === Socket.Inet6;
  if (length < 0 || !isInternet) return null;
  const family = sockaddrFamily(scratch, 0);
  return {
    address: Address.read(scratch, sockaddrAddressOffset(family), family),
    port: sockaddrPort(scratch, 0),
  };
}

/**
 * Whether the address is one of this host's: then the kernel picks it as the source towards itself.
 * Costs four system calls, but needs no netlink, which the sandbox denies.
 */
export function isOwnAddress(address: Address): boolean {
  return sourceTowards(address)?.equals(address) === true;
}

/** The address from which this host sends to another, by its routes; null when there is no route. Nothing is sent. */
export function sourceTowards(address: Address): Address | null {
  const fd = openSocket(address.family, Socket.Datagram);
  if (fd < 0) return null;
  const connected = connectSocket(fd, address, DISCARD_PORT);
  const source = connected < 0 ? null : localAddress(fd);
  native.close(fd);
  return source?.address ?? null;
}

/**
 * The MTU of the path to an address as the host knows it now, in bytes of IP: that of the link, or of what a router has
 * said (ip(7), IP_MTU). Nothing is sent. @returns 0 when there is no route
 */
export function pathMtu(address: Address): number {
  const { family } = address;
  const fd = openSocket(family, Socket.Datagram);
  if (fd < 0) return 0;
  const connected = connectSocket(fd, address, DISCARD_PORT);
  const mtu =
    family === 4
      ? native.getsockopt(fd, Socket.LevelIp, Socket.IpMtu)
      : native.getsockopt(fd, Socket.LevelIpv6, Socket.Ipv6Mtu);
  native.close(fd);
  return connected < 0 ? 0 : Math.max(0, mtu);
}

/** Ends a TCP connection by RST: connect(2) to AF_UNSPEC dissolves the association. */
export function resetSocket(fd: number): void {
  scratch.fill(0, 0, SOCKADDR_IN_LENGTH);
  native.connect(fd, scratchMemory, 0, SOCKADDR_IN_LENGTH);
  native.close(fd);
}

/** The socket's pending error as a positive errno, 0 when there is none. */
export function pendingError(fd: number): number {
  const error = native.getsockopt(fd, Socket.LevelSocket, Socket.Error);
  return error < 0 ? Errno.EBADF : error;
}
