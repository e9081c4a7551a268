import { log } from "../../base/log.js";
import type { Guest } from "../../guest/guest.js";
import type { TapHandle } from "../../guest/tap-handle.js";
import type { Loop } from "../../loop/loop.js";
import { Epoll, Socket } from "../../sys/constants.js";
import { native } from "../../sys/native.js";
import { acceptLocal } from "../../sys/sockets/local-socket.js";

/** Further clients wait in the kernel until the one that is served disconnects. */
export const BACKLOG = 1;

/** Frames that the client has not fetched, in bytes; cut to net.core.wmem_max by the kernel. */
const BUFFER_SIZE = 4 << 20;

export interface SocketLinkOptions {
  /** The client's path or descriptor, for the log. */
  readonly name: string;
  /** Whether each frame is preceded by its length; otherwise it is a message. */
  readonly isStream: boolean;
  /** Accepts clients, the link's from now on; null: the only client is there. */
  readonly listener: number | null;
  /** The only client; null: none is there yet. */
  readonly client: number | null;
  /** Whether the process ends when its client has gone. */
  readonly isOneOff: boolean;
}

/**
 * A guest's link by a socket instead of a TAP. Serves one client at a time; when it disconnects, as a machine may do
 * to reboot, waits for the next or ends.
 * The socket's file is not removed at the end; the next process that listens there replaces it.
 */
export class SocketLink implements TapHandle {
  readonly fd: number;
  readonly vnetHeader = false;
  readonly isStream: boolean;
  readonly name: string;
  readonly #isOneOff: boolean;
  /** null: there will be no other client. */
  #listener: number | null;
  #loop: Loop | null = null;
  #guest: Guest | null = null;
  #end: ((why: string) => void) | null = null;

  constructor({ name, isStream, listener, client, isOneOff }: SocketLinkOptions) {
    this.name = name;
    this.isStream = isStream;
    this.fd = client ?? absentClient();
    this.#listener = listener;
    this.#isOneOff = isOneOff;
  }

  /** Accepts clients from now on. @param end ends the process, when the only client that it serves has gone */
  start(loop: Loop, guest: Guest, end: (why: string) => void): void {
    this.#loop = loop;
    this.#guest = guest;
    this.#end = end;
    if (this.#listener !== null) loop.watch(this.#listener, Epoll.In, () => this.#accept());
  }

  onEnd(framingLost: boolean): void {
    native.replaceFd(this.fd, absentClient());
    if (framingLost) log.warn("%s: the client sent what is no frame: disconnected", this.name);
    else log.info("%s: the client has disconnected", this.name);
    if (this.#listener !== null) this.#loop?.rewatch(this.#listener, Epoll.In);
    // Not at once: the guest is at work.
    if (this.#isOneOff) setImmediate(() => this.#end?.("its client has gone"));
  }

  #accept(): void {
    if (this.#listener === null) return;
    const client = acceptLocal(this.#listener);
    if (client < 0) return;
    native.setsockopt(client, Socket.LevelSocket, Socket.SendBuffer, BUFFER_SIZE);
    native.replaceFd(this.fd, client);
    this.#guest?.watchTap();
    log.info("%s: a client has connected", this.name);
    if (this.#isOneOff) this.#stopListening(this.#listener);
    else this.#loop?.rewatch(this.#listener, 0);
  }

  /** Further clients are refused: nobody would ever serve them. */
  #stopListening(listener: number): void {
    this.#loop?.unwatch(listener);
    native.close(listener);
    this.#listener = null;
  }
}

/** A socket in the place of a client that is not there: sending fails (EDESTADDRREQ), and nothing arrives. */
function absentClient(): number {
  return native.socket(Socket.Inet, Socket.Datagram, 0);
}
