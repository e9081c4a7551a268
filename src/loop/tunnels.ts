import { NEVER } from "../base/clock.js";
import { IdPool } from "../base/id-pool.js";
import { log } from "../base/log.js";
import type { TunnelEnd } from "../overlay/tunnel.js";
import { Epoll } from "../sys/constants.js";
import { native } from "../sys/native.js";
import { TokenKind, tokenOf } from "../sys/token.js";

/** A socket of a tunnel. */
interface Watched {
  readonly tunnel: TunnelEnd;
  /** Its index among those of the tunnel. */
  readonly socket: number;
}

/** The tunnels of a loop: sockets that are not one guest's, and bring frames for all. */
export class LoopTunnels {
  /** By the id of the token. */
  readonly #watched: (Watched | undefined)[] = [];
  readonly #ids = new IdPool();
  readonly #tunnels = new Set<TunnelEnd>();

  /** Serves a tunnel from now on. */
  add(tunnel: TunnelEnd): void {
    tunnel.sockets.forEach((fd, socket) => {
      const id = this.#ids.take();
      this.#watched[id] = { tunnel, socket };
      native.watch(fd, Epoll.In, tokenOf(TokenKind.Tunnel, 0, id));
    });
    this.#tunnels.add(tunnel);
  }

  /** To be called before the tunnel is closed. */
  remove(tunnel: TunnelEnd): void {
    for (const fd of tunnel.sockets) native.unwatch(fd);
    this.#watched.forEach((watched, id) => {
      if (watched?.tunnel !== tunnel) return;
      this.#watched[id] = undefined;
      this.#ids.release(id);
    });
    this.#tunnels.delete(tunnel);
  }

  /** @param id of the event's token @returns how many bytes came for members */
  onEvent(id: number, now: number): number {
    const watched = this.#watched[id];
    if (watched === undefined) return 0;
    const { tunnel, socket } = watched;
    try {
      return tunnel.onReadable(socket, now);
    } catch (error) {
      recover(tunnel, error);
      return 0;
    }
  }

  /** Gives all tunnels their turns: also what members sent may have made one due. @returns when the next is, in ms */
  turns(now: number): number {
    let next = NEVER;
    for (const tunnel of this.#tunnels) next = Math.min(next, turnOf(tunnel, now));
    return next;
  }

  /** Frees the ids of what is not watched any more, when no event that was fetched is left to be handled. */
  reap(): void {
    this.#ids.reap();
  }
}

function turnOf(tunnel: TunnelEnd, now: number): number {
  try {
    return tunnel.turn(now);
  } catch (error) {
    recover(tunnel, error);
    return now;
  }
}

/** A trap in WebAssembly, or a bug of ours: costs what the tunnel was about to do, and no member its stack. */
function recover(tunnel: TunnelEnd, error: unknown): void {
  log.error(`a tunnel failed (${error}) and goes on: what it had received is lost`);
  tunnel.recover();
}
