import { monotonicMs } from "../../base/clock.js";
import { Backoff, jittered } from "../backoff.js";
import type { StoreError, WatchEvents } from "../store.js";
import { Channel, type ChannelEvents } from "./channel.js";
import type { Endpoint } from "./endpoints.js";
import type { Gateway } from "./gateway.js";
import type { Requests } from "./requests.js";
import { EtcdWatch } from "./watch.js";

/** Watches that one channel carries at most: their requests are some 20 KB. */
const MOST_WATCHES = 64;

/** How long a new watch waits for others that come with it, in ms. */
const GATHERING = 5;

/**
 * Delay after a channel that ended or could not be opened, and the longest, in ms; then one attempt is made for all
 * watches. When the store of 1,000 hosts restarts, they come back over some seconds.
 */
const FIRST_DELAY = 2_000;
const LONGEST_DELAY = 15_000;

/**
 * How long a channel may say nothing until it is opened anew, in ms. A connection that leads nowhere any more is silent,
 * too. etcd reports progress of a quiet watch every 10 to 11 minutes (3.4, v3rpc/watch.go). Not sooner: each
 * watch that is opened reads the history since its last report, of all keys. Where the whole way to an endpoint is lost,
 * calls notice it within seconds (`suspect`).
 */
const SILENCE = 720_000;

/**
 * The watches of a store, on as few channels as possible: each channel is a connection, and hosts have many watches.
 *
 * | a watch is         | event                                     | then                                     |
 * |--------------------|-------------------------------------------|------------------------------------------|
 * | waiting            | a channel is opened with all that wait    | opening                                  |
 * | opening            | the channel has it                        | onOpen; carried                          |
 * | opening            | the channel does not have it              | waiting                                  |
 * | carried            | its channel is silent, its endpoint does not answer calls, or there are more channels than needed | moving: a second channel is opened |
 * | moving             | the second channel has it                 | the first is left; carried               |
 * | moving             | the first channel ends                    | opening                                  |
 * | opening, moving    | the (second) channel ends                 | onEnd                                    |
 * | carried            | its channel ends                          | onEnd                                    |
 * | any                | close()                                   | its channels are left                    |
 */
export class WatchHub {
  readonly #gateway: Gateway;
  readonly #prefix: string;
  readonly #requests: Requests;
  readonly #silence: number;
  readonly #watches = new Set<EtcdWatch>();
  readonly #waiting = new Set<EtcdWatch>();
  readonly #backoff = new Backoff(FIRST_DELAY, LONGEST_DELAY);
  readonly #events: ChannelEvents<EtcdWatch>;
  #opening: NodeJS.Timeout | undefined;
  #renewing: NodeJS.Timeout | undefined;
  /** Before that no channel is opened, in ms of the monotonic clock: the last one could not be. */
  #notBefore = 0;

  /**
   * @param prefix of the store
   * @param silence for tests
   */
  constructor(gateway: Gateway, prefix: string, requests: Requests, silence = SILENCE) {
    this.#gateway = gateway;
    this.#prefix = prefix;
    this.#requests = requests;
    this.#silence = silence;
    this.#events = {
      onOpen: (channel, watch) => this.#opened(channel, watch),
      onEnd: (channel, watch, why) => this.#ended(channel, watch, why),
      onMissing: (_, watch) => {
        watch.next = null;
        if (watch.channel === null) this.#wait(watch);
      },
    };
  }

  open(prefix: string, after: number, events: WatchEvents): EtcdWatch {
    const watch = new EtcdWatch(prefix, after, events, (closed) => this.#closed(closed));
    this.#watches.add(watch);
    this.#wait(watch);
    if (this.#renewing === undefined) this.#renewLater();
    return watch;
  }

  /** An endpoint does not answer calls: what is there may wait in vain. */
  suspect(endpoint: Endpoint): void {
    this.#move([...this.#watches].filter(({ channel }) => channel?.endpoint === endpoint));
  }

  close(): void {
    for (const watch of [...this.#watches]) watch.close();
    clearTimeout(this.#opening);
    clearTimeout(this.#renewing);
  }

  #wait(watch: EtcdWatch): void {
    this.#waiting.add(watch);
    if (this.#opening !== undefined) return;
    const delay = Math.max(GATHERING, this.#notBefore - monotonicMs());
    this.#opening = setTimeout(() => {
      this.#opening = undefined;
      const waiting = [...this.#waiting];
      this.#waiting.clear();
      this.#carry(waiting);
    }, delay);
  }

  /** Opens channels for watches. */
  #carry(watches: readonly EtcdWatch[]): void {
    for (let i = 0; i < watches.length; i += MOST_WATCHES) {
      const some = watches.slice(i, i + MOST_WATCHES);
      const request = ({ prefix, after }: EtcdWatch, id: number): string =>
        this.#requests.watch(prefix, after, id);
      const channel = new Channel(this.#gateway, this.#prefix, some, request, this.#events);
      for (const watch of some) watch.next = channel;
    }
  }

  /** Opens new channels beside those that watches have. */
  #move(watches: readonly EtcdWatch[]): void {
    this.#carry(watches.filter(({ channel, next }) => channel !== null && next === null));
  }

  #opened(channel: Channel<EtcdWatch>, watch: EtcdWatch): void {
    this.#backoff.reset();
    this.#notBefore = 0;
    watch.channel?.drop(watch);
    watch.channel = channel;
    watch.next = null;
    watch.opened();
  }

  #ended(channel: Channel<EtcdWatch>, watch: EtcdWatch, why: StoreError): void {
    const isLost = channel === watch.channel;
    if (isLost) watch.channel = null;
    else watch.next = null;
    if (isLost && watch.next !== null) return;
    if (why.failure !== "compacted" && monotonicMs() >= this.#notBefore) {
      this.#notBefore = monotonicMs() + this.#backoff.next();
    }
    watch.end(why);
  }

  #closed(watch: EtcdWatch): void {
    this.#watches.delete(watch);
    this.#waiting.delete(watch);
    watch.channel?.drop(watch);
    watch.next?.drop(watch);
  }

  #renewLater(): void {
    this.#renewing = setTimeout(
      () => {
        this.#renew();
        this.#renewLater();
      },
      jittered(this.#silence / 4),
    );
  }

  /** Moves what is on silent channels; all of it, where that makes fewer channels. */
  #renew(): void {
    const carried = [...this.#watches].filter(({ channel }) => channel !== null);
    const channels = new Set(carried.map(({ channel }) => channel));
    if (channels.size > Math.ceil(carried.length / MOST_WATCHES)) {
      this.#move(carried);
      return;
    }
    const limit = monotonicMs() - this.#silence;
    this.#move(carried.filter(({ channel }) => (channel?.heardAt ?? 0) < limit));
  }
}
