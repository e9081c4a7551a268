import { randomBytes } from "node:crypto";
import type { Lease, LeaseEvents } from "../store.js";
import { schemas } from "./answers.js";
import { isLeaseGone, isLeaseThere } from "./failure.js";
import type { Gateway } from "./gateway.js";

/**
 * A lease that is kept alive.
 *
 * | it is      | until                                | then                                     |
 * |------------|--------------------------------------|------------------------------------------|
 * | kept alive | a word of ours is not answered       | onAway, away                             |
 * | kept alive | the store says that it is gone       | onLost, over                             |
 * | away       | a word of ours is answered           | onBack, kept alive                       |
 * | away       | the store says that it is gone       | onLost, over                             |
 * | any        | revoke() or close()                  | over, without an event                   |
 *
 * A store that is away counts no time, and gives leases their whole TTL again when it has a leader: only what it says
 * tells that a lease is gone.
 */
export class EtcdLease implements Lease {
  /** A positive number of 63 bits, in decimal. */
  readonly id: string;
  readonly ttl: number;
  readonly #gateway: Gateway;
  readonly #events: LeaseEvents;
  #timer: NodeJS.Timeout | undefined;
  #state: "kept alive" | "away" | "over" = "kept alive";

  private constructor(gateway: Gateway, id: string, ttl: number, events: LeaseEvents) {
    this.#gateway = gateway;
    this.id = id;
    this.ttl = ttl;
    this.#events = events;
    this.#schedule(this.#period * (0.5 + Math.random() / 2));
  }

  /** @throws StoreError */
  static async grant(gateway: Gateway, ttl: number, events: LeaseEvents): Promise<EtcdLease> {
    // Our own number, so that the request may be repeated. Not 0, by which etcd would choose.
    const id = `${(randomBytes(8).readBigUInt64BE() >> 1n) | 1n}`;
    const body = JSON.stringify({ ID: id, TTL: `${ttl}` });
    const call = { path: "/v3/lease/grant", body, schema: schemas.granted, isRepeatable: true };
    try {
      const { TTL } = await gateway.ask(call);
      return new EtcdLease(gateway, id, TTL, events);
    } catch (error) {
      if (isLeaseThere(error)) return new EtcdLease(gateway, id, ttl, events);
      throw gateway.storeError(error);
    }
  }

  get isAlive(): boolean {
    return this.#state !== "over";
  }

  async revoke(): Promise<void> {
    if (!this.isAlive) return;
    this.close();
    const body = JSON.stringify({ ID: this.id });
    const path = "/v3/lease/revoke";
    try {
      await this.#gateway.ask({ path, body, schema: schemas.nothing, isRepeatable: true });
    } catch (error) {
      if (!isLeaseGone(error)) throw this.#gateway.storeError(error);
    }
  }

  /** Keeps it alive no more: it ends by itself. */
  close(): void {
    this.#state = "over";
    clearTimeout(this.#timer);
  }

  /** Says now that we are alive. Never rejects. */
  async beat(): Promise<void> {
    if (!this.isAlive) return;
    clearTimeout(this.#timer);
    // Counted from the beginning: a store that is slow to answer has heard us nevertheless.
    this.#schedule(this.#period);
    const body = JSON.stringify({ ID: this.id });
    const path = "/v3/lease/keepalive";
    try {
      const { result } = await this.#gateway.ask({
        path,
        body,
        schema: schemas.keptAlive,
        isRepeatable: true,
      });
      if (result.TTL === 0) this.#lost();
      else this.#answered();
    } catch (error) {
      if (isLeaseGone(error)) this.#lost();
      else this.#unanswered(error);
    }
  }

  /** In ms: two words of ours may be lost. */
  get #period(): number {
    return (this.ttl * 1000) / 3;
  }

  #schedule(delay: number): void {
    this.#timer = setTimeout(() => void this.beat(), delay);
  }

  #answered(): void {
    if (this.#state !== "away") return;
    this.#state = "kept alive";
    this.#events.onBack();
  }

  /** The next word comes sooner, at a moment of our own: a store that is back is not met by all hosts at once. */
  #unanswered(error: unknown): void {
    if (!this.isAlive) return;
    clearTimeout(this.#timer);
    this.#schedule(this.#period * (0.2 + 0.6 * Math.random()));
    if (this.#state === "away") return;
    this.#state = "away";
    this.#events.onAway(this.#gateway.storeError(error));
  }

  #lost(): void {
    if (!this.isAlive) return;
    this.close();
    this.#events.onLost();
  }
}
