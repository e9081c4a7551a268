import type { Loop } from "../loop/loop.js";
import { Epoll, Errno, Socket } from "../sys/constants.js";
import { native } from "../sys/native.js";
import { Gate } from "../sys/peers/gate.js";
import { acceptLocal } from "../sys/sockets/local-socket.js";
import { listenPrivately } from "../sys/sockets/private-socket.js";
import { ApiClients } from "./clients.js";
import type { Subject } from "./subject.js";

/** Clients accepted per wake-up. Mostly their requests have arrived already, and are answered at once. */
const ACCEPT_BATCH = 16;

/** When accept(2) is tried again that failed for want of descriptors, in ms. */
const RETRY = 500;

/** The answer to a client that is not served. */
const REFUSAL = Buffer.from(
  JSON.stringify({
    error: {
      desc: "the API serves its own network namespace only, and this client is in another: run it outside of the guest (slipway run --api-inside lets COMMAND use the API)",
    },
  }),
);

export interface ApiOptions {
  /** Most clients at a time; the oldest is closed for a new one. */
  readonly mostClients: number;
  /** Whether clients in any network namespace are served, including the guest's. */
  readonly isOpenInside: boolean;
}

/**
 * Listens at `path`. Clients that connect wait until serveApi() is called.
 * @returns the listening socket, for {@link serveApi}
 * @throws UserError when the path cannot be listened at
 */
export function listenApi(path: string): number {
  return listenPrivately("API socket", path, Socket.Stream);
}

/**
 * Serves requests about a guest. A wake-up serves a bounded number of clients and blocks for none, as packets use the
 * same loop.
 * @param listener from listenApi(); becomes the server's
 * @returns a function that closes the server
 */
export function serveApi(
  listener: number,
  loop: Loop,
  subject: Subject,
  options: ApiOptions,
): () => void {
  const server = new ApiServer(listener, loop, subject, options);
  return () => server.close();
}

/** Accepts the clients of one socket. */
class ApiServer {
  readonly #listener: number;
  readonly #loop: Loop;
  /** null: clients in all namespaces are served. */
  readonly #gate: Gate | null;
  readonly #clients: ApiClients;
  #resumption: NodeJS.Timeout | null = null;

  constructor(
    listener: number,
    loop: Loop,
    subject: Subject,
    { mostClients, isOpenInside }: ApiOptions,
  ) {
    this.#listener = listener;
    this.#loop = loop;
    this.#gate = isOpenInside ? null : new Gate("API", "network", subject.log);
    this.#clients = new ApiClients(loop, subject, mostClients);
    loop.watch(listener, Epoll.In, () => this.#accept());
  }

  close(): void {
    if (this.#resumption !== null) clearTimeout(this.#resumption);
    this.#clients.close();
    this.#gate?.close();
    this.#loop.unwatch(this.#listener);
    native.close(this.#listener);
  }

  #accept(): void {
    const { share } = this.#clients;
    if (!share.begin()) return;
    this.#acceptBatch();
    const rest = share.end();
    if (rest > 0) this.#pause(rest);
  }

  #acceptBatch(): void {
    const { share } = this.#clients;
    for (let count = 0; count < ACCEPT_BATCH && !share.isOver; count += 1) {
      const fd = acceptLocal(this.#listener);
      if (fd < 0) {
        if (fd === -Errno.EMFILE || fd === -Errno.ENFILE) this.#pause(RETRY);
        return;
      }
      const reason = this.#gate?.refusalReason(fd) ?? null;
      if (reason === null) this.#clients.serve(fd);
      else this.#gate?.refuseSender(fd, reason, REFUSAL);
    }
  }

  /** Stops accepting; new clients wait in the backlog. @param ms for how long, at least 1 */
  #pause(ms: number): void {
    if (this.#resumption !== null) return;
    this.#loop.rewatch(this.#listener, 0);
    this.#resumption = setTimeout(() => {
      this.#resumption = null;
      this.#loop.rewatch(this.#listener, Epoll.In);
    }, ms);
  }
}
