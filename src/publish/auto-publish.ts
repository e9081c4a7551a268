import { type Address, type Family, UNSPECIFIED } from "../base/address.js";
import { HIGHEST_PORT, type PortSet } from "../base/port-set.js";
import type { GuestConfig } from "../config/guest-config.js";
import type { PublishedPort, PublishedRule } from "../nat/published-port.js";
import { Errno } from "../sys/constants.js";
import type { Listener } from "../wire/inet-diag.js";
import { Following } from "./following.js";

/** Longest time until the next scan, in ms: an idle guest should cost nothing. pasta scans every second. */
const LONGEST_WAIT = 2_000;

/** How far above a port that only root may open on the host (ip(7), ip_unprivileged_port_start) it is published: 80 at 8080. */
const PRIVILEGED_OFFSET = 8_000;

/** Most ports published at once, so that a guest cannot take all descriptors. */
const MOST_PUBLISHED = 1_024;

/** Most failures reported: a guest may listen on any number of ports, and must not fill the log. */
const MOST_REPORTED = 32;

/**
 * Ports that Linux gives clients by default (ip_local_port_range): a UDP socket there is a client's. The ports
 * of DHCP clients are fixed (RFC 2131, RFC 8415).
 */
const CLIENT_PORTS = { first: 32_768, last: 60_999 } as const;
const DHCP_CLIENT_PORTS: readonly number[] = [68, 546];

/** The kernel chooses a free one. */
const ANY_PORT = 0;

/** The part of PortForwards that is used here. */
export interface Forwards {
  readonly rules: readonly PublishedRule[];
  add(port: PublishedPort): number;
  remove(id: number): boolean;
}

export interface AutoPublishOptions {
  readonly plans: GuestConfig["plans"];
  readonly exclude: PortSet;
  /** The host's addresses at which ports are published, at most one a family; empty: all. */
  readonly hosts: readonly Address[];
  /** Whether listeners on the guest's loopback are published, too. */
  readonly toLoopback: boolean;
  readonly forwards: Forwards;
  readonly onPublished: (port: PublishedPort) => void;
  readonly onEnded: (port: PublishedPort) => void;
  /**
   * Called once for each port and reason, at most 32 times.
   * @param errno of bind(2), positive
   */
  readonly onFailure: (port: PublishedPort, errno: number) => void;
}

/** Ports that the guest listens on, by keyOf(). */
type Wanted = ReadonlyMap<string, PublishedPort>;

interface Published {
  readonly port: PublishedPort;
  readonly id: number;
}

/**
 * Publishes the ports that the guest listens on, at all addresses of the host or some, as long as it listens: at the same ports
 * where they are free and permitted, else at others. Ports that were published by name are left alone.
 */
export class AutoPublish {
  readonly #options: AutoPublishOptions;
  readonly #following: Following<PublishedPort, Published>;
  readonly #reported = new Set<string>();
  /** Servers published by name: the user has decided about these. */
  #others: ReadonlySet<string> = new Set();

  constructor(options: AutoPublishOptions) {
    const { forwards, onEnded } = options;
    this.#options = options;
    this.#following = new Following({
      longestWait: LONGEST_WAIT,
      isSame: ({ guest }, { port }) => guest.equals(port.guest),
      isServed: (port) => this.#others.has(serverOf(port)),
      begin: (port, all) => this.#begin(port, all),
      end: ({ port, id }) => {
        // It may have been removed by the API before.
        if (forwards.remove(id)) onEnded(port);
      },
    });
  }

  /**
   * Publishes new listeners and ends ports that no longer have one.
   * @param now in ms
   * @returns ms until the next scan
   */
  update(listeners: readonly Listener[], now: number): number {
    this.#others = this.#publishedOtherwise();
    return this.#following.update(this.#wanted(listeners), now);
  }

  #wanted(listeners: readonly Listener[]): Map<string, PublishedPort> {
    const wanted = new Map<string, PublishedPort>();
    for (const listener of listeners) {
      if (!this.#isServer(listener)) continue;
      for (const guest of this.#targetsOf(listener)) {
        const { protocol, port } = listener;
        const key = keyOf(protocol, port, guest.family);
        // A listener that is not on the loopback comes first: it sees its clients' addresses.
        if (wanted.get(key)?.guest.isLoopback === false) continue;
        const host = this.#hostFor(guest.family);
        if (host === null) continue;
        wanted.set(key, { protocol, host, hostPort: port, guest, guestPort: port, isAuto: true });
      }
    }
    return wanted;
  }

  /** @returns null when ports of that family are not published */
  #hostFor(family: Family): Address | null {
    const { hosts } = this.#options;
    if (hosts.length === 0) return UNSPECIFIED[family];
    return hosts.find((host) => host.family === family) ?? null;
  }

  #isServer({ protocol, port }: Listener): boolean {
    if (this.#options.exclude.has(protocol, port)) return false;
    return !isClientPort(protocol, port);
  }

  /** The guest's addresses at which a listener can be reached, at most one per family. */
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

  #begin(port: PublishedPort, wanted: Wanted): Published | number {
    const added = this.#add(port, wanted);
    if (typeof added === "number") this.#report(port, -added);
    else this.#options.onPublished(added.port);
    return added;
  }

  /** @param wanted all ports @returns what is published, or a negative errno */
  #add(port: PublishedPort, wanted: Wanted): Published | number {
    if (this.#following.held.size >= MOST_PUBLISHED) return -Errno.ENFILE;
    const { forwards } = this.#options;
    const id = forwards.add(port);
    if (id > 0) return { port, id };
    for (const hostPort of this.#substitutesFor(port, -id, wanted)) {
      const other = forwards.add({ ...port, hostPort });
      const rule = forwards.rules.find((each) => each.id === other);
      if (rule !== undefined) return { port: { ...port, hostPort: rule.hostPort }, id: other };
    }
    return id;
  }

  /** Ports of the host for one that is not permitted or in use: that of the other family, one near, then any. */
  #substitutesFor(
    { protocol, guestPort, guest }: PublishedPort,
    errno: number,
    wanted: Wanted,
  ): readonly number[] {
    if (errno !== Errno.EACCES && errno !== Errno.EADDRINUSE) return [];
    const sibling = [...this.#following.held.values()].find(
      ({ port }) => port.protocol === protocol && port.guestPort === guestPort,
    );
    const near = guestPort + PRIVILEGED_OFFSET;
    const isNearFree = near <= HIGHEST_PORT && !wanted.has(keyOf(protocol, near, guest.family));
    return [
      ...(sibling === undefined ? [] : [sibling.port.hostPort]),
      ...(errno === Errno.EACCES && isNearFree ? [near] : []),
      ANY_PORT,
    ];
  }

  #publishedOtherwise(): ReadonlySet<string> {
    const own = new Set([...this.#following.held.values()].map(({ id }) => id));
    const others = this.#options.forwards.rules.filter(({ id }) => !own.has(id));
    return new Set(others.map(serverOf));
  }

  /** Reports a port once for both families. */
  #report(port: PublishedPort, errno: number): void {
    const { protocol, hostPort } = port;
    const isLimit = errno === Errno.ENFILE || errno === Errno.EMFILE;
    const key = isLimit ? `limit ${errno}` : `${protocol} ${hostPort} ${errno}`;
    if (this.#reported.has(key) || this.#reported.size >= MOST_REPORTED) return;
    this.#reported.add(key);
    this.#options.onFailure(port, errno);
  }
}

/** Whether a socket that is bound there is a client's. */
export function isClientPort(protocol: "tcp" | "udp", port: number): boolean {
  if (protocol === "tcp") return false;
  const isEphemeral = port >= CLIENT_PORTS.first && port <= CLIENT_PORTS.last;
  return isEphemeral || DHCP_CLIENT_PORTS.includes(port);
}

function keyOf(protocol: "tcp" | "udp", port: number, family: Family): string {
  return `${protocol} ${port} ${family}`;
}

function serverOf({ protocol, guestPort }: PublishedPort): string {
  return `${protocol} ${guestPort}`;
}
