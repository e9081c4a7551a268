import { type Address, type Family, LOOPBACK, otherFamily } from "../base/address.js";
import type { Binding } from "../sys/sockets/listening.js";

/** A port of the host that leads to a port of the guest; and to what its socket is bound besides. */
export interface PublishedPort extends Binding {
  readonly protocol: "tcp" | "udp";
  /** The host's address; unspecified for all of its family, or of both (isDualStack). */
  readonly host: Address;
  /** 0 for any free port. */
  readonly hostPort: number;
  readonly guest: Address;
  readonly guestPort: number;
  /**
   * The guest's address of the other family, tried for TCP clients when `guest` fails: a server may listen in
   * one family only, and a client that was accepted does not try the other as it would after a refusal. Of a
   * dual-stack port it is where clients of its own family lead.
   */
  readonly otherwise?: Address;
  /** The guest's own address, if `guest` is that of a machine behind it: frames for that one go there. */
  readonly via?: Address;
  /** Whether it is published only for as long as the guest listens on it (--publish-auto). */
  readonly isAuto?: true;
  /**
   * How clients at the host's loopback get there, beside the TAP, by a socket made inside: to the guest's address, which
   * they then have, too, or to its loopback. Absent: as all other clients.
   */
  readonly splice?: "address" | "loopback";
}

/** A published port in force; its host port is known. */
export interface PublishedRule extends PublishedPort {
  readonly id: number;
}

/** A rule as it is for clients of one family: `guest` is of that family if one of its two addresses is. */
export function ruleFor<Port extends PublishedPort>(port: Port, family: Family): Port {
  const { guest, otherwise } = port;
  if (otherwise?.family !== family || port.isDualStack !== true) return port;
  return { ...port, guest: otherwise, otherwise: guest };
}

/** A rule as it is for clients of one family at the host's loopback. */
export function splicedRule<Port extends PublishedPort>(port: Port, family: Family): Port {
  if (port.splice !== "loopback") return ruleFor(port, family);
  return { ...port, guest: LOOPBACK[family], otherwise: LOOPBACK[otherFamily(family)] };
}

/** Whether a port leads to that address of the guest, for some of its clients. */
export function leadsTo({ guest, otherwise }: PublishedPort, address: Address): boolean {
  return guest.equals(address) || otherwise?.equals(address) === true;
}

/** The port, leading to another address of the guest where it led to one that the guest has no more. */
export function readdressed<Port extends PublishedPort>(
  port: Port,
  from: Address,
  to: Address,
): Port {
  const { guest, otherwise } = port;
  return {
    ...port,
    ...(guest.equals(from) ? { guest: to } : {}),
    ...(otherwise?.equals(from) === true ? { otherwise: to } : {}),
  };
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
