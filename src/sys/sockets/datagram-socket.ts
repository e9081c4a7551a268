import type { Address, Family } from "../../base/address.js";
import { Socket } from "../constants.js";
import { native } from "../native.js";
import { type Binding, setBinding } from "./listening.js";
import type { ScopedEndpoint } from "./sockaddr.js";
import { bindSocket, connectSocket } from "./socket.js";

/** Options for control data with each datagram and each error: TTL and TOS, or their IPv6 names (ip(7), ipv6(7)). */
const CONTROL_OPTIONS: Readonly<Record<Family, readonly [level: number, name: number][]>> = {
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

/** Of a socket, in bytes; the kernel cuts it to net.core.rmem_max and wmem_max. */
const BUFFER_SIZE = 4 << 20;

/** The options that set fields of the IP header, by family. */
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
 * A datagram socket with large buffers, an error queue, and traffic class and hop limit as control data
 * of each datagram.
 * @param protocol 0 for UDP, or the number of the family's ICMP for echo (icmp(7))
 * @returns a non-blocking socket, or a negative errno
 */
export function openDatagramSocket(family: Family, protocol: number): number {
  const fd = native.socket(family === 4 ? Socket.Inet : Socket.Inet6, Socket.Datagram, protocol);
  if (fd < 0) return fd;
  native.setsockopt(fd, Socket.LevelSocket, Socket.SendBuffer, BUFFER_SIZE);
  native.setsockopt(fd, Socket.LevelSocket, Socket.ReceiveBuffer, BUFFER_SIZE);
  for (const [level, name] of CONTROL_OPTIONS[family]) native.setsockopt(fd, level, name, 1);
  return fd;
}

/**
 * Prepares a socket of a tunnel: traffic class of each datagram as control data, large buffers, and UDP_GRO. Over IPv4
 * it never sets DF: where the path is narrower than the members were told, routers fragment, so that nothing is lost
 * where ICMP is filtered.
 */
export function prepareTunnelSocket(fd: number, family: Family): void {
  native.setsockopt(fd, Socket.LevelSocket, Socket.SendBuffer, BUFFER_SIZE);
  native.setsockopt(fd, Socket.LevelSocket, Socket.ReceiveBuffer, BUFFER_SIZE);
  if (family === 6) {
    native.setsockopt(fd, Socket.LevelIpv6, Socket.Ipv6ReceiveTrafficClass, 1);
  } else {
    native.setsockopt(fd, Socket.LevelIp, Socket.IpReceiveTos, 1);
    native.setsockopt(fd, Socket.LevelIp, Socket.IpMtuDiscover, Socket.MtuDiscoverNever);
  }
  receiveOffloaded(fd);
}

/** Lets the kernel deliver several datagrams as one (UDP_GRO, udp(7)). */
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
 * Sets or clears DF. With DF, the kernel checks the MTU of its own link only and ignores the path MTU that it knows
 * (IP_PMTUDISC_PROBE): Slipway is a router, and the guest keeps track of path MTUs. Without DF, datagrams are
 * fragmented where they do not fit.
 */
export function setDontFragment(fd: number, family: Family, dontFragment: boolean): void {
  const { level, mtuDiscover } = HEADER_OPTIONS[family];
  const mode = dontFragment ? Socket.MtuDiscoverProbe : Socket.MtuDiscoverNever;
  native.setsockopt(fd, level, mtuDiscover, mode);
}

/**
 * A socket for the clients of a published UDP port. Control data of each datagram has its destination
 * address (see parseDestination).
 * @param port 0 for any free one
 * @returns the socket, or a negative errno
 */
export function bindDatagramPort(address: Address, port: number, binding: Binding = {}): number {
  const { family } = address;
  const fd = openDatagramSocket(family, 0);
  if (fd < 0) return fd;
  reportDestinations(fd, family);
  // What the first datagram of an IPv4 client brings along is asked for by IPv4's options.
  if (binding.isDualStack)
    for (const [level, name] of CONTROL_OPTIONS[4]) native.setsockopt(fd, level, name, 1);
  return boundOrClosed(fd, { address, port, scope: 0 }, binding);
}

/** Has the kernel say to which address each datagram was sent (parseDestination). */
export function reportDestinations(fd: number, family: Family): void {
  if (family === 4) native.setsockopt(fd, Socket.LevelIp, Socket.IpPacketInfo, 1);
  else native.setsockopt(fd, Socket.LevelIpv6, Socket.Ipv6ReceivePacketInfo, 1);
}

/** A socket for all that other hosts send to a tunnel. @returns the socket, or a negative errno */
export function openTunnelSocket(address: Address, port: number): number {
  const fd = openDatagramSocket(address.family, 0);
  return fd < 0 ? fd : boundOrClosed(fd, { address, port, scope: 0 }, {});
}

/**
 * A connected socket for one client of a published UDP port: it receives what that client sends, and
 * sends from the address and port that the client sent to. Between bind(2) and connect(2) it also
 * receives what other clients send to that address and port, so its first datagrams may be theirs.
 * @param listener the port's socket. It has SO_REUSEADDR during this call only: while it has, any process
 * that sets SO_REUSEADDR may bind the port and take clients from it.
 * @param binding the listener's
 * @returns the socket, or a negative errno
 */
export function openSessionSocket(
  listener: number,
  local: ScopedEndpoint,
  client: ScopedEndpoint,
  { interface: name, isFree }: Binding = {},
): number {
  const unbound = openDatagramSocket(local.address.family, 0);
  if (unbound < 0) return unbound;
  native.setsockopt(unbound, Socket.LevelSocket, Socket.ReuseAddress, 1);
  native.setsockopt(listener, Socket.LevelSocket, Socket.ReuseAddress, 1);
  const binding = {
    ...(name === undefined ? {} : { interface: name }),
    ...(isFree ? { isFree } : {}),
  };
  const fd = boundOrClosed(unbound, local, binding);
  native.setsockopt(listener, Socket.LevelSocket, Socket.ReuseAddress, 0);
  if (fd < 0) return fd;
  const connected = connectSocket(fd, client.address, client.port, client.scope);
  if (connected >= 0) return fd;
  native.close(fd);
  return connected;
}

function boundOrClosed(
  fd: number,
  { address, port, scope }: ScopedEndpoint,
  binding: Binding,
): number {
  const set = setBinding(fd, address.family, binding);
  const bound = set < 0 ? set : bindSocket(fd, address, port, scope);
  if (bound >= 0) return fd;
  native.close(fd);
  return bound;
}
