import { NEVER } from "../base/clock.js";
import { IdPool } from "../base/id-pool.js";
import { log } from "../base/log.js";
import type { Tunnel } from "../overlay/tunnel.js";
import { Epoll } from "../sys/constants.js";
import { native } from "../sys/native.js";
import { TokenKind, tokenOf } from "../sys/token.js";

/** A socket of a tunnel. */
interface Watched {
  readonly tunnel: Tunnel;
  /** Its index among those of the tunnel. */
  readonly socket: number;
}

/** The tunnels of a loop: sockets that are not one guest's, and bring frames for all. */
export class LoopTunnels {
  /** By the id of the token. */
  readonly #watched: (Watched | undefined)[] = [];
  readonly #ids = new IdPool();
  /** When each wants its next turn, in ms. */
  readonly #dueAt = new Map<Tunnel, number>();

  /** Serves a tunnel from now on. */
  add(tunnel: Tunnel): void {
    tunnel.sockets.forEach((fd, socket) => {
      const id = this.#ids.take();
      this.#watched[id] = { tunnel, socket };
      native.watch(fd, Epoll.In, tokenOf(TokenKind.Tunnel, 0, id));
    });
    this.#dueAt.set(tunnel, 0);
  }

  /** To be called before the tunnel is closed. */
  remove(tunnel: Tunnel): void {
    for (const fd of tunnel.sockets) native.unwatch(fd);
    this.#watched.forEach((watched, id) => {
      if (watched?.tunnel !== tunnel) return;
      this.#watched[id] = undefined;
      this.#ids.release(id);
    });
    this.#dueAt.delete(tunnel);
  }

  /** @param id of the event's token @returns how many bytes came for members */
  onEvent(id: number, now: number): number {
    const watched = this.#watched[id];
    if (watched === undefined) return 0;
    const { tunnel, socket } = watched;
    this.#dueAt.set(tunnel, now);
    try {
      return tunnel.onReadable(socket, now);
    } catch (error) {
      recover(tunnel, error);
      return 0;
    }
  }

  /** Gives their turns to the tunnels that are due. @returns when the next is, in ms */
  turns(now: number): number {
    let next = NEVER;
    for (const [tunnel, dueAt] of this.#dueAt) {
      const due = dueAt > now ? dueAt : turnOf(tunnel, now);
      if (due !== dueAt) this.#dueAt.set(tunnel, due);
      next = Math.min(next, due);
    }
    return next;
  }

  /** Frees the ids of what is not watched any more, when no event that was fetched is left to be handled. */
  reap(): void {
    this.#ids.reap();
  }
}

function turnOf(tunnel: Tunnel, now: number): number {
  try {
    return tunnel.turn(now);
  } catch (error) {
    recover(tunnel, error);
    return now;
  }
}

/** A trap in WebAssembly, or a bug of ours: costs what the tunnel was about to do, and no member its stack. */
function recover(tunnel: Tunnel, error: unknown): void {
  log.error(`a tunnel failed (${error}) and goes on: what it had received is lost`);
  tunnel.recover();
}
