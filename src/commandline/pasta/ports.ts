import type { Address } from "../../base/address.js";

export type Protocol = "tcp" | "udp";

/** The ports of -t, -u, -T and -U. Empty: none. */
export interface PortForwards {
  /** Of the host, to the guest. */
  readonly inbound: Readonly<Record<Protocol, readonly ForwardedPorts[]>>;
  /** Host ports: of the guest's loopback, to the host's. */
  readonly outbound: Readonly<Record<Protocol, readonly ForwardedPorts[]>>;
}

export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** A range of ports of one side, and where it leads on the other. An option with a list makes several of them. */
export interface ForwardedPorts {
  /** The option as it was written, such as `-t 192.0.2.2/8099-8099:80-80`, for messages. */
  readonly text: string;
  /** null: all addresses, by one dual-stack listener. */
  readonly address: Address | null;
  /** To which its listeners are bound; null: to none. */
  readonly interface: string | null;
  readonly range: PortRange;
  /** Of the other side, the first one. */
  readonly targetFirst: number;
  /** `auto`: only those on which the other side listens, as long as it does. Ports that an entry without it has are not its. */
  readonly isAutomatic: boolean;
  /**
   * `all`, or exclusions alone: without the ports that the kernel gives to clients, and without those that cannot be had.
   * It fails if none can.
   */
  readonly isBestEffort: boolean;
}
