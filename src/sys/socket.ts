import { Address, type Family } from "../base/address.js";
import { Errno, Socket } from "./constants.js";
import { BACKLOG } from "./local-socket.js";
import { native } from "./native.js";

/** Bytes of the longest socket address we use, struct sockaddr_in6. */
export const SOCKADDR_SIZE = 28;

const SOCKADDR_LENGTH: Readonly<Record<Family, number>> = { 4: 16, 6: SOCKADDR_SIZE };
const ADDRESS_OFFSET: Readonly<Record<Family, number>> = { 4: 4, 6: 8 };
/** sin6_scope_id */
const SCOPE_OFFSET = 24;

/** An endpoint of the host's network. */
export interface ScopedEndpoint extends Endpoint {
  /** Index of the interface on whose link a link-local IPv6 address is; 0 for others. */
  readonly scope: number;
}

/** Where addresses pass to and from the kernel when no WASM memory is concerned. */
const scratch = new Uint8Array(new ArrayBuffer(64));
const scratchMemory = native.registerMemory(scratch.buffer);

/** struct tcp_info of linux/tcp.h as far as tcpi_rtt, and where that stands. */
const TCP_INFO_SIZE = 72;
const TCP_INFO_RTT = 68;
const tcpInfo = new Uint8Array(TCP_INFO_SIZE);

export interface Endpoint {
  readonly address: Address;
  readonly port: number;
}

/**
 * Writes a struct sockaddr_in or sockaddr_in6: family in the machine's order, port and address in
 * the network's, zeros elsewhere.
 * @returns its length in bytes
 */
export function writeSockaddr(
  bytes: Uint8Array,
  offset: number,
  address: Address,
  port: number,
): number {
  const { family } = address;
  const length = SOCKADDR_LENGTH[family];
  bytes.fill(0, offset, offset + length);
  bytes[offset] = family === 4 ? Socket.Inet : Socket.Inet6;
  bytes[offset + 2] = port >>> 8;
  bytes[offset + 3] = port;
  address.write(bytes, offset + ADDRESS_OFFSET[family]);
  return length;
}

/** The address family of a sockaddr that the kernel wrote. */
export function sockaddrFamily(bytes: Uint8Array, offset: number): Family {
  return bytes[offset] === Socket.Inet ? 4 : 6;
}

/** Where the address stands in a sockaddr of that family, in bytes from its start. */
export function sockaddrAddressOffset(family: Family): number {
  return ADDRESS_OFFSET[family];
}

/** The port in a sockaddr, in host order. */
export function sockaddrPort(bytes: Uint8Array, offset: number): number {
  return (bytes[offset + 2] << 8) | bytes[offset + 3];
}

/** The interface of a link-local IPv6 address in a sockaddr that the kernel wrote; otherwise 0. */
export function sockaddrScope(bytes: Uint8Array, offset: number): number {
  if (sockaddrFamily(bytes, offset) === 4) return 0;
  return readScope(bytes, offset + SCOPE_OFFSET);
}

function readScope(bytes: Uint8Array, at: number): number {
  return bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
}

/** As writeSockaddr, with the scope. */
function writeEndpoint(bytes: Uint8Array, { address, port, scope }: ScopedEndpoint): number {
  const length = writeSockaddr(bytes, 0, address, port);
  if (address.family === 4) return length;
  for (let byte = 0; byte < 4; byte += 1) bytes[SCOPE_OFFSET + byte] = scope >>> (8 * byte);
  return length;
}

/** @returns a non-blocking socket, or a negative errno */
export function openSocket(family: Family, type: number): number {
  return native.socket(family === 4 ? Socket.Inet : Socket.Inet6, type, 0);
}

/** What a datagram socket asks the kernel to tell with each datagram and each error (ip(7), ipv6(7)). */
const TELL: Readonly<Record<Family, readonly [level: number, name: number][]>> = {
  4: [
    [Socket.LevelIp, Socket.IpReceiveErrors],
    [Socket.LevelIp, Socket.IpReceiveTtl],
    [Socket.LevelIp, Socket.IpReceiveTos],
  ],
  6: [
    [Socket.LevelIpv6, Socket.Ipv6ReceiveErrors],
    [Socket.LevelIpv6, Socket.Ipv6ReceiveHopLimit],
    [Socket.LevelIpv6, Socket.Ipv6ReceiveTrafficClass],
  ],
};

/** Of two descriptors. */
const PAIR_SIZE = 8;

/** Where nothing is sent (RFC 863): a port to connect to. */
const DISCARD_PORT = 9;

/** Asked for, and cut to net.core.rmem_max and wmem_max by the kernel. */
const BUFFER_SIZE = 4 << 20;

/** The header fields of a family that a socket sets: level, and the options' names. */
const HEADER_OPTIONS = {
  4: {
    level: Socket.LevelIp,
    hopLimit: Socket.IpTtl,
    trafficClass: Socket.IpTos,
    mtuDiscover: Socket.IpMtuDiscover,
  },
  6: {
    level: Socket.LevelIpv6,
    hopLimit: Socket.Ipv6UnicastHops,
    trafficClass: Socket.Ipv6TrafficClass,
    mtuDiscover: Socket.Ipv6MtuDiscover,
  },
} as const;

/**
 * A datagram socket with large buffers, an error queue, and traffic class and hop limit told with
 * each datagram.
 * @param protocol 0 for UDP, or that of the family's ICMP
 * @returns a non-blocking socket, or a negative errno
 */
export function openDatagramSocket(family: Family, protocol: number): number {
  const fd = native.socket(family === 4 ? Socket.Inet : Socket.Inet6, Socket.Datagram, protocol);
  if (fd < 0) return fd;
  native.setsockopt(fd, Socket.LevelSocket, Socket.SendBuffer, BUFFER_SIZE);
  native.setsockopt(fd, Socket.LevelSocket, Socket.ReceiveBuffer, BUFFER_SIZE);
  for (const [level, name] of TELL[family]) native.setsockopt(fd, level, name, 1);
  return fd;
}

/** Lets the kernel hand over several datagrams as one (UDP_GRO). */
export function receiveOffloaded(fd: number): void {
  native.setsockopt(fd, Socket.LevelUdp, Socket.UdpReceiveOffload, 1);
}

/** @param hopLimit 1..255 */
export function setHopLimit(fd: number, family: Family, hopLimit: number): void {
  const { level, hopLimit: name } = HEADER_OPTIONS[family];
  native.setsockopt(fd, level, name, hopLimit);
}

/** @param trafficClass DSCP and ECN, 0..255 */
export function setTrafficClass(fd: number, family: Family, trafficClass: number): void {
  const { level, trafficClass: name } = HEADER_OPTIONS[family];
  native.setsockopt(fd, level, name, trafficClass);
}

/**
 * Whether datagrams larger than a link are refused by the router in front of it, or fragmented. As
 * a router we send what fits our own link and leave it to the guest to remember the path's MTU.
 */
export function setDontFragment(fd: number, family: Family, dontFragment: boolean): void {
  const { level, mtuDiscover } = HEADER_OPTIONS[family];
  const mode = dontFragment ? Socket.MtuDiscoverProbe : Socket.MtuDiscoverNever;
  native.setsockopt(fd, level, mtuDiscover, mode);
}

/** @returns 0, -EINPROGRESS, or another negative errno */
export function connectSocket(fd: number, address: Address, port: number): number {
  return native.connect(fd, scratchMemory, 0, writeSockaddr(scratch, 0, address, port));
}

/** @returns 0 or a negative errno */
export function bindSocket(fd: number, address: Address, port: number): number {
  return native.bind(fd, scratchMemory, 0, writeSockaddr(scratch, 0, address, port));
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
  const address = Address.read(scratch, ADDRESS_OFFSET[family], family);
  return { fd, address, port: sockaddrPort(scratch, 0) };
}

/**
 * A socket that listens for TCP at an address of the host; one of IPv6 for IPv6 alone.
 * @param port 0 for any that is free
 * @returns the socket, or a negative errno
 */
export function listenSocket(address: Address, port: number): number {
  const fd = openSocket(address.family, Socket.Stream);
  if (fd < 0) return fd;
  if (address.family === 6) native.setsockopt(fd, Socket.LevelIpv6, Socket.Ipv6Only, 1);
  native.setsockopt(fd, Socket.LevelSocket, Socket.ReuseAddress, 1);
  const bound = bindSocket(fd, address, port);
  const error = bound < 0 ? bound : native.listen(fd, BACKLOG);
  if (error >= 0) return fd;
  native.close(fd);
  return error;
}

/**
 * A socket for the clients of a published UDP port; it tells where each datagram was sent to.
 * @param port 0 for any that is free
 * @returns the socket, or a negative errno
 */
export function bindDatagramPort(address: Address, port: number): number {
  const { family } = address;
  const fd = openDatagramSocket(family, 0);
  if (fd < 0) return fd;
  if (family === 4) native.setsockopt(fd, Socket.LevelIp, Socket.IpPacketInfo, 1);
  else native.setsockopt(fd, Socket.LevelIpv6, Socket.Ipv6ReceivePacketInfo, 1);
  return boundOrClosed(fd, { address, port, scope: 0 });
}

/**
 * A socket for one client of a published UDP port: the kernel gives it what that client sends, and
 * what it sends leaves from the address and port that the client asked. Between bind and connect it
 * has what any client sends to that address and port: its first datagrams may be somebody else's.
 * @param listener the port's socket. Only for this moment does it let others have its port: who
 * sets SO_REUSEADDR, too, would take clients from it.
 * @returns the socket, or a negative errno
 */
export function openSessionSocket(
  listener: number,
  local: ScopedEndpoint,
  client: ScopedEndpoint,
): number {
  const unbound = openDatagramSocket(local.address.family, 0);
  if (unbound < 0) return unbound;
  native.setsockopt(unbound, Socket.LevelSocket, Socket.ReuseAddress, 1);
  native.setsockopt(listener, Socket.LevelSocket, Socket.ReuseAddress, 1);
  const fd = boundOrClosed(unbound, local);
  native.setsockopt(listener, Socket.LevelSocket, Socket.ReuseAddress, 0);
  if (fd < 0) return fd;
  const connected = native.connect(fd, scratchMemory, 0, writeEndpoint(scratch, client));
  if (connected >= 0) return fd;
  native.close(fd);
  return connected;
}

function boundOrClosed(fd: number, local: ScopedEndpoint): number {
  if (local.address.family === 6) native.setsockopt(fd, Socket.LevelIpv6, Socket.Ipv6Only, 1);
  const bound = native.bind(fd, scratchMemory, 0, writeEndpoint(scratch, local));
  if (bound >= 0) return fd;
  native.close(fd);
  return bound;
}

/** The address and port a socket is bound to, or null when it has none. */
export function localAddress(fd: number): Endpoint | null {
  return endpointOf(native.getsockname(fd, scratchMemory, 0, scratch.length));
}

/** The address and port a socket is connected to, or null when it is not. */
export function peerAddress(fd: number): Endpoint | null {
  return endpointOf(native.getpeername(fd, scratchMemory, 0, scratch.length));
}

/** Two stream sockets that are connected to each other. @returns a negative errno otherwise */
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
    address: Address.read(scratch, ADDRESS_OFFSET[family], family),
    port: sockaddrPort(scratch, 0),
  };
}

/**
 * Whether the address is one of this host's: the kernel takes it as the source of what goes to it.
 * Costs four system calls, and needs no netlink, which the sandbox does not have.
 */
export function isOwnAddress(address: Address): boolean {
  const fd = openSocket(address.family, Socket.Datagram);
  if (fd < 0) return false;
  const connected = connectSocket(fd, address, DISCARD_PORT);
  const source = connected < 0 ? null : localAddress(fd)?.address;
  native.close(fd);
  return source?.equals(address) === true;
}

/** Ends a TCP connection by RST: connect(2) to AF_UNSPEC dissolves the association. */
export function resetSocket(fd: number): void {
  scratch.fill(0, 0, SOCKADDR_LENGTH[4]);
  native.connect(fd, scratchMemory, 0, SOCKADDR_LENGTH[4]);
  native.close(fd);
}

/** The socket's pending error as a positive errno, 0 when there is none. */
export function pendingError(fd: number): number {
  const error = native.getsockopt(fd, Socket.LevelSocket, Socket.Error);
  return error < 0 ? Errno.EBADF : error;
}
