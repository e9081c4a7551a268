import { getSystemErrorName } from "node:util";
import { UserError } from "../../base/errors.js";
import { log } from "../../base/log.js";
import type { Guest } from "../../guest/guest.js";
import { openResident, type Resident } from "../../netns/agent.js";
import type { Namespace } from "../../netns/namespace.js";
import { GuestListeners } from "../../publish/guest-listeners.js";
import { Socket } from "../../sys/constants.js";
import { native } from "../../sys/native.js";
import type { Listener } from "../../wire/inet-diag.js";

/** Until an unfinished query for listeners goes on, and until a failed one is repeated, in ms. */
const STEP_WAIT = 1;
const FAILURE_WAIT = 5_000;

/**
 * Looks again and again at what listens, for as long as the guest is there.
 * @param socket of openListenerSocket() or the like; closed when the guest is
 * @param onFound gets all listeners, and returns ms until it wants them again
 */
export function scanListeners(
  guest: Guest,
  socket: number,
  onFound: (listeners: readonly Listener[]) => number,
): void {
  const listeners = new GuestListeners(socket);
  let hasFailed = false;
  const look = (): void => {
    if (guest.forwards.isClosed) {
      listeners.close();
      return;
    }
    const found = listeners.step();
    if (typeof found === "number" && !hasFailed) {
      hasFailed = true;
      log.warn(`cannot see what listens: ${getSystemErrorName(found)}`);
    }
    setTimeout(look, waitAfter(found, onFound));
  };
  look();
}

function waitAfter(
  found: ReturnType<GuestListeners["step"]>,
  onFound: (listeners: readonly Listener[]) => number,
): number {
  if (found === null) return STEP_WAIT;
  return typeof found === "number" ? FAILURE_WAIT : onFound(found);
}

/**
 * Makes a sock_diag(7) socket in a namespace, which lists what listens there. A socket belongs to its namespace even
 * when the process that made it has left.
 * @throws UserError
 */
export function openListenerSocket(namespace: Namespace): number {
  const resident = openResident(namespace);
  const socket = listenerSocketOf(resident);
  resident.close();
  return checked(socket);
}

/** As openListenerSocket(), by an agent that is there. @throws UserError */
export function listenerSocketInside(resident: Resident): number {
  return checked(listenerSocketOf(resident));
}

/** As openListenerSocket(), of this process's own namespace. @throws UserError */
export function listenerSocketHere(): number {
  return checked(native.socket(Socket.Netlink, Socket.Raw, Socket.NetlinkSockDiag));
}

function listenerSocketOf(resident: Resident): number {
  return resident.socket(Socket.Netlink, Socket.Raw, Socket.NetlinkSockDiag);
}

function checked(socket: number): number {
  if (socket >= 0) return socket;
  const name = getSystemErrorName(socket);
  throw new UserError(
    `the kernel does not list listening sockets (${name}): sudo modprobe inet_diag, or name the ports`,
  );
}
