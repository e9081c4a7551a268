import { log } from "../../base/log.js";
import { quoted } from "../../base/printable.js";

/** Keys that are remembered: whoever fills the store with garbage does not fill our memory. */
const MOST_KEYS = 1000;

/** Says once for each key what is wrong with it. */
export class Complaints {
  readonly #place: string;
  readonly #keys = new Set<string>();

  /** @param place of the store, for messages */
  constructor(place: string) {
    this.#place = place;
  }

  /** @param why the rest of a sentence */
  add(key: string, why: string): void {
    if (this.#keys.has(key) || this.#keys.size >= MOST_KEYS) return;
    this.#keys.add(key);
    log.warn(`${this.#place}: ${quoted(key)} is left out: ${why}`);
    if (this.#keys.size < MOST_KEYS) return;
    log.warn(`${this.#place}: what else is left out there is not logged: it is too much`);
  }
}
