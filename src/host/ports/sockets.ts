import { FAMILIES, type Family, LOOPBACK, otherFamily, UNSPECIFIED } from "../../base/address.js";
import type { PastaConfig } from "../../commandline/pasta/config.js";
import type { Guest } from "../../guest/guest.js";
import type { PublishedPort } from "../../nat/published-port.js";
import type { Resident } from "../../netns/agent.js";
import type { Forward, SocketsOf } from "../../publish/forward-table.js";
import type { ListenerSockets } from "../../publish/forwards.js";
import { Socket } from "../../sys/constants.js";
import { native } from "../../sys/native.js";
import { reportDestinations } from "../../sys/sockets/datagram-socket.js";
import { BACKLOG } from "../../sys/sockets/local-socket.js";
import type { ScopedEndpoint } from "../../sys/sockets/sockaddr.js";
import { connectSocket } from "../../sys/sockets/socket.js";

/** Where clients of a port are led. */
type LeadsTo = Pick<PublishedPort, "guest" | "via" | "otherwise" | "splice">;

type ListenerOptions = Pick<PastaConfig, "hostLoopbackToGuestLoopback" | "freebind" | "splice">;

/** Of ports of the host that lead to the guest: one dual-stack socket if it can be had, else what can. */
export function inboundSockets(guest: Guest, options: ListenerOptions): SocketsOf {
  const { hostLoopbackToGuestLoopback, freebind, splice } = options;
  const families = FAMILIES.filter((family) => guest.addressFor(family).family === family);
  const common: Partial<PublishedPort> = freebind ? { isFree: true } : {};
  const spliced: Partial<PublishedPort> =
    splice === "never" ? {} : { splice: hostLoopbackToGuestLoopback ? "loopback" : "address" };
  const leadsTo = ({ targetAddress }: Forward, family: Family): LeadsTo => {
    const own = guest.addressFor(family);
    // Beside the TAP a machine behind the guest would see the guest as the client.
    if (targetAddress !== null) return { guest: targetAddress, via: own };
    const other = guest.addressFor(otherFamily(family));
    return { ...spliced, guest: own, ...(other.equals(own) ? {} : { otherwise: other }) };
  };
  const portOf = (forward: Forward, family: Family): PublishedPort => {
    return {
      ...common,
      ...leadsTo(forward, family),
      protocol: forward.protocol,
      host: forward.address ?? UNSPECIFIED[family],
      hostPort: forward.port,
      guestPort: forward.target,
      ...(forward.isAuto ? { isAuto: true } : {}),
      ...(forward.interface === null ? {} : { interface: forward.interface }),
    };
  };
  return (forward) => {
    if (forward.address !== null) return [[portOf(forward, forward.address.family)]];
    const each = families.map((family) => portOf(forward, family));
    if (families.length < 2) return [each];
    return [[{ ...portOf(forward, 6), isDualStack: true }], each];
  };
}

/** Of ports of the host's loopback that appear on the guest's: at 127.0.0.1 and at ::1. */
export const outboundSockets: SocketsOf = ({ protocol, address, port, target }) => {
  const portOf = (host: (typeof LOOPBACK)[Family]): PublishedPort => ({
    protocol,
    host,
    hostPort: port,
    guest: LOOPBACK[host.family],
    otherwise: LOOPBACK[otherFamily(host.family)],
    guestPort: target,
  });
  return [
    address === null ? FAMILIES.map((family) => portOf(LOOPBACK[family])) : [portOf(address)],
  ];
};

/** Listening sockets inside the namespace. */
export function socketsInside(resident: Resident): ListenerSockets {
  return {
    tcp: (address, port) => {
      const fd = resident.boundSocket(Socket.Stream, address, port);
      return fd < 0 ? fd : closedOnError(fd, native.listen(fd, BACKLOG));
    },
    udp: (address, port) => {
      const fd = resident.boundSocket(Socket.Datagram, address, port);
      if (fd < 0) return fd;
      native.setsockopt(fd, Socket.LevelSocket, Socket.ReuseAddress, 0);
      reportDestinations(fd, address.family);
      return fd;
    },
  };
}

/** As openSessionSocket(), inside the namespace. */
export function sessionInside(resident: Resident) {
  return (listener: number, local: ScopedEndpoint, client: ScopedEndpoint): number => {
    native.setsockopt(listener, Socket.LevelSocket, Socket.ReuseAddress, 1);
    const fd = resident.boundSocket(Socket.Datagram, local.address, local.port);
    native.setsockopt(listener, Socket.LevelSocket, Socket.ReuseAddress, 0);
    if (fd < 0) return fd;
    return closedOnError(fd, connectSocket(fd, client.address, client.port));
  };
}

function closedOnError(fd: number, result: number): number {
  if (result >= 0) return fd;
  native.close(fd);
  return result;
}
