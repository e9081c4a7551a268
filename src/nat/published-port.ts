import type { Address } from "../base/address.js";

/** A port of the host that leads to a port of the guest. */
export interface PublishedPort {
  readonly protocol: "tcp" | "udp";
  /** The host's address; unspecified for all of its family. */
  readonly host: Address;
  /** 0 for any free port. */
  readonly hostPort: number;
  readonly guest: Address;
  readonly guestPort: number;
  /**
   * The guest's address of the other family, tried for TCP clients when `guest` fails: a server may listen in
   * one family only, and a client that was accepted does not try the other as it would after a refusal.
   */
  readonly otherwise?: Address;
  /** Whether it is published only for as long as the guest listens on it (--publish-auto). */
  readonly isAuto?: true;
}

/** A published port in force; its host port is known. */
export interface PublishedRule extends PublishedPort {
  readonly id: number;
}

/** Dynamic ports (RFC 6335 §6), for clients that appear as the gateway when their own port is taken. */
const FIRST_DYNAMIC_PORT = 49_152;
const DYNAMIC_PORTS = 16_384;

/** How many other ports are tried for a client. */
export const PORT_ATTEMPTS = 8;

/** @returns a port, 49152..65535 */
export function randomPort(): number {
  return FIRST_DYNAMIC_PORT + Math.floor(Math.random() * DYNAMIC_PORTS);
}
