import type { ForwardedPorts, Protocol } from "../commandline/pasta/ports.js";
import type { Listener } from "../wire/inet-diag.js";
import { isClientPort } from "./auto-publish.js";
import { type Forward, type ForwardTable, keyOf } from "./forward-table.js";

/** Time until the next scan, in ms; it doubles with each that finds nothing new. pasta scans every second. */
const SHORTEST_WAIT = 100;
const LONGEST_WAIT = 1_000;

/** When a port that could not be had is tried again, in ms. */
const RETRY_AFTER = 2_000;

/** Most ports forwarded at once, so that a guest cannot take all descriptors. */
const MOST = 1_024;

/** Most ports tried after one scan: a guest may listen on any number of ports that cannot be had. */
const MOST_TRIED = 128;

export interface FollowedOptions {
  /** Of the direction that is followed. */
  readonly table: ForwardTable;
  /** The entries of `auto`, as they are now. */
  readonly entries: Readonly<Record<Protocol, readonly ForwardedPorts[]>>;
  /** Whether a listener of the other side counts. */
  readonly counts: (listener: Listener) => boolean;
}

/** Forwards ports for as long as the other side listens on them, by the same numbers, where they can be had. */
export class FollowedPorts {
  readonly #options: FollowedOptions;
  /** Those that were begun here, by keyOf(). */
  readonly #own = new Map<string, Forward>();
  readonly #retryAt = new Map<string, number>();
  #wait = SHORTEST_WAIT;

  constructor(options: FollowedOptions) {
    this.#options = options;
  }

  /**
   * Forwards what has begun to listen, and ends what no longer does.
   * @param now in ms
   * @returns ms until the next scan
   */
  update(listeners: readonly Listener[], now: number): number {
    const wanted = this.#wanted(listeners);
    const ended = this.#endOthers(wanted);
    const begun = this.#begin(wanted, now);
    this.#wait = ended || begun ? SHORTEST_WAIT : Math.min(2 * this.#wait, LONGEST_WAIT);
    return this.#wait;
  }

  #wanted(listeners: readonly Listener[]): ReadonlyMap<string, Forward> {
    const wanted = new Map<string, Forward>();
    for (const listener of listeners) {
      if (!this.#options.counts(listener)) continue;
      const { protocol, port } = listener;
      if (!isClientPort(protocol, port)) this.#want(protocol, port, wanted);
      // As in pasta: programs such as iperf3 begin to use UDP at the number of their TCP port.
      if (protocol === "tcp") this.#want("udp", port, wanted);
    }
    return wanted;
  }

  #want(protocol: Protocol, target: number, wanted: Map<string, Forward>): void {
    for (const entry of this.#options.entries[protocol]) {
      const { address, interface: name, range, targetFirst } = entry;
      const port = range.first + target - targetFirst;
      if (port < range.first || port > range.last) continue;
      const forward = {
        protocol,
        address,
        interface: name,
        port,
        target,
        targetAddress: null,
        isAuto: true,
      };
      wanted.set(keyOf(forward), forward);
    }
  }

  #endOthers(wanted: ReadonlyMap<string, Forward>): boolean {
    const { table } = this.#options;
    let ended = false;
    for (const [key, forward] of this.#own) {
      if (wanted.has(key)) continue;
      this.#own.delete(key);
      ended = true;
      if (table.at(forward)?.isAuto === true) table.remove(forward);
    }
    for (const key of this.#retryAt.keys()) if (!wanted.has(key)) this.#retryAt.delete(key);
    return ended;
  }

  #begin(wanted: ReadonlyMap<string, Forward>, now: number): boolean {
    const { table } = this.#options;
    let begun = false;
    let tried = 0;
    for (const [key, forward] of wanted) {
      if (this.#own.has(key) || table.has(forward.protocol, forward.port)) continue;
      if ((this.#retryAt.get(key) ?? 0) > now) continue;
      if (this.#own.size >= MOST || tried >= MOST_TRIED) break;
      tried += 1;
      if (table.add(forward) < 0) {
        this.#retryAt.set(key, now + RETRY_AFTER);
      } else {
        this.#retryAt.delete(key);
        this.#own.set(key, forward);
        begun = true;
      }
    }
    return begun || tried >= MOST_TRIED;
  }
}
