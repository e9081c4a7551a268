/**
 * Limits on what one guest may hold of the host's resources. At a limit, the entry that has been idle longest is closed
 * for the new one, unless the field says otherwise.
 */
export interface Limits {
  /** TCP connections. */
  readonly flows: number;
  /** TCP connections to or from one address and port: each uses a port of the host. */
  readonly flowsPerDestination: number;
  /** TCP connections that are not established yet. */
  readonly halfOpen: number;
  /**
   * TCP connections that may begin per second without being established; further ones wait, at most `halfOpen` of them.
   * Lower while there is bulk traffic.
   */
  readonly newFlows: number;
  /** UDP ports and ping identifiers with a host socket. */
  readonly mappings: number;
  /**
   * Mappings that may begin per second without an answer; also DNS queries, and requests to each other service, per
   * second. What exceeds it is dropped. Lower while there is bulk traffic.
   */
  readonly newMappings: number;
  /** Datagrams under reassembly; their fragments take at most an eighth of the memory budget. */
  readonly reassemblies: number;
  /** Published ports; further ones are refused. */
  readonly listeners: number;
  /** Outstanding DNS queries. */
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
