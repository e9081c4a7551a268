import { logText, UserError } from "../base/errors.js";
import type { ClusterState } from "../rpc/reports.js";
import type { Lease, Store } from "../store/store.js";

/*
 * This host's presence in the store: two leases, and what hangs on them.
 *
 * | state     | event                                      | next      | what is done                                     |
 * |-----------|--------------------------------------------|-----------|--------------------------------------------------|
 * | joining   | leases and announcement succeed            | connected | claims are restored before                       |
 * | joining   | something of that fails                    | joining   | again, after RETRY to LONGEST_RETRY, with jitter |
 * | connected | the store does not hear the lease          | cut off   | nothing: what is known stays                     |
 * | connected | a lease is lost                            | cut off   | all of it again, with new leases                 |
 * | connected | what hangs on the leases is gone           | cut off   | all of it again                                  |
 * | cut off   | the store hears the lease again            | cut off   | all of it again, with the leases                 |
 * | cut off   | leases and announcement succeed            | connected | claims are restored before                       |
 * | any       | close()                                    | closed    | nothing is reported any more                     |
 */

/** Seconds: for how long others see a host that no longer speaks. */
const PRESENCE_TTL = 15;
/** Seconds: a dead host's addresses rest for 60 s after its members are gone. */
const ADDRESSES_TTL = 75;

/** Of the first attempt after a failure, and the longest, in ms; each is spread by half. */
const RETRY = 1_000;
const LONGEST_RETRY = 8_000;

/** When the store is back, the hosts do not all come at once: so much for each of them, and at least and at most, in ms. */
const SPREAD_PER_HOST = 5;
const LEAST_SPREAD = 200;
const MOST_SPREAD = 5_000;

/** The leases of a host. */
export interface Leases {
  /** Of what others see. */
  readonly presence: Lease;
  /** Of its addresses, which outlast it. */
  readonly addresses: Lease;
}

export interface SessionEvents {
  readonly onState: (state: ClusterState, why: string | null) => void;
  /**
   * Puts all that this host has into the store.
   * @throws StoreError
   * @throws UserError
   */
  readonly onJoin: (leases: Leases) => Promise<void>;
  /** How many hosts there are. */
  readonly crowd: () => number;
}

/** What a request gets that needs the store while that is away. */
export class AwayError extends UserError {}

export class Session {
  readonly #store: Store;
  readonly #events: SessionEvents;
  /** Of the first attempt to join. */
  readonly joined: Promise<void>;
  #settleJoined: (error: unknown) => void = () => {};
  #state: ClusterState = "joining";
  #why: string | null;
  #since = new Date();
  #leases: Leases | null = null;
  #failures = 0;
  #timer: NodeJS.Timeout | null = null;
  #isJoining = false;
  /** Whether something has happened since the attempt that is under way began. */
  #isOutdated = false;
  #isClosed = false;

  constructor(store: Store, events: SessionEvents) {
    this.#store = store;
    this.#events = events;
    this.#why = `${store.place} has not answered yet`;
    this.joined = new Promise((resolve, reject) => {
      this.#settleJoined = (error) => (error === null ? resolve() : reject(error));
    });
    // onState says it, too.
    this.joined.catch(() => {});
  }

  get state(): ClusterState {
    return this.#state;
  }

  get why(): string | null {
    return this.#why;
  }

  /** The leases that things are put on; null: it is not connected. */
  get current(): Leases | null {
    return this.#state === "connected" ? this.#leases : null;
  }

  /** As current. @throws AwayError */
  get leases(): Leases {
    const { current } = this;
    if (current === null) throw this.away();
    return current;
  }

  away(): AwayError {
    const since = this.#since.toTimeString().slice(0, "HH:MM:SS".length);
    return new AwayError(
      `this host is cut off from the store ${this.#store.place} since ${since} (${this.#why}): overlay networks take no changes; local networks work`,
    );
  }

  start(): void {
    void this.#join();
  }

  /** What hangs on the leases is not all there: it is put there again. */
  renew(why: string): void {
    if (this.#state !== "connected") return;
    this.#enter("cut off", why);
    this.#joinWithin(this.#spread());
  }

  /** @param isOver whether all that it has in the store may go at once @throws StoreError */
  async close(isOver: boolean): Promise<void> {
    this.#isClosed = true;
    this.#settleJoined(new UserError("the daemon stops"));
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (!isOver || this.#leases === null) return;
    const { presence, addresses } = this.#leases;
    await Promise.all([presence.revoke(), addresses.revoke()]);
  }

  async #join(): Promise<void> {
    this.#timer = null;
    if (this.#isJoining) {
      this.#isOutdated = true;
      return;
    }
    this.#isJoining = true;
    this.#isOutdated = false;
    await this.#attempt();
    this.#isJoining = false;
    if (this.#isOutdated && this.#timer === null) this.#joinWithin(this.#spread());
  }

  async #attempt(): Promise<void> {
    try {
      await this.#events.onJoin(await this.#liveLeases());
      if (this.#isClosed) return;
      this.#failures = 0;
      this.#settleJoined(null);
      if (!this.#isOutdated) this.#enter("connected", null);
    } catch (error) {
      if (this.#isClosed) return;
      this.#settleJoined(error);
      this.#enter(this.#state === "joining" ? "joining" : "cut off", logText(error));
      this.#joinWithin(Math.min(RETRY * 2 ** this.#failures, LONGEST_RETRY), true);
      this.#failures += 1;
    }
  }

  /** The leases that there are, if they live. */
  async #liveLeases(): Promise<Leases> {
    const before = this.#leases;
    if (before?.presence.isAlive && before.addresses.isAlive) return before;
    const [presence, addresses] = await Promise.all([
      before?.presence.isAlive ? before.presence : this.#grant(PRESENCE_TTL),
      before?.addresses.isAlive ? before.addresses : this.#grant(ADDRESSES_TTL),
    ]);
    this.#leases = { presence, addresses };
    return this.#leases;
  }

  #grant(ttl: number): Promise<Lease> {
    return this.#store.lease(ttl, {
      onLost: () => this.#onTrouble("its lease has ended", true),
      onAway: (reason) => this.#onTrouble(reason.message, false),
      onBack: () => this.#joinWithin(this.#spread()),
    });
  }

  /** @param isHeard whether the store can be reached, as far as we know */
  #onTrouble(why: string, isHeard: boolean): void {
    if (this.#isClosed) return;
    this.#isOutdated = true;
    if (this.#state === "connected") this.#enter("cut off", why);
    if (isHeard) this.#joinWithin(this.#spread());
  }

  /** @param limit in ms @param isAtLeastHalf a failed attempt is not followed by the next at once */
  #joinWithin(limit: number, isAtLeastHalf = false): void {
    if (this.#isClosed) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    const delay = isAtLeastHalf ? (limit * (1 + Math.random())) / 2 : limit * Math.random();
    this.#timer = setTimeout(() => void this.#join(), delay);
  }

  #spread(): number {
    return Math.min(MOST_SPREAD, Math.max(LEAST_SPREAD, SPREAD_PER_HOST * this.#events.crowd()));
  }

  #enter(state: ClusterState, why: string | null): void {
    if (this.#state === state && this.#why === why) return;
    if ((this.#state === "connected") !== (state === "connected")) this.#since = new Date();
    this.#state = state;
    this.#why = why;
    this.#events.onState(state, why);
  }
}
