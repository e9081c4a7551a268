import type { PortLink } from "../../network/uplink.js";
import type { TunnelCounts } from "../tunnel.js";
import { Outbox } from "./outbox.js";

/** The outboxes of a tunnel's ports. */
export class Outboxes {
  readonly #counts: TunnelCounts;
  readonly #outboxes = new WeakMap<PortLink, Outbox>();
  /** The port that sent last, which mostly sends next, too. */
  #lastLink: PortLink | null = null;
  #lastOutbox: Outbox | null = null;

  constructor(counts: TunnelCounts) {
    this.#counts = counts;
  }

  of(link: PortLink): Outbox {
    if (link === this.#lastLink && this.#lastOutbox !== null) return this.#lastOutbox;
    const outbox = this.#outboxes.get(link) ?? new Outbox(link, this.#counts);
    this.#outboxes.set(link, outbox);
    this.#lastLink = link;
    this.#lastOutbox = outbox;
    return outbox;
  }

  /** Sends what is kept of the frames of a port. */
  flush(link: PortLink): void {
    if (link === this.#lastLink) this.#lastOutbox?.flush();
  }

  /** Drops it. */
  discard(link: PortLink): void {
    this.#outboxes.delete(link);
    if (link === this.#lastLink) this.#lastLink = null;
  }
}
