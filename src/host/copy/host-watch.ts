import { getSystemErrorName } from "node:util";
import { monotonicMs } from "../../base/clock.js";
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

/** Until reading goes on that one step has not finished, in ms. */
const STEP_WAIT = 1;

/** Notices that are taken in one wake-up; the others wait for the next. */
const READS_A_WAKE = 32;

/**
 * Watches the host's links, addresses and routes. Both of its sockets are opened at once, that of the notices first, so
 * that no change is missed; afterwards it needs nothing but to read and write them.
 */
export class HostWatch {
  readonly #notices: number;
  readonly #tables: HostTables;
  readonly #buffer = new Uint8Array(32_768);
  #timer: NodeJS.Timeout | null = null;
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

  /** Calls back with the tables after each change. */
  follow(loop: Pick<Loop, "watch">, onTables: (tables: RouteTables) => void): void {
    loop.watch(this.#notices, Epoll.In, () => {
      this.#takeNotices();
      this.#readSoon(onTables);
    });
  }

  /** Reads the tables after some time, even without a notice. */
  readWithin(ms: number, onTables: (tables: RouteTables) => void): void {
    setTimeout(() => this.#readSoon(onTables), ms);
  }

  /** What they say does not count. ENOBUFS, that some were lost, is a notice like others. */
  #takeNotices(): void {
    for (let count = 0; count < READS_A_WAKE; count += 1) {
      if (native.readBytes(this.#notices, this.#buffer) <= 0) return;
    }
  }

  #readSoon(onTables: (tables: RouteTables) => void): void {
    if (this.#timer !== null) return;
    const wait = Math.max(SETTLING, this.#nextAt - monotonicMs());
    this.#timer = setTimeout(() => this.#read(onTables, 0), wait);
  }

  /** @param spent ms that reading has taken by now */
  #read(onTables: (tables: RouteTables) => void, spent: number): void {
    const begun = monotonicMs();
    const result = this.#tables.step();
    const now = monotonicMs();
    const taken = spent + now - begun;
    if (result === null) {
      this.#timer = setTimeout(() => this.#read(onTables, taken), STEP_WAIT);
      return;
    }
    this.#timer = null;
    this.#nextAt = now + taken * PAUSE;
    if (typeof result === "number") {
      log.warn("the host's network cannot be read: %s", getSystemErrorName(result));
    } else onTables(result);
  }
}
