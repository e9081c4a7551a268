import type { Address } from "../base/address.js";
import type { Protocol } from "../commandline/pasta/ports.js";
import type { PublishedPort } from "../nat/published-port.js";
import { Errno } from "../sys/constants.js";
import type { Forwards } from "./auto-publish.js";

/** Where a forwarded port listens. */
export interface Place {
  readonly protocol: Protocol;
  /** null: everywhere, by one dual-stack socket if it can be had. */
  readonly address: Address | null;
  /** null: at all. */
  readonly interface: string | null;
  readonly port: number;
}

/** A forwarded port. */
export interface Forward extends Place {
  /** On the other side. */
  readonly target: number;
  /** Of a machine behind the guest; null: the guest itself. */
  readonly targetAddress: Address | null;
  /** Whether it ends with the listener that it leads to. */
  readonly isAuto: boolean;
}

interface Entry extends Forward {
  /** Of the rules that it consists of. */
  readonly ids: readonly number[];
}

/** The sockets that a port can consist of: those of the first list of which one can be had. */
export type SocketsOf = (forward: Forward) => readonly (readonly PublishedPort[])[];

/** Errnos that all sockets of a port would meet. */
const COMMON: readonly number[] = [Errno.EACCES, Errno.EMFILE, Errno.ENFILE, Errno.ENOSPC];

/** The forwarded ports of one direction, by where they listen. */
export class ForwardTable {
  readonly #forwards: Forwards;
  readonly #socketsOf: SocketsOf;
  readonly #entries = new Map<string, Entry>();
  /** How many entries a port has, by portKey(). */
  readonly #counts = new Map<number, number>();

  constructor(forwards: Forwards, socketsOf: SocketsOf) {
    this.#forwards = forwards;
    this.#socketsOf = socketsOf;
  }

  get all(): readonly Forward[] {
    return [...this.#entries.values()];
  }

  /** What listens there; null: nothing of ours. */
  at(place: Place): Forward | null {
    return this.#entries.get(keyOf(place)) ?? null;
  }

  /** Whether a port is ours, at whatever address. */
  has(protocol: Protocol, port: number): boolean {
    return this.#counts.has(portKey(protocol, port));
  }

  /**
   * Forwards a port. One that leads to the same port already stays as it is.
   * @returns 0, or a negative errno, as of bind(2)
   */
  add(forward: Forward): number {
    const key = keyOf(forward);
    const present = this.#entries.get(key);
    if (present !== undefined) {
      if (!leadsAs(present, forward)) return -Errno.EADDRINUSE;
      const isAuto = present.isAuto && forward.isAuto;
      this.#entries.set(key, { ...forward, isAuto, ids: present.ids });
      return 0;
    }
    const ids = this.#open(forward);
    if (typeof ids === "number") return ids;
    this.#entries.set(key, { ...forward, ids });
    this.#count(forward, 1);
    return 0;
  }

  /** @returns whether there was such a port */
  remove(place: Place): boolean {
    const key = keyOf(place);
    const entry = this.#entries.get(key);
    if (entry === undefined) return false;
    for (const id of entry.ids) this.#forwards.remove(id);
    this.#entries.delete(key);
    this.#count(entry, -1);
    return true;
  }

  /** @returns ids of rules, or a negative errno */
  #open(forward: Forward): readonly number[] | number {
    let error = 0;
    for (const sockets of this.#socketsOf(forward)) {
      const ids: number[] = [];
      for (const socket of sockets) {
        const id = this.#forwards.add(socket);
        if (id > 0) ids.push(id);
        else error = error === 0 ? id : error;
      }
      if (ids.length > 0) return ids;
      if (COMMON.includes(-error)) break;
      // "Never a port that is in use" is stricter than "what can be had".
      if (forward.isAuto && error === -Errno.EADDRINUSE) break;
    }
    return error;
  }

  #count({ protocol, port }: Place, change: number): void {
    const key = portKey(protocol, port);
    const count = (this.#counts.get(key) ?? 0) + change;
    if (count > 0) this.#counts.set(key, count);
    else this.#counts.delete(key);
  }
}

function leadsAs(a: Forward, b: Forward): boolean {
  return a.target === b.target && `${a.targetAddress}` === `${b.targetAddress}`;
}

export function keyOf({ protocol, address, interface: name, port }: Place): string {
  return `${protocol} ${port} ${address ?? "*"} ${name ?? "*"}`;
}

/** A number, as ports of a guest that listens on all of them are looked up. */
function portKey(protocol: Protocol, port: number): number {
  return protocol === "tcp" ? port : port + 65_536;
}
