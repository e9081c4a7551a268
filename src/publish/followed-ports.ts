import type { ForwardedPorts, Protocol } from "../commandline/pasta/ports.js";
import { Errno } from "../sys/constants.js";
import type { Listener } from "../wire/inet-diag.js";
import { isClientPort } from "./auto-publish.js";
import { Following } from "./following.js";
import { type Forward, type ForwardTable, keyOf } from "./forward-table.js";

/** Longest time until the next scan, in ms, as in pasta. */
const LONGEST_WAIT = 1_000;

/** Most ports forwarded at once, so that a guest cannot take all descriptors. */
const MOST = 1_024;

/** Most ports that a scan looks at: a guest may listen on all that there are, and each costs time. */
const MOST_SEEN = 8_192;

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
  readonly #following: Following<Forward, Forward>;

  constructor(options: FollowedOptions) {
    const { table } = options;
    this.#options = options;
    this.#following = new Following({
      longestWait: LONGEST_WAIT,
      isSame: () => true,
      isServed: ({ protocol, port }) => table.has(protocol, port),
      begin: (forward) => this.#begin(forward),
      end: (forward) => {
        if (table.at(forward)?.isAuto === true) table.remove(forward);
      },
    });
  }

  /**
   * Forwards what has begun to listen, and ends what no longer does.
   * @param now in ms
   * @returns ms until the next scan
   */
  update(listeners: readonly Listener[], now: number): number {
    return this.#following.update(this.#wanted(listeners), now);
  }

  #wanted(listeners: readonly Listener[]): ReadonlyMap<string, Forward> {
    const wanted = new Map<string, Forward>();
    for (const listener of listeners) {
      if (wanted.size >= MOST_SEEN) break;
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

  #begin(forward: Forward): Forward | number {
    if (this.#following.held.size >= MOST) return -Errno.ENFILE;
    const error = this.#options.table.add(forward);
    return error < 0 ? error : forward;
  }
}
