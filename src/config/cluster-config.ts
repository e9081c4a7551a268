import type { Address } from "../base/address.js";
import type { StoreOptions } from "./store-options.js";

/** Ports of the tunnels, unless the user chooses others: IANA's of VXLAN (RFC 7348 §8), and WireGuard's usual one. */
export const DEFAULT_VXLAN_PORT = 4789;
export const DEFAULT_WIREGUARD_PORT = 51_820;

/** How this host takes part in a cluster. What is right in itself; whether it fits the machine is seen later. */
export interface ClusterConfig {
  readonly store: StoreOptions;
  /** Where other hosts reach this one: at least one, and at most one of each family. IPv4 first. */
  readonly advertise: readonly Address[];
  /** What the tunnels are bound to, at most one of each family; of a family without one: the advertised address. */
  readonly listen: readonly Address[];
  readonly vxlanPort: number;
  readonly wireguardPort: number;
}
