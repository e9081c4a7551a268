import type { Change, StoreError, Watch, WatchEvents } from "../store.js";
import type { Carried, Channel } from "./channel.js";

/** A watch, whichever channels carry it (hub.ts). */
export class EtcdWatch implements Watch, Carried {
  readonly prefix: string;
  after: number;
  /** The channel that reports; null: none does. */
  channel: Channel<EtcdWatch> | null = null;
  /** The one that is to replace it; null: none is. */
  next: Channel<EtcdWatch> | null = null;
  readonly #events: WatchEvents;
  readonly #onClose: (watch: EtcdWatch) => void;
  #isOpen = false;
  #isOver = false;

  /** @param onClose nobody wants it any more */
  constructor(
    prefix: string,
    after: number,
    events: WatchEvents,
    onClose: (watch: EtcdWatch) => void,
  ) {
    this.prefix = prefix;
    this.after = after;
    this.#events = events;
    this.#onClose = onClose;
  }

  close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#onClose(this);
  }

  /** A channel has it. */
  opened(): void {
    if (this.#isOpen || this.#isOver) return;
    this.#isOpen = true;
    this.#events.onOpen();
  }

  /** Two channels report the same for a moment. */
  take(changes: readonly Change[], revision: number): void {
    if (revision <= this.after || this.#isOver) return;
    this.after = revision;
    this.#events.onChanges(changes, revision);
  }

  progress(revision: number): void {
    this.after = Math.max(this.after, revision);
  }

  end(why: StoreError): void {
    if (this.#isOver) return;
    this.close();
    this.#events.onEnd(why);
  }
}
