import type { Address } from "../base/address.js";

/** Ports of the tunnels, unless the user chooses others: IANA's of VXLAN (RFC 7348 §8), and WireGuard's usual one. */
export const DEFAULT_VXLAN_PORT = 4789;
export const DEFAULT_WIREGUARD_PORT = 51_820;

/** What keys of ours begin with in a store, unless the user chooses something else. */
export const DEFAULT_STORE_PREFIX = "/slipway/v1/";

/** How this host takes part in a cluster. What is right in itself; whether it fits the machine is seen later. */
export interface ClusterConfig {
  readonly store: StoreConfig;
  /** Where other hosts reach this one: at least one, and at most one of each family. */
  readonly advertise: readonly Address[];
  /** What the tunnels are bound to, at most one of each family; of a family without one: any address of the host. */
  readonly listen: readonly Address[];
  readonly vxlanPort: number;
  readonly wireguardPort: number;
}

export type StoreConfig =
  | EtcdConfig
  /** @property path absolute */
  | { readonly kind: "file"; readonly path: string };

export interface EtcdConfig {
  readonly kind: "etcd";
  /** Members of one etcd cluster: at least one. `host`: a name or an address, which has no brackets here. */
  readonly endpoints: readonly { readonly host: string; readonly port: number }[];
  /** null: without TLS. */
  readonly tls: EtcdTls | null;
  /** null: nobody in particular. */
  readonly user: { readonly name: string; readonly password: string } | null;
  /** It begins and ends with a slash. */
  readonly prefix: string;
}

/** PEM texts, as read from the user's files. */
export interface EtcdTls {
  /** Of the authorities that may have signed the server's certificate; null: the system's. */
  readonly ca: string | null;
  /** What the server knows us by; null: nothing. */
  readonly client: { readonly cert: string; readonly key: string } | null;
}
