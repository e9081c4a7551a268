import { jittered } from "../backoff.js";
import { CALL_LIMIT, type Change, StoreError, type Watch, type WatchEvents } from "../store.js";
import { Channel } from "./channel.js";
import type { Endpoint } from "./endpoints.js";
import type { Gateway } from "./gateway.js";

/**
 * How long a watch may say nothing until it is opened anew, in ms. A connection that leads nowhere any more is silent,
 * too, and etcd's own notices of progress come every 10 minutes. A new channel costs one request.
 */
const SILENCE = 60_000;

/** What a watch needs to open a channel. */
export interface WatchOptions {
  readonly gateway: Gateway;
  /** Of the store. */
  readonly prefix: string;
  /** The request for changes after a revision. */
  readonly body: (after: number) => string;
  /** The revision after which changes are wanted. */
  readonly after: number;
  /** For tests: SILENCE. */
  readonly silence?: number;
}

/**
 * A watch that notices when its connection leads nowhere: when it is silent for long, or when its endpoint does not
 * answer calls, another channel is opened beside the first, from the last revision on, and replaces it.
 *
 * | channels          | event                                | then                                      |
 * |-------------------|--------------------------------------|-------------------------------------------|
 * | first, not open   | it opens                             | onOpen; one open                          |
 * | one open          | silence, or its endpoint is suspected | a second is opened                       |
 * | open and second   | the second opens                     | the first is closed; one open             |
 * | open and second   | the first ends                       | the second goes on                        |
 * | open and second   | the second ends, or is not open in time | onEnd; over                            |
 * | any single        | it ends, or is not open in time      | onEnd; over                               |
 */
export class EtcdWatch implements Watch {
  readonly #options: WatchOptions;
  readonly #events: WatchEvents;
  readonly #onOver: (watch: EtcdWatch) => void;
  #after: number;
  #current: Channel | null = null;
  #next: Channel | null = null;
  #silence: NodeJS.Timeout | undefined;
  #opening: NodeJS.Timeout | undefined;
  #isOpen = false;
  #isOver = false;

  /** @param onOver it needs nobody's care any more */
  constructor(options: WatchOptions, events: WatchEvents, onOver: (watch: EtcdWatch) => void) {
    this.#options = options;
    this.#events = events;
    this.#onOver = onOver;
    this.#after = options.after;
    this.#open();
  }

  close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#silence);
    clearTimeout(this.#opening);
    this.#current?.close();
    this.#next?.close();
    this.#onOver(this);
  }

  /** An endpoint does not answer calls: if this watch is there, it may wait in vain. */
  suspect(endpoint: Endpoint): void {
    if (this.#current?.endpoint === endpoint) this.#open();
  }

  /** Opens a channel that will replace the current one. */
  #open(): void {
    if (this.#next !== null) return;
    const { gateway, prefix, body } = this.#options;
    const after = this.#after;
    const channel = new Channel(gateway, body(after), after, prefix, {
      onOpen: () => this.#opened(channel),
      onChanges: (changes, revision) => this.#take(changes, revision),
      onProgress: (revision) => this.#progress(revision),
      onEnd: (why) => this.#ended(channel, why),
    });
    this.#next = channel;
    this.#opening = setTimeout(() => this.#late(channel), CALL_LIMIT);
  }

  #opened(channel: Channel): void {
    clearTimeout(this.#opening);
    this.#current?.close();
    this.#current = channel;
    this.#next = null;
    this.#heard();
    if (this.#isOpen) return;
    this.#isOpen = true;
    this.#events.onOpen();
  }

  /** Two channels report the same for a moment. */
  #take(changes: readonly Change[], revision: number): void {
    this.#heard();
    if (revision <= this.#after) return;
    this.#after = revision;
    this.#events.onChanges(changes, revision);
  }

  #progress(revision: number): void {
    this.#heard();
    this.#after = Math.max(this.#after, revision);
  }

  #heard(): void {
    clearTimeout(this.#silence);
    if (this.#isOver) return;
    const { silence = SILENCE } = this.#options;
    this.#silence = setTimeout(() => this.#open(), jittered(silence));
  }

  #late(channel: Channel): void {
    const where = channel.endpoint?.text ?? "the store";
    const why = `${where} does not begin a watch within ${CALL_LIMIT / 1000} s: see whether etcd runs there`;
    channel.close();
    this.#ended(channel, new StoreError("unreachable", why));
  }

  #ended(channel: Channel, why: StoreError): void {
    if (this.#isOver) return;
    if (channel === this.#current && this.#next !== null) {
      this.#current = null;
      return;
    }
    this.close();
    this.#events.onEnd(why);
  }
}
