import { getSystemErrorName } from "node:util";
import { UserError } from "../../base/errors.js";
import { Errno } from "../../sys/constants.js";
import { native } from "../../sys/native.js";
import { openRouteSocket } from "../../sys/sockets/route-socket.js";
import { DumpEnd } from "../../wire/netlink.js";
import {
  emitRouteQuery,
  parseRouteDump,
  RouteDump,
  type RouteTables,
} from "../../wire/rtnetlink-dump.js";

const DUMPS: readonly RouteDump[] = [RouteDump.Links, RouteDump.Addresses, RouteDump.Routes];

/** In bytes: the most that the kernel puts into one read (af_netlink.c). */
const BUFFER_SIZE = 32_768;

/** Reads per step, so that a host with very many routes delays no guest: some 3,000 routes. */
const BUFFERS_A_STEP = 16;

/** Entries of a kind that are kept. A host with more is a router; its default routes come first. */
const MOST_ENTRIES = 8_192;

/** How often a reading is begun anew because something changed meanwhile; then the last one counts. */
const ATTEMPTS = 5;

/**
 * Reads the host's links, addresses and routes over one NETLINK_ROUTE socket. Nothing is opened later, so it works in
 * the sandbox.
 */
export class HostTables {
  readonly #socket: number;
  readonly #buffer = new Uint8Array(BUFFER_SIZE);
  #tables = emptyTables();
  #dump = 0;
  #isAsked = false;
  #isInterrupted = false;
  #attempts = 0;

  /** @throws UserError when the kernel gives no socket */
  constructor() {
    this.#socket = openRouteSocket();
    if (this.#socket < 0) throw unreadable(this.#socket);
  }

  /** @throws UserError */
  read(): RouteTables {
    for (;;) {
      const result = this.step();
      if (typeof result === "number") throw unreadable(result);
      if (result !== null) return result;
    }
  }

  /**
   * Goes on with reading.
   * @returns null: it is not done, call again; or a negative errno, after which the next call begins anew
   */
  step(): RouteTables | number | null {
    for (let count = 0; count < BUFFERS_A_STEP; count += 1) {
      const dump = DUMPS[this.#dump];
      if (dump === undefined) return this.#finish();
      const end = this.#readOne(dump);
      if (end < 0) {
        this.#drain();
        this.#begin();
        return end;
      }
    }
    return null;
  }

  close(): void {
    native.close(this.#socket);
  }

  /** @returns DumpEnd or a negative errno */
  #readOne(dump: RouteDump): number {
    if (!this.#isAsked) {
      const asked = native.writeBytes(this.#socket, emitRouteQuery(dump));
      if (asked < 0) return asked;
      this.#isAsked = true;
    }
    const length = native.readBytes(this.#socket, this.#buffer);
    if (length <= 0) return length === 0 ? -Errno.EPROTO : length;
    const bytes = this.#buffer.subarray(0, length);
    const end = parseRouteDump(bytes, this.#tables, MOST_ENTRIES, () => {
      this.#isInterrupted = true;
    });
    if (end === DumpEnd.More) return end;
    if (end !== DumpEnd.Done) return end ?? -Errno.EPROTO;
    this.#isAsked = false;
    this.#dump += 1;
    return end;
  }

  /** The kernel refuses a request while the answer to the last one is not read to its end. */
  #drain(): void {
    for (let count = 0; count < MOST_ENTRIES; count += 1) {
      if (native.readBytes(this.#socket, this.#buffer) <= 0) return;
    }
  }

  #finish(): RouteTables | null {
    const tables = this.#tables;
    const isRepeated = this.#isInterrupted && this.#attempts < ATTEMPTS;
    const attempts = isRepeated ? this.#attempts + 1 : 0;
    this.#begin();
    this.#attempts = attempts;
    return isRepeated ? null : tables;
  }

  #begin(): void {
    this.#tables = emptyTables();
    this.#dump = 0;
    this.#isAsked = false;
    this.#isInterrupted = false;
    this.#attempts = 0;
  }
}

function emptyTables(): RouteTables {
  return { links: [], addresses: [], routes: [] };
}

function unreadable(result: number): UserError {
  const name = getSystemErrorName(result);
  return new UserError(
    `the kernel does not tell this host's addresses and routes (${name}): see ip address; ip route`,
  );
}
