import { log } from "../../base/log.js";
import type { Guest } from "../../guest/guest.js";
import type { TapHandle } from "../../guest/tap-handle.js";
import type { Loop } from "../../loop/loop.js";
import { Epoll, Socket } from "../../sys/constants.js";
import { native } from "../../sys/native.js";
import { acceptLocal } from "../../sys/sockets/local-socket.js";
import { listenPrivately } from "../../sys/sockets/private-socket.js";

/** Further clients wait in the kernel until the one that is served disconnects. */
const BACKLOG = 1;

/** Frames that the client has not fetched, in bytes; cut to net.core.wmem_max by the kernel. */
const BUFFER_SIZE = 4 << 20;

/** A socket in the place of a client that is not there: sending fails (ENOTCONN), and nothing arrives. */
function absentClient(): number {
  return native.socket(Socket.Inet, Socket.Datagram, 0);
}

/**
 * A guest's link by a socket instead of a TAP: SOCK_SEQPACKET at a path of the file system, an
 * Ethernet frame a message, without a virtio header (the transport "bess" of User Mode Linux's
 * vector devices). Serves one client at a time; when it disconnects, as UML does to reboot, waits for the next.
 * The socket's file is not removed at the end; the next process that listens there replaces it.
 */
export class BessLink implements TapHandle {
  readonly fd: number;
  readonly vnetHeader = false;
  readonly #path: string;
  readonly #listener: number;
  #loop: Loop | null = null;
  #guest: Guest | null = null;

  /** @throws UserError when the path cannot be listened at */
  constructor(path: string) {
    this.#path = path;
    const listener = listenPrivately("BESS socket", path, Socket.SequencedPackets, BACKLOG);
    this.#listener = listener;
    this.fd = absentClient();
  }

  /** Accepts clients from now on. */
  start(loop: Loop, guest: Guest): void {
    this.#loop = loop;
    this.#guest = guest;
    loop.watch(this.#listener, Epoll.In, () => this.#accept());
  }

  onEnd(): void {
    native.replaceFd(this.fd, absentClient());
    this.#loop?.rewatch(this.#listener, Epoll.In);
    log.info("%s: the client has disconnected", this.#path);
  }

  #accept(): void {
    const client = acceptLocal(this.#listener);
    if (client < 0) return;
    native.setsockopt(client, Socket.LevelSocket, Socket.SendBuffer, BUFFER_SIZE);
    native.replaceFd(this.fd, client);
    this.#guest?.watchTap();
    this.#loop?.rewatch(this.#listener, 0);
    log.info("%s: a client has connected", this.#path);
  }
}
