import { getSystemErrorName } from "node:util";
import { monotonicMs, NEVER } from "../../base/clock.js";
import { UserError } from "../../base/errors.js";
import { log } from "../../base/log.js";
import type { Loop } from "../../loop/loop.js";
import { Epoll } from "../../sys/constants.js";
import { native } from "../../sys/native.js";
import { openRouteNotices } from "../../sys/sockets/route-socket.js";
import type { RouteTables } from "../../wire/rtnetlink-dump.js";
import { HostTables } from "./host-tables.js";

/** From the first notice of a change until the tables are read, in ms: one change brings several notices. */
const SETTLING = 100;

/** A host whose routes change all the time is read so seldom that this takes a fiftieth of a processor. */
const PAUSE = 50;

/** Notices that are taken in one wake-up; the others wait for the next. */
const READS_A_WAKE = 32;

type WatchLoop = Pick<Loop, "watch" | "rewatch" | "unwatch">;
type OnTables = (tables: RouteTables) => void;

/**
 * Watches the host's links, addresses and routes. Both of its sockets are opened at once, that of the notices first, so
 * that no change is missed; afterwards it needs nothing but to read and write them.
 */
export class HostWatch {
  readonly #notices: number;
  readonly #tables: HostTables;
  readonly #buffer = new Uint8Array(32_768);
  readonly #followers = new Set<OnTables>();
  #loop: WatchLoop | null = null;
  /** When the tables are to be read. */
  #dueAt = NEVER;
  #timer: NodeJS.Timeout | undefined;
  /** ms that reading has taken by now. */
  #spent = 0;
  #nextAt = 0;

  /** @throws UserError when the kernel gives no socket */
  constructor() {
    this.#notices = openRouteNotices();
    if (this.#notices < 0) {
      const name = getSystemErrorName(this.#notices);
      throw new UserError(
        `the kernel does not tell of changes of this host's network (${name}): do without: --no-follow`,
      );
    }
    try {
      this.#tables = new HostTables();
    } catch (error) {
      native.close(this.#notices);
      throw error;
    }
  }

  /** The tables as they are now. @throws UserError */
  read(): RouteTables {
    return this.#tables.read();
  }

  /** Watches from now on. */
  start(loop: WatchLoop): void {
    this.#loop = loop;
    loop.watch(this.#notices, Epoll.In, (events) => {
      if ((events & ~Epoll.Out) !== 0) {
        this.#takeNotices();
        if (this.#followers.size > 0) this.readWithin(SETTLING);
      }
      if ((events & Epoll.Out) !== 0) this.#read();
    });
  }

  /** Calls back with the tables after each change, in a callback of Loop.watch(). @returns ends that */
  follow(onTables: OnTables): () => void {
    this.#followers.add(onTables);
    return () => this.#followers.delete(onTables);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#followers.clear();
    this.#loop?.unwatch(this.#notices);
    native.close(this.#notices);
    this.#tables.close();
  }

  /** Has the tables read after so many ms, or sooner, even without a notice. */
  readWithin(ms: number): void {
    const now = monotonicMs();
    const at = Math.max(now + ms, this.#nextAt);
    if (at >= this.#dueAt) return;
    this.#dueAt = at;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#dueAt = NEVER;
      // A netlink socket can be written to at any time: epoll reports it at once.
      this.#loop?.rewatch(this.#notices, Epoll.In | Epoll.Out);
    }, at - now);
  }

  /** What they say does not count. ENOBUFS, that some were lost, is a notice like others. */
  #takeNotices(): void {
    for (let count = 0; count < READS_A_WAKE; count += 1) {
      if (native.readBytes(this.#notices, this.#buffer) <= 0) return;
    }
  }

  #read(): void {
    const begun = monotonicMs();
    const result = this.#tables.step();
    const now = monotonicMs();
    this.#spent += now - begun;
    // Unfinished: the next wake-up goes on.
    if (result === null) return;
    this.#loop?.rewatch(this.#notices, Epoll.In);
    this.#nextAt = now + this.#spent * PAUSE;
    this.#spent = 0;
    if (typeof result === "number") {
      log.warn("the host's network cannot be read: %s", getSystemErrorName(result));
      return;
    }
    for (const onTables of this.#followers) onTables(result);
  }
}
