import { type Address, UNSPECIFIED } from "../base/address.js";
import type { PortSet } from "../base/port-set.js";
import type { GuestConfig } from "../config/guest-config.js";
import type { PublishedPort, PublishedRule } from "../nat/published-port.js";
import { Errno } from "../sys/constants.js";
import type { Listener } from "../wire/inet-diag.js";

/**
 * How soon the next look comes, in ms. It doubles with each that found nothing new, as servers come
 * in groups and mostly at the start, and an idle helper shall be left idle; pasta looks every second.
 */
const SHORTEST_WAIT = 100;
const LONGEST_WAIT = 2_000;

/** How soon a port that could not be had is tried again, in ms. */
const RETRY_AFTER = 2_000;

/** Listeners that we open: a guest shall not take all descriptors. */
const MOST_PUBLISHED = 1_024;

/** Failures that are told: the log is others', too, and a guest may listen on what it likes. */
const MOST_TOLD = 32;

/**
 * Where Linux chooses the ports of clients by default (ip_local_port_range): a datagram socket there
 * is one that asks, not one that serves. Those of DHCP clients are fixed (RFC 2131, RFC 8415).
 */
const CLIENT_PORTS = { first: 32_768, last: 60_999 } as const;
const DHCP_CLIENT_PORTS: readonly number[] = [68, 546];

/** What is done with the host's ports: PortForwards. */
export interface Forwards {
  readonly rules: readonly PublishedRule[];
  add(port: PublishedPort): number;
  remove(id: number): boolean;
}

export interface AutoPublishOptions {
  readonly plans: GuestConfig["plans"];
  readonly exclude: PortSet;
  /** Whether what listens on the guest's loopback alone is published, too. */
  readonly toLoopback: boolean;
  readonly forwards: Forwards;
  readonly onPublished: (port: PublishedPort) => void;
  readonly onEnded: (port: PublishedPort) => void;
  /** Told once for each port and reason, 32 times at most. @param errno positive, as bind(2) has it */
  readonly onFailure: (port: PublishedPort, errno: number) => void;
}

interface Published {
  readonly port: PublishedPort;
  readonly id: number;
}

/**
 * Publishes, at the same port of all addresses of the host, what the guest listens on, for as long
 * as it does. Ports that were published otherwise are left alone.
 */
export class AutoPublish {
  readonly #options: AutoPublishOptions;
  readonly #published = new Map<string, Published>();
  /** When what could not be had is tried again. */
  readonly #retryAt = new Map<string, number>();
  readonly #told = new Set<string>();
  #wait = SHORTEST_WAIT;

  constructor(options: AutoPublishOptions) {
    this.#options = options;
  }

  /**
   * Brings what is published in line with what the guest listens on.
   * @returns ms until the guest should be looked at again
   */
  update(listeners: readonly Listener[], now: number): number {
    const wanted = this.#wanted(listeners);
    const ended = this.#endOthers(wanted);
    const begun = this.#begin(wanted, now);
    this.#wait = ended || begun ? SHORTEST_WAIT : Math.min(2 * this.#wait, LONGEST_WAIT);
    return this.#wait;
  }

  #wanted(listeners: readonly Listener[]): Map<string, PublishedPort> {
    const wanted = new Map<string, PublishedPort>();
    for (const listener of listeners) {
      if (!this.#isServer(listener)) continue;
      for (const guest of this.#targetsOf(listener)) {
        const { protocol, port } = listener;
        const key = `${protocol} ${port} ${guest.family}`;
        // What listens on the loopback alone comes second: the other sees its clients' addresses.
        if (wanted.get(key)?.guest.isLoopback === false) continue;
        const host = UNSPECIFIED[guest.family];
        wanted.set(key, { protocol, host, hostPort: port, guest, guestPort: port });
      }
    }
    return wanted;
  }

  #isServer({ protocol, port }: Listener): boolean {
    if (this.#options.exclude.has(protocol, port)) return false;
    if (protocol === "tcp") return true;
    const isClient = port >= CLIENT_PORTS.first && port <= CLIENT_PORTS.last;
    return !isClient && !DHCP_CLIENT_PORTS.includes(port);
  }

  /** The guest's addresses, one a family at most, by which a server is reached. */
  #targetsOf({ address, isIpv6Only }: Listener): readonly Address[] {
    const { plans, toLoopback } = this.#options;
    if (address.isLoopback) return toLoopback ? [address] : [];
    if (!address.isUnspecified) {
      return plans.some(({ prefix }) => prefix.contains(address)) ? [address] : [];
    }
    const isBoth = address.family === 6 && !isIpv6Only;
    return plans
      .map(({ guest }) => guest)
      .filter(({ family }) => isBoth || family === address.family);
  }

  #endOthers(wanted: ReadonlyMap<string, PublishedPort>): boolean {
    const { forwards, onEnded } = this.#options;
    let ended = false;
    for (const [key, { port, id }] of this.#published) {
      if (wanted.get(key)?.guest.equals(port.guest) === true) continue;
      this.#published.delete(key);
      ended = true;
      // By the API somebody may have removed it before.
      if (forwards.remove(id)) onEnded(port);
    }
    for (const key of this.#retryAt.keys()) if (!wanted.has(key)) this.#retryAt.delete(key);
    return ended;
  }

  #begin(wanted: ReadonlyMap<string, PublishedPort>, now: number): boolean {
    const { onPublished } = this.#options;
    const others = this.#publishedOtherwise();
    let begun = false;
    for (const [key, port] of wanted) {
      if (this.#published.has(key) || (this.#retryAt.get(key) ?? 0) > now) continue;
      if (others.has(serverOf(port))) continue;
      const id = this.#add(port);
      if (id > 0) {
        this.#published.set(key, { port, id });
        this.#retryAt.delete(key);
        begun = true;
        onPublished(port);
      } else {
        this.#retryAt.set(key, now + RETRY_AFTER);
        this.#tell(port, -id);
      }
    }
    return begun;
  }

  #add(port: PublishedPort): number {
    if (this.#published.size >= MOST_PUBLISHED) return -Errno.ENFILE;
    return this.#options.forwards.add(port);
  }

  /** Servers that were published by name: who did that has decided. */
  #publishedOtherwise(): ReadonlySet<string> {
    const own = new Set([...this.#published.values()].map(({ id }) => id));
    const others = this.#options.forwards.rules.filter(({ id }) => !own.has(id));
    return new Set(others.map(serverOf));
  }

  /** A port of both families that is in use is one to the user. */
  #tell(port: PublishedPort, errno: number): void {
    const { protocol, hostPort } = port;
    const isLimit = errno === Errno.ENFILE || errno === Errno.EMFILE;
    const key = isLimit ? `limit ${errno}` : `${protocol} ${hostPort} ${errno}`;
    if (this.#told.has(key) || this.#told.size >= MOST_TOLD) return;
    this.#told.add(key);
    this.#options.onFailure(port, errno);
  }
}

function serverOf({ protocol, guestPort }: PublishedPort): string {
  return `${protocol} ${guestPort}`;
}
