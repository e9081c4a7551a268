import {
  type Condition,
  type Entry,
  type Lease,
  type LeaseEvents,
  type Listing,
  type Operation,
  type Outcome,
  type Store,
  StoreError,
  type Watch,
  type WatchEvents,
} from "../store.js";
import { entriesOf, schemas } from "./answers.js";
import { isCompacted, isLeaseGone } from "./failure.js";
import type { Gateway } from "./gateway.js";
import { WatchHub } from "./hub.js";
import { EtcdLease } from "./lease.js";
import { Requests } from "./requests.js";
import { Fault } from "./transport.js";

/** Keys of a page: about 0.5 MB of JSON, which takes some ms to parse. */
const PAGE = 1_000;

/** How often a list begins again when the store forgets its revision meanwhile. */
const MOST_BEGINNINGS = 3;

/** A store by etcd's JSON gateway. */
export class EtcdStore implements Store {
  readonly place: string;
  readonly isFixed = false;
  readonly #gateway: Gateway;
  readonly #prefix: string;
  readonly #requests: Requests;
  readonly #leases = new Set<EtcdLease>();
  readonly #hub: WatchHub;

  /**
   * @param prefix of all keys
   * @param silence for tests: how long a watch may say nothing, in ms
   */
  constructor(gateway: Gateway, place: string, prefix: string, silence?: number) {
    this.#gateway = gateway;
    this.place = place;
    this.#prefix = prefix;
    this.#requests = new Requests(prefix);
    this.#hub = new WatchHub(gateway, prefix, this.#requests, silence);
    gateway.onSilent = (endpoint) => this.#hub.suspect(endpoint);
  }

  async list(prefix: string): Promise<Listing> {
    for (let beginnings = 1; ; beginnings++) {
      try {
        return await this.#pages(prefix);
      } catch (error) {
        if (!isCompacted(error) || beginnings === MOST_BEGINNINGS) {
          throw this.#gateway.storeError(error);
        }
      }
    }
  }

  async commit(
    conditions: readonly Condition[],
    operations: readonly Operation[],
  ): Promise<Outcome> {
    const body = this.#requests.txn(conditions, operations);
    const call = { path: "/v3/kv/txn", body, schema: schemas.txn, isRepeatable: false };
    try {
      const { header, succeeded, responses } = await this.#gateway.ask(call);
      const pairs = responses.flatMap(({ response_range: range }) => range?.kvs ?? []);
      const found = succeeded ? [] : entriesOf(pairs, this.#prefix);
      return { done: succeeded, revision: header.revision, found };
    } catch (error) {
      if (isLeaseGone(error)) throw this.#leaseGone(operations);
      throw this.#gateway.storeError(error);
    }
  }

  async lease(ttl: number, events: LeaseEvents): Promise<Lease> {
    const lease = await EtcdLease.grant(this.#gateway, ttl, events);
    for (const each of this.#leases) if (!each.isAlive) this.#leases.delete(each);
    this.#leases.add(lease);
    return lease;
  }

  watch(prefix: string, after: number, events: WatchEvents): Watch {
    return this.#hub.open(prefix, after, events);
  }

  close(): void {
    this.#hub.close();
    for (const lease of this.#leases) lease.close();
    this.#gateway.close();
  }

  /**
   * A page follows the last key of the one before, all as of the revision of the first.
   * @throws Refusal, Fault, StoreError
   */
  async #pages(prefix: string): Promise<Listing> {
    const entries: Entry[] = [];
    let revision = 0;
    let after: string | null = null;
    let limit = PAGE;
    for (;;) {
      const body: string = this.#requests.page(prefix, after, limit, revision);
      const call = { path: "/v3/kv/range", body, schema: schemas.range, isRepeatable: true };
      try {
        const { header, kvs, more } = await this.#gateway.ask(call);
        if (revision === 0) revision = header.revision;
        for (const entry of entriesOf(kvs, this.#prefix)) entries.push(entry);
        if (!more || kvs.length === 0) return { entries, revision };
        after = kvs[kvs.length - 1].key;
      } catch (error) {
        // Somebody's large values: fewer of them fit.
        const isTooLarge = error instanceof Fault && error.kind === "too large";
        if (!isTooLarge || limit === 1) throw error;
        limit = Math.ceil(limit / 8);
      }
    }
  }

  /** Its owner learns it from the lease, which is asked now. */
  #leaseGone(operations: readonly Operation[]): StoreError {
    for (const operation of operations) {
      if (operation.kind === "put" && operation.lease instanceof EtcdLease) {
        void operation.lease.beat();
      }
    }
    return new StoreError(
      "unreachable",
      `${this.place} has not heard of us for too long, and forgot us: it is told everything again; try again`,
    );
  }
}
