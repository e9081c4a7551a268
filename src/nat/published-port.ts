import type { Address } from "../base/address.js";

/** A port of the host that leads to one of the guest. */
export interface PublishedPort {
  readonly protocol: "tcp" | "udp";
  /** Of the host, or unspecified for all of the family. */
  readonly host: Address;
  /** 0 for any that is free. */
  readonly hostPort: number;
  readonly guest: Address;
  readonly guestPort: number;
  /**
   * Address of the guest's other family, for TCP clients that `guest` refuses: a server may have one
   * family, and a client that was accepted does not try the other as it would after a refusal.
   */
  readonly otherwise?: Address;
}

/** One that is in force: its host port is known. */
export interface PublishedRule extends PublishedPort {
  readonly id: number;
}

/** Where a client that appears as the gateway gets its port when its own is taken: RFC 6335 §6. */
const FIRST_DYNAMIC_PORT = 49_152;
const DYNAMIC_PORTS = 16_384;

/** How many other ports are tried for one client. */
export const PORT_ATTEMPTS = 8;

export function randomPort(): number {
  return FIRST_DYNAMIC_PORT + Math.floor(Math.random() * DYNAMIC_PORTS);
}
