/** Where an etcd is. */
export interface Endpoint {
  /** As the user wrote it, with the scheme: `etcds://store.example:2379`. */
  readonly text: string;
  /** For the Host header and for the certificate: a name or an address. */
  readonly host: string;
  /** An address of `host`. */
  readonly address: string;
  readonly port: number;
}

/**
 * The endpoints of a store. One is used until it fails; the first is chosen by chance, so that the hosts of a cluster
 * spread over its members.
 */
export class Endpoints {
  readonly #all: readonly Endpoint[];
  #current: number;

  /** @param all at least one */
  constructor(all: readonly Endpoint[]) {
    this.#all = all;
    this.#current = Math.floor(Math.random() * all.length);
  }

  get size(): number {
    return this.#all.length;
  }

  get current(): Endpoint {
    return this.#all[this.#current];
  }

  /** All of them, the one in use first. */
  get inOrder(): readonly Endpoint[] {
    return [...this.#all.slice(this.#current), ...this.#all.slice(0, this.#current)];
  }

  /** The next one is used, unless that has happened already. */
  failed(endpoint: Endpoint): void {
    if (this.current === endpoint) this.#current = (this.#current + 1) % this.#all.length;
  }
}
