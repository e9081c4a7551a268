import type { Address } from "../base/address.js";
import { MOST_NAME_SERVERS } from "../config/constants.js";
import type { Upstream } from "../config/dns-config.js";

/**
 * In which order a guest's DNS servers are asked: as configured, but that the one which answered
 * when others failed comes first until it fails itself.
 */
export class NameServers {
  readonly #upstream: Upstream;
  #preferred: Address | null = null;

  constructor(upstream: Upstream) {
    this.#upstream = upstream;
  }

  /** As configured now, at most three. */
  get inOrder(): readonly Address[] {
    const servers = this.#upstream.servers.slice(0, MOST_NAME_SERVERS);
    const preferred = servers.find((server) => this.#preferred?.equals(server) === true);
    if (preferred === undefined) return servers;
    return [preferred, ...servers.filter((server) => server !== preferred)];
  }

  /** A server answered, others before it perhaps did not. */
  prefer(server: Address): void {
    this.#preferred = server;
  }
}
