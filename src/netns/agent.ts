import type { Address } from "../base/address.js";
import { Socket } from "../sys/constants.js";
import { native } from "../sys/native.js";
import { SOCKADDR_SIZE, writeSockaddr } from "../sys/sockets/sockaddr.js";
import { LOOPBACK_IFINDEX, linkUp } from "../wire/rtnetlink.js";
import { settingFailure, systemFailure } from "./failure.js";
import type { Namespace } from "./namespace.js";

/**
 * Starts an agent: a process of ours that enters the namespace in our place.
 * @returns its handle, to be closed by native.closeAgent()
 * @throws UserError
 */
export function openAgent(namespace: Namespace): number {
  const agent = native.openAgent(namespace.userns, namespace.netns);
  if (agent < 0) throw systemFailure(agent, namespace);
  return agent;
}

/** Brings up lo, and nothing else. @throws UserError */
export function setLoopbackUp(namespace: Namespace): void {
  const agent = openAgent(namespace);
  const result = native.agentNetlink(agent, linkUp(LOOPBACK_IFINDEX));
  native.closeAgent(agent);
  if (result < 0) throw settingFailure(result, "bring up lo", namespace);
}

/** Whether a namespace has an interface of that name. @throws UserError */
export function hasInterface(namespace: Namespace, name: string): boolean {
  const agent = openAgent(namespace);
  try {
    return native.agentIfindex(agent, name) >= 0;
  } finally {
    native.closeAgent(agent);
  }
}

/**
 * A number that no other network namespace has had since the boot (SO_NETNS_COOKIE, Linux 5.14).
 * @returns null on an older kernel
 * @throws UserError
 */
export function cookieOf(namespace: Namespace): bigint | null {
  const resident = openResident(namespace);
  const socket = resident.socket(Socket.Inet, Socket.Datagram, 0);
  resident.close();
  if (socket < 0) return null;
  const bytes = new Uint8Array(8);
  const length = native.getsockoptBytes(socket, Socket.LevelSocket, Socket.NetnsCookie, bytes);
  native.close(socket);
  return length === bytes.length ? new DataView(bytes.buffer).getBigUint64(0, true) : null;
}

/** An agent that stays in a namespace, to make sockets and to change settings there. */
export interface Resident {
  /** As socket(2). @returns a handle, non-blocking, or a negative errno */
  socket(domain: number, type: number, protocol: number): number;
  /**
   * A socket that is bound inside, to ports below 1024, too, with SO_REUSEADDR. @returns as socket()
   * @param type Socket.Stream or Socket.Datagram
   */
  boundSocket(type: number, address: Address, port: number): number;
  /** The index of an interface, or a negative errno. */
  indexOf(name: string): number;
  /** Sends a request of rtnetlink. @returns 0 or a negative errno */
  set(request: Uint8Array): number;
  close(): void;
}

/**
 * Sends an agent into a namespace, to stay.
 * @throws UserError
 */
export function openResident(namespace: Namespace): Resident {
  return residentOf(openAgent(namespace));
}

/** @param agent becomes the resident's: it ends with it */
export function residentOf(agent: number): Resident {
  return {
    socket: (domain, type, protocol) => native.agentSocket(agent, domain, type, protocol),
    boundSocket: (type, address, port) => {
      const name = new Uint8Array(SOCKADDR_SIZE);
      const length = writeSockaddr(name, 0, address, port);
      const domain = address.family === 4 ? Socket.Inet : Socket.Inet6;
      return native.agentBoundSocket(agent, domain, type, name.subarray(0, length));
    },
    indexOf: (name) => native.agentIfindex(agent, name),
    set: (request) => native.agentNetlink(agent, request),
    close: () => native.closeAgent(agent),
  };
}
