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
  /** Of a machine behind the guest, in the family of `address`; null: the guest's own. Podman names its containers. */
  readonly targetAddress: Address | null;
  /**
   * `every`: it fails if one cannot be had. `available`, of `all` or exclusions alone: without the ports that the kernel
   * gives to clients, and without those that cannot be had; it fails if none can. `listening`, of `auto`: those on which
   * the other side listens, while it does, without those that cannot be had or that another entry forwards.
   */
  readonly which: "every" | "available" | "listening";
}
