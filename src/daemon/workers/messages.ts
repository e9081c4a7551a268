import type { Mac } from "../../base/mac.js";
import type { Params } from "../../rpc/messages.js";
import type { FrameCounters } from "../../rpc/reports.js";

/*
 * Messages between the daemon's main thread and the threads that serve networks: plain data, which survives the
 * structured clone. Addresses and prefixes are texts. An attachment is named by the number that attach() gave it.
 */

/** One family of a network. */
export interface SubnetFact {
  /** ADDRESS/LENGTH */
  readonly prefix: string;
  readonly gateway: string;
}

/** A network exists, whichever thread serves it. */
export interface NetworkFact {
  readonly kind: "network";
  readonly id: string;
  /** In lower case. */
  readonly name: string;
  /** IPv4 first. */
  readonly subnets: readonly SubnetFact[];
  /** Whether its members reach each other and nothing else. */
  readonly internal: boolean;
  /** In bytes, without the Ethernet header. */
  readonly mtu: number;
  /** How its packets reach other hosts; null: all its members are on this one. One thread serves all overlays. */
  readonly overlay: OverlayFact | null;
}

export type OverlayFact =
  | { readonly kind: "wireguard" }
  | { readonly kind: "vxlan"; readonly vni: number }
  /** This host's subnet of a flannel network. `vtepMac`: by which other hosts route to it. */
  | {
      readonly kind: "flannel";
      readonly vni: number;
      readonly port: number;
      readonly vtepMac: Mac;
    };

/** The subnet of another host of a flannel network. */
export interface RouteFact {
  readonly kind: "route";
  /** Id of the network. */
  readonly network: string;
  /** ADDRESS/LENGTH */
  readonly subnet: string;
  /** Of the host, on the underlay. */
  readonly address: string;
  readonly vtepMac: Mac;
}

/** Another host of the cluster. */
export interface HostFact {
  readonly kind: "host";
  readonly id: string;
  /** Where this host reaches it. */
  readonly address: string;
  readonly vxlanPort: number;
  readonly wireguardPort: number;
  /** 32 bytes in base64. */
  readonly publicKey: string;
}

/** A member of an overlay that is not on this host. */
export interface RemoteFact {
  readonly kind: "remote";
  /** Id of the network. */
  readonly network: string;
  /** Its own name first, then aliases; in lower case. */
  readonly names: readonly string[];
  readonly addresses: readonly string[];
  readonly mac: Mac;
  readonly location: RemoteLocation;
}

export type RemoteLocation =
  /** Another host, or a WireGuard client of it, by the host's id. */
  | { readonly kind: "host"; readonly host: string }
  | { readonly kind: "vtep"; readonly address: string; readonly port: number }
  /** A WireGuard client of this host. `publicKey`: 32 bytes in base64. */
  | { readonly kind: "wireguard"; readonly publicKey: string };

/** The networks that a member is on: it may resolve their names, and they are looked up in this order. */
export interface MemberFact {
  readonly kind: "member";
  readonly id: string;
  /** Ids. */
  readonly networks: readonly string[];
}

/** The names of an attachment. */
export interface NameFact {
  readonly kind: "name";
  /** Id of the network. */
  readonly network: string;
  /** Its own name first, then aliases; in lower case. */
  readonly names: readonly string[];
  readonly addresses: readonly string[];
}

/** What every thread knows. */
export type Fact = NetworkFact | MemberFact | NameFact | HostFact | RemoteFact | RouteFact;

/** An attachment that is to be served. */
export interface AttachmentConfig {
  /** Id of the network. */
  readonly network: string;
  /** Id of the member. */
  readonly member: string;
  readonly mac: Mac;
  /** At most one a family. */
  readonly addresses: readonly string[];
  readonly hostname: string;
  /** Further names that DNS resolves for the member: in lower case, with their addresses. */
  readonly hosts: readonly (readonly [name: string, addresses: readonly string[]])[];
  /** DNS servers instead of the host's; none: the host's. */
  readonly dns: readonly string[];
  /** Whether the gateway's address leads to the host's loopback. */
  readonly hostLoopback: boolean;
  /** The host's addresses that it sends from, at most one of each family. */
  readonly sources: readonly string[];
  /** The TAP's descriptor, which stays the sender's: threads share the table of descriptors. */
  readonly tap: number;
}

/** Counters of an attachment, and its published ports. */
export interface AttachmentStatistics {
  readonly attachment: number;
  readonly counters: FrameCounters;
  /** By reason. */
  readonly drops: Readonly<Record<string, number>>;
  /** HOST:PORT->PORT/PROTOCOL, as docker ps has it. */
  readonly published: readonly string[];
}

/** The sockets by which overlays reach other hosts: descriptors, which stay the sender's. One of each family at most. */
export interface TunnelConfig {
  readonly vxlan: readonly number[];
  readonly wireguard: readonly number[];
  /** This host's WireGuard key: 32 bytes. */
  readonly privateKey: Uint8Array;
}

/** The socket of a flannel network, which stays the sender's. */
export interface FlannelSocket {
  /** Id of the network. */
  readonly network: string;
  readonly socket: number;
}

/** What the tunnels of this host have done. */
export interface TunnelStatistics {
  readonly counters: FrameCounters;
  /** By reason. */
  readonly drops: Readonly<Record<string, number>>;
}

/** Ports to publish. `listening`: a sock_diag(7) socket of the namespace for `auto`, which stays the sender's. */
export type Publication = Pick<Params<"member.publish">, "ports" | "auto"> & {
  readonly listening: number | null;
};

/** A client that asks about an attachment as at an API socket (src/api). */
export interface ApiClientConfig {
  /** Its socket, which stays the sender's. */
  readonly socket: number;
  /** Name of the interface. */
  readonly ifname: string;
  /** The member's process, or null. */
  readonly pid: number | null;
  /** Whether the attachment is the one whose ports are published. */
  readonly mayPublish: boolean;
}

/** The calls of a thread, with their results. */
export interface Calls {
  /** Serves an attachment from now on. */
  readonly attach: (what: {
    readonly attachment: number;
    readonly config: AttachmentConfig;
  }) => null;
  /** Ends it. @param what.isDrained what the member sent last is passed on before, for 5 s at most */
  readonly detach: (what: { readonly attachment: number; readonly isDrained: boolean }) => null;
  /** @returns a line for each port that was chosen */
  readonly publish: (what: {
    readonly attachment: number;
    readonly publication: Publication;
  }) => readonly string[];
  readonly "serve api": (what: {
    readonly attachment: number;
    readonly client: ApiClientConfig;
  }) => null;
  /** From now on overlays reach other hosts. */
  readonly "open tunnels": (what: TunnelConfig) => null;
  /** From now on a flannel network reaches other hosts, until it is forgotten. */
  readonly "open flannel": (what: FlannelSocket) => null;
  /** null: it has none. */
  readonly "tunnel statistics": (what: null) => TunnelStatistics | null;
  /** Of all attachments. */
  readonly statistics: (what: null) => readonly AttachmentStatistics[];
  /** Answers when all messages before it have taken effect. */
  readonly settle: (what: null) => null;
  /** Ends all attachments. The last call. */
  readonly stop: (what: null) => null;
}

export type CallName = keyof Calls;
export type CallParams<C extends CallName> = Parameters<Calls[C]>[0];
export type CallResult<C extends CallName> = ReturnType<Calls[C]>;

/** One call with its parameters. */
export type Call = {
  [C in CallName]: { readonly name: C; readonly params: CallParams<C> };
}[CallName];

export type ToWorker =
  /** A fact, which replaces the fact under that key. */
  | { readonly kind: "learn"; readonly key: string; readonly fact: Fact }
  | { readonly kind: "forget"; readonly key: string }
  /** The shares of descriptors change: guests came or went, or a guest that has few was refused one (isScarce). */
  | { readonly kind: "make room"; readonly isScarce: boolean }
  | { readonly kind: "call"; readonly number: number; readonly call: Call };

export type FromWorker =
  | { readonly kind: "result"; readonly number: number; readonly result: unknown }
  /** @property isUsers whether the message is a UserError's: the user can do something about it */
  | {
      readonly kind: "failure";
      readonly number: number;
      readonly message: string;
      readonly isUsers: boolean;
    }
  /** "make room" is for the guests of all threads. */
  | { readonly kind: "crowded"; readonly isScarce: boolean }
  /** The ports that are published, in the notation of `--publish`, but for those that are published automatically. */
  | { readonly kind: "ports"; readonly attachment: number; readonly ports: readonly string[] }
  /** An attachment has ended by itself. */
  | { readonly kind: "gone"; readonly attachment: number; readonly why: string };
