/**
 * The most that one guest may have of what costs the host something. At a limit that which has been
 * idle for longest goes first, unless said otherwise.
 */
export interface Limits {
  /** TCP connections. */
  readonly flows: number;
  /** TCP connections to, or from, one address and port: the host has one port for each. */
  readonly flowsPerDestination: number;
  /** TCP connections that the host's peer, or the guest, has not answered yet. */
  readonly halfOpen: number;
  /**
   * TCP connections that may begin in a second and come to nothing; further ones wait, as many as may
   * be half-open. Fewer while there is bulk.
   */
  readonly newFlows: number;
  /** Endpoints of UDP and ping with a host socket. */
  readonly mappings: number;
  /**
   * Those that may begin in a second without an answer, as many DNS queries, and requests to each of
   * our other services; what is beyond is dropped. Fewer while there is bulk.
   */
  readonly newMappings: number;
  /** Datagrams of which fragments are missing; less where an eighth of the memory is less. */
  readonly reassemblies: number;
  /** Published ports; further ones are refused. */
  readonly listeners: number;
  /** DNS queries under way. */
  readonly dnsQueries: number;
}

/** What a guest has unless the user says otherwise. */
export const DEFAULT_LIMITS: Limits = {
  flows: 16_384,
  flowsPerDestination: 8_192,
  halfOpen: 1_024,
  newFlows: 8_000,
  mappings: 4_096,
  newMappings: 4_000,
  reassemblies: 32,
  listeners: 4_096,
  dnsQueries: 256,
};
