import { UserError } from "../../base/errors.js";
import { log } from "../../base/log.js";
import { conflictOf } from "../definition.js";
import type { Network } from "../network.js";
import type { Networks } from "../networks.js";

/** Overlays that cannot be used on this host, as their subnets are used here otherwise. */
export class Conflicts {
  readonly #networks: Networks;
  /** Why, by the overlays' ids. */
  readonly #found = new Map<string, string>();

  constructor(networks: Networks) {
    this.#networks = networks;
  }

  /** For the user. */
  get sentences(): readonly string[] {
    return [...this.#found.values()];
  }

  /** Has the threads know a network, unless its subnets are used on this host otherwise. @returns why it cannot be used */
  look(network: Network): string | null {
    const others = this.#networks.definitions.filter(({ id }) => id !== network.id);
    const conflict = conflictOf(network.definition, others);
    if (conflict === null) {
      this.#found.delete(network.id);
      this.#networks.serveOverlay(network);
      return null;
    }
    const sentence = `network ${network.name} cannot be used on this host: its subnet ${conflict}`;
    if (this.#found.get(network.id) !== sentence) log.warn(sentence);
    this.#found.set(network.id, sentence);
    return sentence;
  }

  /** @throws UserError while its subnets are used on this host otherwise */
  requireNone(network: Network): void {
    if (!this.#found.has(network.id)) return;
    const conflict = this.look(network);
    if (conflict === null) return;
    throw new UserError(
      `${conflict}: remove that here, or create the overlay with another --subnet`,
    );
  }

  /** The network is gone. */
  forget(id: string): void {
    this.#found.delete(id);
  }
}
