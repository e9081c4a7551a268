import type { Address } from "../base/address.js";
import { MOST_NAME_SERVERS } from "../config/constants.js";
import type { Upstream } from "../config/dns-config.js";

/**
 * The order in which a guest's name servers are asked: as configured, except that the server that answered
 * last comes first.
 */
export class NameServers {
  readonly #upstream: Upstream;
  #preferred: Address | null = null;

  constructor(upstream: Upstream) {
    this.#upstream = upstream;
  }

  /** At most three of the servers that are configured now. */
  get inOrder(): readonly Address[] {
    const servers = this.#upstream.servers.slice(0, MOST_NAME_SERVERS);
    const preferred = servers.find((server) => this.#preferred?.equals(server) === true);
    if (preferred === undefined) return servers;
    return [preferred, ...servers.filter((server) => server !== preferred)];
  }

  /** Puts a server that answered first. */
  prefer(server: Address): void {
    this.#preferred = server;
  }
}
