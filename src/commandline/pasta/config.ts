import type { Address, Family } from "../../base/address.js";
import type { LogLevel } from "../../base/log.js";
import type { Mac } from "../../base/mac.js";
import type { GuestConfig } from "../../config/guest-config.js";
import type { NamespaceTarget, OutboundOption } from "../target.js";
import type { PortForwards } from "./ports.js";

/** What a command line of `pasta` or `passt` asks for: right in itself; whether it fits the machine is seen later. */
export interface PastaConfig {
  readonly target: PastaTarget;
  readonly addressing: Addressing;
  readonly mapping: AddressMapping;
  readonly dns: PastaDns;
  /** What is relayed, and which services answer. */
  readonly protocols: GuestConfig["protocols"];
  readonly services: GuestConfig["services"];
  /** What to send from, by family; null: the kernel chooses. */
  readonly outbound: Readonly<Record<Family, OutboundOption | null>>;
  readonly ports: PortForwards;
  /** Whether loopback clients of published ports arrive at the guest's loopback; otherwise at its address. */
  readonly hostLoopbackToGuestLoopback: boolean;
  /** Whether listeners may have addresses that the host does not have (yet). */
  readonly freebind: boolean;
  /** How ports lead from loopback to loopback: beside the TAP, or through it as all others. */
  readonly splice: "beside the TAP" | "never";
  /** Path at which `pesto` is answered; null: nowhere. */
  readonly controlSocket: string | null;
  readonly isForeground: boolean;
  /** null: none is written. */
  readonly pidFile: string | null;
  /** Whether it goes on when the file of the network namespace is removed. */
  readonly staysWithoutNetns: boolean;
  /** `user[:group]` to become when started as root; null: the usual. */
  readonly runAs: string | null;
  readonly log: PastaLog;
  /** File that gets every frame; null for none. */
  readonly pcap: string | null;
}

/** A command in new namespaces. */
export interface CommandTarget {
  readonly kind: "command";
  /** Empty: the user's shell. */
  readonly command: readonly string[];
  /** Whether it has a PID namespace of its own. */
  readonly ownPids: boolean;
}

/** What is connected. */
export type PastaTarget =
  | NamespaceTarget
  | CommandTarget
  /** passt: a client that connects to this path; null: the first that is free of the usual ones. */
  | { readonly kind: "socket"; readonly path: string | null; readonly isOneOff: boolean }
  /** passt: a connected socket. */
  | { readonly kind: "fd"; readonly fd: number };

/** Which addresses and routes the guest has. */
export interface Addressing {
  /** Both, unless the user leaves one out. */
  readonly families: readonly Family[];
  /** The interface of the host that is copied; null: that with the default route of this family. */
  readonly template: Readonly<Record<Family, string | null>>;
  /** Instead of those of the interface, at most one of each family; length null: as its class or /64 says. */
  readonly addresses: readonly { readonly address: Address; readonly length: number | null }[];
  /** Bits, for the IPv4 address of the interface; null: as it has them. */
  readonly netmask: number | null;
  /** Instead of the interface's gateways, at most one of each family. */
  readonly gateways: readonly Address[];
  /** In the namespace; null: that of the interface that is copied. */
  readonly ifname: string | null;
  /** Bytes; null: none is assigned. */
  readonly mtu: number | null;
  /** Whether addresses and routes are set in the namespace, instead of by DHCP and NDP alone. */
  readonly configure: boolean;
  /** Whether all of the interface's addresses and routes are set, or only the first address and the gateway. */
  readonly copiesAll: Readonly<Record<"addresses" | "routes", boolean>>;
  /** null: random. */
  readonly guestMac: Mac | null;
  /** Slipway's own. */
  readonly gatewayMac: Mac;
  /** Whether the guest follows changes of the host's addresses, routes and resolvers. */
  readonly follows: boolean;
}

/**
 * Addresses of the guest's side that lead to others on the host; null: none does. The newest podman names one address for
 * both: it leads to loopback, as in pasta.
 */
export interface AddressMapping {
  /** --map-host-loopback, --no-map-gw */
  readonly toLoopback: Readonly<Record<Family, Address | "gateway" | null>>;
  /** --map-guest-addr: to the host at the address that the guest shadows. */
  readonly toShadowed: Readonly<Record<Family, Address | null>>;
}

export interface PastaDns {
  /** Where DNS is answered, at most one of each family. */
  readonly forward: readonly Address[];
  /** Whom to ask instead of the host's resolvers, at most one of each family. */
  readonly host: readonly Address[];
  /** What DHCP and router advertisements name; null: the host's; empty: none. */
  readonly announced: readonly Address[] | null;
  /** As `announced`. */
  readonly search: readonly string[] | null;
  /** What DHCP tells the guest to be called; null: nothing. */
  readonly hostname: string | null;
}

export interface PastaLog {
  /** null: stderr, and the system's log in the background. */
  readonly file: string | null;
  readonly level: LogLevel;
}
