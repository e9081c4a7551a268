import type { Address, Family } from "../base/address.js";
import type { LogLevel } from "../base/log.js";
import type { Mac } from "../base/mac.js";
import type { AddressPlan } from "../config/address-plan.js";
import type { GuestConfig, Timeouts } from "../config/guest-config.js";
import type { Limits } from "../config/limits.js";
import type { NetworkMode } from "./network-mode.js";
import type { HostRecord } from "./parsing/values.js";
import type { PublishOptions } from "./publish-option.js";
import type { ControlOptions, ControlRequest, DaemonRequest, DaemonRunConfig } from "./requests.js";
import type { NamespaceTarget, OutboundOption } from "./target.js";

/** What a command line asks for. */
export type Invocation =
  | { readonly kind: "print"; readonly text: string }
  | { readonly kind: "run"; readonly config: RunConfig }
  | { readonly kind: "attach"; readonly config: AttachConfig }
  | { readonly kind: "doctor" }
  | { readonly kind: "oci hook" }
  | {
      readonly kind: "control";
      readonly options: ControlOptions;
      readonly request: ControlRequest;
    }
  | { readonly kind: "ask daemon"; readonly request: DaemonRequest }
  | { readonly kind: "run daemon"; readonly config: DaemonRunConfig };

/** What `run` and `attach` have in common: one guest and how it is served. */
export interface GuestOptions {
  readonly network: NetworkOptions;
  readonly publish: PublishOptions;
  readonly apiSocket: ApiSocketOption;
  readonly maxApiClients: number;
  readonly log: LogOptions;
  /** Whether statistics are printed at the end. */
  readonly stats: boolean;
  /** File that gets every frame; null for none. */
  readonly pcap: string | null;
  /** Whether privileges are dropped before the guest's first frame. */
  readonly sandbox: boolean;
  /** Name of the TAP in the namespace. */
  readonly tap: string;
}

/** What the user asked of a guest's network. */
export interface NetworkOptions {
  readonly mtu: number;
  readonly ipv4: AddressPlan;
  readonly ipv6: Ipv6Options;
  readonly hostLoopback: boolean;
  /** null: nothing answers at the DNS address. */
  readonly dns: DnsOptions | null;
  /** What to send from, by family; null: the kernel chooses. */
  readonly outbound: Readonly<Record<Family, OutboundOption | null>>;
  readonly udpFiltering: GuestConfig["udpFiltering"];
  readonly timeouts: Timeouts;
  /** In bytes. */
  readonly memoryBudget: number;
  readonly limits: Limits;
}

export interface Ipv6Options {
  readonly plan: AddressPlan;
  readonly when: "always" | "if the host has it" | "never";
}

export interface DnsOptions {
  /** Empty: the host's. */
  readonly servers: readonly Address[];
  /** Empty: the host's. */
  readonly search: readonly string[];
  readonly records: readonly HostRecord[];
}

export interface RunConfig extends GuestOptions {
  readonly mode: NetworkMode;
  /** By which other members of its networks find it; null: one is chosen. */
  readonly name: string | null;
  /** null: on networks its name, elsewhere the host's. */
  readonly hostname: string | null;
  readonly inside: InsideOptions;
  readonly keepId: boolean;
  /** Whether COMMAND has the user's subordinate ids, too. */
  readonly mapAuto: boolean;
  readonly environment: EnvironmentOptions;
  /** Further options of the guest's resolv.conf. */
  readonly resolverOptions: readonly string[];
  readonly command: readonly [file: string, ...args: string[]];
}

export interface AttachConfig extends GuestOptions {
  readonly target: Target;
  /** Whether lo, TAP, address and route are set, or only the TAP opened. */
  readonly configure: boolean;
  /** Ethernet address of the TAP; null for the one that the kernel chooses. */
  readonly mac: Mac | null;
  readonly readyFd: number | null;
  /** Whether to exit when the namespace's file is removed. */
  readonly exitWithNetns: boolean;
  readonly exitFd: number | null;
  /** Whose words announce on stdout that the network is up. */
  readonly announcement: "slipway" | "slirp4netns";
}

/** What is connected: a namespace, or a link to a guest that the caller has made. */
export type Target =
  | NamespaceTarget
  /** A TAP that is open as this descriptor. */
  | { readonly kind: "tapfd"; readonly fd: number; readonly pid: null }
  /** Whoever connects to this path. */
  | { readonly kind: "bess"; readonly path: string; readonly pid: null };

/** Where API requests are accepted: at a path that the user named, at one of our own choice, or nowhere. */
export type ApiSocketOption = { readonly path: string } | "own" | "none";

export interface LogOptions {
  /** null for stderr. */
  readonly file: string | null;
  /** null: warning on stderr, info in a file. */
  readonly level: LogLevel | null;
  readonly format: "text" | "json";
  readonly linesPerSecond: number;
}

/** What changes in the environment of a command, which is the caller's otherwise. Later ones win. */
export interface EnvironmentOptions {
  /** Files with a variable a line. */
  readonly files: readonly string[];
  /** `NAME=VALUE`; or `NAME`, which changes nothing. */
  readonly variables: readonly string[];
  /** In which it begins; null: that of the caller. */
  readonly directory: string | null;
}

/** What a command in new namespaces sees of the host. */
export interface InsideOptions {
  /** Whether it has a PID namespace of its own; otherwise it sees the host's processes. */
  readonly ownPids: boolean;
  /** Whether it may use Slipway's sockets: that of its own process, and the daemon's. */
  readonly seesApi: boolean;
}
