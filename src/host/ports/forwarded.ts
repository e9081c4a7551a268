import { readFileSync } from "node:fs";
import { UserError } from "../../base/errors.js";
import type { Direction, PestoChange } from "../../commandline/pasta/pesto.js";
import type { ForwardedPorts, PortRange, Protocol } from "../../commandline/pasta/ports.js";
import type { Forward, ForwardTable } from "../../publish/forward-table.js";
import { Errno } from "../../sys/constants.js";
import { forwardingFailure, isOfTheProcess, leftOut, noneForwarded } from "./forwarding-failure.js";

export const DIRECTIONS: readonly Direction[] = ["inbound", "outbound"];
export const PROTOCOLS: readonly Protocol[] = ["tcp", "udp"];

/** Ports that only root may have, unless a sysctl says otherwise (ip(7), ip_unprivileged_port_start). */
const FIRST_UNPRIVILEGED = 1_024;

/** Ports in one step of a change: less than a millisecond. */
const STEP = 64;

type Undo = (() => void)[];
type Entries = Record<Direction, Record<Protocol, ForwardedPorts[]>>;

/** What has become of the ports of an option. */
interface Attempt {
  readonly text: string;
  readonly failed: { readonly port: number; readonly errno: number }[];
  count: number;
}

type Attempts = Map<string | ForwardedPorts, Attempt>;
type PortChange = Extract<PestoChange, { readonly ports: ForwardedPorts }>;

/** The forwarded ports of a guest. */
export class Forwarding {
  /** Outbound is null where the guest is no namespace of this machine. */
  readonly tables: Readonly<Record<Direction, ForwardTable | null>>;
  /** The entries of `auto`, as they are now. */
  readonly automatic: Entries = {
    inbound: { tcp: [], udp: [] },
    outbound: { tcp: [], udp: [] },
  };
  /** Ports that the kernel gives to clients. */
  readonly #ephemeral = ephemeralPorts();
  #leftOut: string | null = null;
  #isChanging = false;

  constructor(inbound: ForwardTable, outbound: ForwardTable | null) {
    this.tables = { inbound, outbound };
  }

  /** A line about ports of ranges that could not be had since the last call; null: there is none. */
  takeLeftOut(): string | null {
    const line = this.#leftOut;
    this.#leftOut = null;
    return line;
  }

  /**
   * Carries out changes in steps. What is there already, or not there any more, is no error. If one fails, or the
   * generator is closed before its end, all are undone.
   * @throws UserError for the first that cannot be carried out
   */
  *change(changes: readonly PestoChange[]): Generator<void> {
    if (this.#isChanging) throw new UserError("the ports are being changed: try again");
    const undo: Undo = [];
    const attempts: Attempts = new Map();
    let isDone = false;
    this.#isChanging = true;
    try {
      for (const change of changes) {
        if (change.action === "clear") yield* this.#clear(change.direction, undo);
        else if (change.action === "add") yield* this.#add(change, undo, attempts);
        else yield* this.#delete(change, undo);
      }
      for (const attempt of attempts.values()) this.#note(attempt);
      isDone = true;
    } finally {
      this.#isChanging = false;
      if (!isDone) for (const step of undo.reverse()) step();
    }
  }

  *#add(change: PortChange, undo: Undo, attempts: Attempts): Generator<void> {
    const { direction, protocol, ports } = change;
    if (ports.which === "listening") {
      const entries = this.automatic[direction][protocol];
      if (entries.some((each) => each.text === ports.text && isSame(each, ports))) return;
      entries.push(ports);
      undo.push(() => remove(entries, ports));
      return;
    }
    const table = this.#tableFor(change);
    const attempt = attemptAt(ports, attempts);
    const { failed } = attempt;
    for (const forward of forwardsOf(change)) {
      if (ports.which === "available" && isWithin(this.#ephemeral, forward.port)) continue;
      const errno = -addTo(table, forward, undo);
      if (errno > 0) {
        if (!mayBeLeftOut(ports, forward.port, errno)) {
          throw forwardingFailure(forward.port, errno, ports.text);
        }
        failed.push({ port: forward.port, errno });
      } else {
        attempt.count += 1;
      }
      if ((attempt.count + failed.length) % STEP === 0) yield;
    }
  }

  #note({ text, failed, count }: Attempt): void {
    if (failed.length === 0) return;
    const [{ errno }] = failed;
    if (count === 0) throw noneForwarded(errno, text);
    this.#leftOut ??= leftOut(
      text,
      failed.map(({ port }) => port),
      errno,
    );
  }

  *#delete(change: PortChange, undo: Undo): Generator<void> {
    const { direction, protocol, ports } = change;
    if (ports.which === "listening") {
      const entries = this.automatic[direction][protocol];
      for (const each of entries.filter((other) => isSame(other, ports))) {
        remove(entries, each);
        undo.push(() => entries.push(each));
      }
      return;
    }
    const table = this.tables[direction];
    if (table === null) return;
    let count = 0;
    for (const forward of forwardsOf(change)) {
      removeFrom(table, forward, undo);
      count += 1;
      if (count % STEP === 0) yield;
    }
  }

  *#clear(direction: Direction, undo: Undo): Generator<void> {
    for (const protocol of PROTOCOLS) {
      const entries = this.automatic[direction][protocol];
      const before = entries.splice(0);
      undo.push(() => entries.push(...before));
    }
    const table = this.tables[direction];
    let count = 0;
    for (const forward of table?.all ?? []) {
      if (table !== null) removeFrom(table, forward, undo);
      count += 1;
      if (count % STEP === 0) yield;
    }
  }

  #tableFor({ direction, ports }: PortChange): ForwardTable {
    const table = this.tables[direction];
    if (table !== null) return table;
    throw new UserError(`option '${ports.text}' needs a network namespace: leave it out`);
  }
}

/** Exclusions alone are one attempt, though they leave several ranges: `~22` means 1 to 21, too, but not only. */
function attemptAt(ports: ForwardedPorts, attempts: Attempts): Attempt {
  const key = ports.which === "available" ? ports.text : ports;
  const attempt = attempts.get(key) ?? { text: ports.text, failed: [], count: 0 };
  attempts.set(key, attempt);
  return attempt;
}

function forwardsOf({ protocol, ports }: PortChange): readonly Forward[] {
  const { address, interface: name, range, targetFirst, targetAddress } = ports;
  return Array.from({ length: range.last - range.first + 1 }, (_, index) => ({
    protocol,
    address,
    interface: name,
    port: range.first + index,
    target: targetFirst + index,
    targetAddress,
    isAuto: false,
  }));
}

/** @returns 0 or a negative errno */
function addTo(table: ForwardTable, forward: Forward, undo: Undo): number {
  const before = table.at(forward);
  const result = table.add(forward);
  if (result < 0) return result;
  if (before === null) undo.push(() => table.remove(forward));
  return result;
}

function removeFrom(table: ForwardTable, forward: Forward, undo: Undo): void {
  const before = table.at(forward);
  if (before === null) return;
  table.remove(forward);
  undo.push(() => table.add(before));
}

/** Whether a port of a range that cannot be had is left out. */
function mayBeLeftOut({ which, range }: ForwardedPorts, port: number, errno: number): boolean {
  if (isOfTheProcess(errno)) return false;
  if (which === "available") return true;
  const isRange = range.last > range.first;
  return isRange && errno === Errno.EACCES && port < FIRST_UNPRIVILEGED;
}

function isSame(a: ForwardedPorts, b: ForwardedPorts): boolean {
  return (
    `${a.address}` === `${b.address}` &&
    a.interface === b.interface &&
    a.range.first === b.range.first &&
    a.range.last === b.range.last
  );
}

function remove<T>(list: T[], item: T): void {
  const index = list.indexOf(item);
  if (index >= 0) list.splice(index, 1);
}

function isWithin({ first, last }: PortRange, port: number): boolean {
  return port >= first && port <= last;
}

/** Those of this network namespace (ip(7), ip_local_port_range). */
function ephemeralPorts(): PortRange {
  try {
    const text = readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8");
    const [first, last] = text.trim().split(/\s+/).map(Number);
    return { first, last };
  } catch {
    return { first: 32_768, last: 60_999 };
  }
}
