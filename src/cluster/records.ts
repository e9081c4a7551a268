import type { Address, Prefix } from "../base/address.js";
import type { Mac } from "../base/mac.js";
import type { MemberSubnet } from "../network/plans.js";

/** A host of the cluster, as it announces itself. */
export interface HostRecord {
  /** 64 hexadecimal digits, kept in its state folder. */
  readonly id: string;
  /** Its hostname, which need not be unique. */
  readonly name: string;
  /** At most one of each family: where others reach it. */
  readonly addresses: readonly Address[];
  readonly vxlanPort: number;
  readonly wireguardPort: number;
  /** Its WireGuard key: 32 bytes in base64. */
  readonly publicKey: string;
  /** Of Slipway. */
  readonly version: string;
}

/** How an overlay's packets reach another host. */
export type Carriage =
  | { readonly kind: "wireguard" }
  | { readonly kind: "vxlan"; readonly vni: number };

/** A network of the cluster. */
export interface NetworkRecord {
  /** 64 hexadecimal digits. */
  readonly id: string;
  readonly name: string;
  /** Milliseconds since 1970. */
  readonly created: number;
  /** IPv4 first. `range`: the part of the subnet that addresses are chosen from. */
  readonly subnets: readonly (MemberSubnet & { readonly range: Prefix })[];
  readonly internal: boolean;
  readonly mtu: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly options: Readonly<Record<string, string>>;
  readonly carriage: Carriage;
}

/** Where a member's packets go. */
export type Location =
  /** A host of the cluster, by its id. */
  | { readonly kind: "host"; readonly host: string }
  /** A machine with a VXLAN device of its own. */
  | { readonly kind: "vtep"; readonly address: Address; readonly port: number }
  /** A WireGuard client of a host, which the others reach it through. `publicKey`: 32 bytes in base64. */
  | { readonly kind: "wireguard"; readonly host: string; readonly publicKey: string };

/** A member of an overlay, on any host; or a peer, which has no Slipway. */
export interface MemberRecord {
  /** Id of the network. */
  readonly network: string;
  /** Id of the member: 64 hexadecimal digits. */
  readonly id: string;
  /** Its own name first, then aliases; in lower case. */
  readonly names: readonly string[];
  /** One of each family of the network; a VTEP peer may have fewer. */
  readonly addresses: readonly Address[];
  readonly mac: Mac;
  readonly location: Location;
}
