import type { Address } from "../../base/address.js";

/** The ports of -t, -u, -T and -U. */
export interface PortForwards {
  /** Of the host, to the guest. */
  readonly inbound: Readonly<Record<"tcp" | "udp", PortForwarding>>;
  /** Host ports: of the guest's loopback, to the host's. */
  readonly outbound: Readonly<Record<"tcp" | "udp", PortForwarding>>;
}

/**
 * `none`; `all` ports that are not for clients; `auto`: those on which the other side listens, but for `exclude`; or a list.
 */
export type PortForwarding =
  | { readonly mode: "none" }
  | { readonly mode: "all" | "auto"; readonly exclude: readonly PortRange[] }
  | { readonly mode: "listed"; readonly ports: readonly ForwardedPorts[] };

export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** A range of ports of one side, and where it leads on the other. */
export interface ForwardedPorts {
  /** As it was written, with its option, for messages. */
  readonly text: string;
  /** null: all addresses, by one dual-stack listener. */
  readonly address: Address | null;
  /** To which its listeners are bound; null: to none. */
  readonly interface: string | null;
  readonly range: PortRange;
  /** Of the other side, the first one. */
  readonly targetFirst: number;
}
