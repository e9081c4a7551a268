import { IdPool } from "../base/id-pool.js";
import { Epoll } from "../sys/constants.js";
import { native } from "../sys/native.js";
import type { Watcher } from "../sys/sockets/line-socket.js";
import { TokenKind, tokenOf } from "../sys/token.js";

/** Descriptors of the loop that are not a guest's, such as API sockets, pidfds and the exit-fd. */
export class Watchers implements Watcher {
  /** By the id of the token. */
  readonly #callbacks: (((events: number) => void) | undefined)[] = [];
  readonly #idOf = new Map<number, number>();
  readonly #ids = new IdPool();

  /**
   * Calls back within the wake-up, where Node serves no promises: for what is answered at once.
   * @param events bits of Epoll
   * @returns 0 or a negative errno
   */
  watch(fd: number, events: number, callback: (events: number) => void): number {
    const id = this.#ids.take();
    const result = native.watch(fd, events, tokenOf(TokenKind.Watcher, 0, id));
    if (result < 0) {
      this.#ids.release(id);
      return result;
    }
    this.#callbacks[id] = callback;
    this.#idOf.set(fd, id);
    return 0;
  }

  /** Calls back after the wake-up, so that the callback may use promises. @returns 0 or a negative errno */
  watchFd(fd: number, callback: (events: number) => void): number {
    return this.watch(fd, Epoll.In, (events) => {
      setImmediate(() => {
        if (this.#idOf.has(fd)) callback(events);
      });
    });
  }

  /** Changes the events for which a watched descriptor is reported. */
  rewatch(fd: number, events: number): void {
    const id = this.#idOf.get(fd);
    if (id !== undefined) native.rewatch(fd, events, tokenOf(TokenKind.Watcher, 0, id));
  }

  /** To be called before the descriptor is closed. */
  unwatch(fd: number): void {
    const id = this.#idOf.get(fd);
    if (id === undefined) return;
    native.unwatch(fd);
    this.#idOf.delete(fd);
    this.#callbacks[id] = undefined;
    this.#ids.release(id);
  }

  /** @param id of the event's token */
  onEvents(id: number, events: number): void {
    this.#callbacks[id]?.(events);
  }

  /** Frees the ids of what is not watched any more, when no event that was fetched is left to be handled. */
  reap(): void {
    this.#ids.reap();
  }
}
