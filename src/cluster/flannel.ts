import type { Address } from "../base/address.js";
import { Prefix } from "../base/address.js";
import { monotonicMs } from "../base/clock.js";
import { logText, UserError } from "../base/errors.js";
import { log } from "../base/log.js";
import { formatMac, type Mac } from "../base/mac.js";
import { overlaps } from "../network/subnets.js";
import { Backoff } from "../store/backoff.js";
import { CALL_LIMIT, type Condition, type Entry, type Lease, type Store } from "../store/store.js";
import {
  CONFIG,
  decodeConfig,
  decodeLease,
  encodeLease,
  type FlannelConfig,
  type FlannelLease,
  SUBNETS,
  subnetKey,
} from "./encoding/flannel.js";
import { Nonsense } from "./encoding/values.js";
import { Complaints } from "./views/complaints.js";
import { Mirrors } from "./views/mirrors.js";
import { View } from "./views/view.js";

/** Seconds: flannel's own. The lease is kept alive thrice in that time, and outlives the daemon. */
const TTL = 24 * 60 * 60;

/** Free subnets that are chosen from: as many hosts can choose at once, and most of them get theirs. */
const MOST_CANDIDATES = 100;

/** Between attempts to have the subnet again, in ms. */
const RETRY = { first: 1_000, most: 60_000 } as const;

/** This host, as flannel's others know it. */
export interface FlannelHost {
  /** IPv4. */
  readonly publicIp: Address;
  readonly vtepMac: Mac;
  /** The subnet that it had, which it gets again if nobody has it; null: any. */
  readonly previous: Prefix | null;
}

export interface FlannelEvents {
  /** Before anything is taken: what this throws ends it. */
  readonly onConfig: (config: FlannelConfig) => void;
  /** The subnet of another host, or what changed of it. */
  readonly onRoute: (route: FlannelLease) => void;
  readonly onRouteGone: (subnet: Prefix) => void;
}

/** This host's part of a flannel network. */
export interface Flannel {
  readonly config: FlannelConfig;
  /** Of this host. */
  readonly own: FlannelLease;
  /** Its lease stays, for the next daemon. */
  close(): void;
  /** Gives its subnet back. @throws StoreError */
  leave(): Promise<void>;
}

/**
 * Joins a flannel network: takes a subnet for this host, or has it again, and reports those of the others.
 * @param store its prefix is flannel's, with "/" at its end; closed with the network
 * @throws UserError there is no such network, or it has no subnet left
 */
export async function joinFlannel(
  store: Store,
  host: FlannelHost,
  events: FlannelEvents,
): Promise<Flannel> {
  let network: FlannelNetwork | null = null;
  try {
    const config = await readConfig(store);
    events.onConfig(config);
    network = new FlannelNetwork(store, config, host, events);
    await network.join();
    return network;
  } catch (error) {
    network?.close();
    store.close();
    throw error;
  }
}

async function readConfig(store: Store): Promise<FlannelConfig> {
  const { entries } = await store.list(CONFIG);
  const entry = entries.find(({ key }) => key === CONFIG);
  if (entry === undefined) {
    throw new UserError(
      `${store.place} has no flannel network there: give --opt etcd-prefix as flanneld's -etcd-prefix, and put its config first`,
    );
  }
  const config = decodeConfig(entry.value);
  if (config instanceof Nonsense) {
    throw new UserError(`the config of the flannel network in ${store.place}: ${config.why}`);
  }
  return config;
}

class FlannelNetwork implements Flannel {
  readonly config: FlannelConfig;
  readonly #store: Store;
  readonly #host: FlannelHost;
  readonly #routes: View<FlannelLease>;
  readonly #mirrors: Mirrors;
  readonly #backoff = new Backoff(RETRY.first, RETRY.most);
  #own: FlannelLease | null = null;
  #timer: NodeJS.Timeout | null = null;
  #isClosed = false;

  constructor(store: Store, config: FlannelConfig, host: FlannelHost, events: FlannelEvents) {
    this.config = config;
    this.#store = store;
    this.#host = host;
    this.#routes = new View(
      { decode: (key, value) => decodeLease(config, key, value), stakes, clash },
      new Complaints(store.place),
      {
        onShown: (route) => {
          if (!this.#isOwn(route)) events.onRoute(route);
        },
        onHidden: (route) => {
          if (!this.#isOwn(route)) events.onRouteGone(route.subnet);
        },
      },
    );
    this.#mirrors = new Mirrors(store, [SUBNETS], {
      onPut: (entry) => this.#onPut(entry),
      onDelete: (key) => this.#onDelete(key),
    });
  }

  get own(): FlannelLease {
    if (this.#own === null) throw new RangeError("it has not joined");
    return this.#own;
  }

  async join(): Promise<void> {
    await this.#take(this.#host.previous);
    await this.#mirrors.current();
  }

  close(): void {
    this.#isClosed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#mirrors.close();
    this.#store.close();
  }

  async leave(): Promise<void> {
    const key = subnetKey(this.own.subnet);
    this.#isClosed = true;
    try {
      await this.#store.commit(
        [{ kind: "equal", key, value: encodeLease(this.own) }],
        [{ kind: "delete", key }],
      );
    } finally {
      this.close();
    }
  }

  /**
   * Takes a subnet: the one that this host has there already, or a free one.
   * @param wanted null: any
   * @throws UserError
   */
  async #take(wanted: Prefix | null): Promise<void> {
    const deadline = monotonicMs() + CALL_LIMIT;
    while (monotonicMs() < deadline) {
      const { entries } = await this.#store.list(SUBNETS);
      const before = entries.find((entry) => this.#isOfThisHost(entry));
      const subnet = this.#subnetIn(before) ?? this.#freeOf(entries, wanted);
      if (await this.#put(subnet, before)) return;
    }
    throw new UserError(`${this.#store.place}: too many hosts want subnets at once: try again`);
  }

  async #put(subnet: Prefix, before: Entry | undefined): Promise<boolean> {
    const lease = await this.#grant();
    const { publicIp, vtepMac } = this.#host;
    const own: FlannelLease = { subnet, publicIp, vni: this.config.vni, vtepMac };
    const key = subnetKey(subnet);
    const isAgain = before?.key === key;
    const conditions: Condition[] = [
      isAgain ? { kind: "unchanged", key, modified: before.modified } : { kind: "absent", key },
    ];
    this.#own = own;
    const put = { kind: "put", key, value: encodeLease(own), lease } as const;
    // A subnet of this host that the config has no room for any more.
    const stale =
      before === undefined || isAgain ? [] : [{ kind: "delete", key: before.key } as const];
    const { done } = await this.#store.commit(conditions, [put, ...stale]);
    if (!done) await lease.revoke();
    return done;
  }

  #grant(): Promise<Lease> {
    return this.#store.lease(TTL, {
      onLost: () => this.#retake("its lease has ended"),
      onAway: () => {},
      onBack: () => {},
    });
  }

  /** Has the same subnet again. */
  #retake(why: string): void {
    if (this.#isClosed || this.#timer !== null) return;
    log.warn(`flannel's subnet ${this.own.subnet} of this host is taken again: ${why}`);
    this.#timer = setTimeout(() => void this.#retry(), this.#backoff.next());
  }

  async #retry(): Promise<void> {
    const { subnet } = this.own;
    try {
      await this.#take(subnet);
      this.#timer = null;
      this.#backoff.reset();
    } catch (error) {
      this.#timer = null;
      this.#retake(logText(error));
    }
  }

  #onPut(entry: Entry): void {
    const isOurKey = this.#own !== null && entry.key === subnetKey(this.#own.subnet);
    this.#routes.put(isOurKey ? { ...entry, created: 0 } : entry);
  }

  #onDelete(key: string): void {
    this.#routes.delete(key);
    if (this.#own !== null && key === subnetKey(this.#own.subnet)) {
      this.#retake("somebody deleted it");
    }
  }

  #isOwn({ publicIp }: FlannelLease): boolean {
    return publicIp.equals(this.#host.publicIp);
  }

  #isOfThisHost({ key, value }: Entry): boolean {
    const lease = decodeLease(this.config, key, value);
    return !(lease instanceof Nonsense) && this.#isOwn(lease);
  }

  /** The subnet of an entry, if the config has room for it. */
  #subnetIn(entry: Entry | undefined): Prefix | null {
    if (entry === undefined) return null;
    const lease = decodeLease(this.config, entry.key, entry.value);
    if (lease instanceof Nonsense) return null;
    return this.#isPossible(lease.subnet) ? lease.subnet : null;
  }

  #isPossible({ address, length }: Prefix): boolean {
    const { subnetLength, subnetMin, subnetMax } = this.config;
    return length === subnetLength && address.w3 >= subnetMin.w3 && address.w3 <= subnetMax.w3;
  }

  /** @param wanted goes before all others @throws UserError when none is free */
  #freeOf(entries: readonly Entry[], wanted: Prefix | null): Prefix {
    const { subnetLength, subnetMin, subnetMax } = this.config;
    const taken = entries.flatMap(({ key, value }) => {
      const lease = decodeLease(this.config, key, value);
      return lease instanceof Nonsense ? [] : [lease.subnet];
    });
    const keys = new Set(entries.map(({ key }) => key));
    const size = 2 ** (32 - subnetLength);
    const isFree = (candidate: Prefix): boolean =>
      !keys.has(subnetKey(candidate)) && !taken.some((each) => overlaps(each, candidate));
    if (wanted !== null && this.#isPossible(wanted) && isFree(wanted)) return wanted;
    const free: Prefix[] = [];
    for (let offset = 0; offset <= subnetMax.w3 - subnetMin.w3; offset += size) {
      const candidate = Prefix.of(subnetMin.plus(offset), subnetLength);
      if (isFree(candidate)) free.push(candidate);
      if (free.length === MOST_CANDIDATES) break;
    }
    const chosen = free[Math.floor(Math.random() * free.length)];
    if (chosen !== undefined) return chosen;
    throw new UserError(
      `the flannel network ${this.config.network} in ${this.#store.place} has no subnet left: leases of hosts that are gone end after 24 h`,
    );
  }
}

function stakes({ publicIp, vtepMac }: FlannelLease): readonly string[] {
  return [`PublicIP ${publicIp}`, `VtepMAC ${formatMac(vtepMac)}`];
}

function clash(a: FlannelLease, b: FlannelLease): string | null {
  return overlaps(a.subnet, b.subnet) ? `a part of ${b.subnet}` : null;
}
