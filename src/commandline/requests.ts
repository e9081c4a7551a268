import type { AttachmentSpec, NetworkSpec, PeerSpec } from "../rpc/messages.js";
import type { DaemonSettings } from "./daemon-settings.js";
import type { MemberFilter, NetworkFilter, PruneFilter } from "./filters.js";
import type { PublishedPlace, PublishOption } from "./publish-option.js";
import type { Template } from "./template/syntax.js";

/** Which running network a command asks, and how it answers. */
export interface ControlOptions {
  /** Path of its API socket, or the process that serves it; null: the one that is found. */
  readonly socket: string | null;
  /** Name of the guest or member, id of its container, or process; null: none was given. */
  readonly name: string | null;
  /** Whether the output is for programs. */
  readonly json: boolean;
}

/** A port of a namespace. */
export interface GuestPort {
  readonly protocol: PublishedPlace["protocol"];
  readonly port: number;
}

export type ControlRequest =
  | { readonly kind: "status" }
  /** `watch`: seconds between two lists; null for one list. */
  | { readonly kind: "flows"; readonly watch: number | null }
  | { readonly kind: "port-add"; readonly ports: readonly PublishOption[] }
  /** `of`: a port of the namespace; null for all. */
  | { readonly kind: "port-ls"; readonly of: GuestPort | null }
  | {
      readonly kind: "port-rm";
      readonly places: readonly PublishedPlace[];
      readonly kill: boolean;
    };

/** What is asked of the daemon. */
export type DaemonRequest =
  | { readonly action: "create"; readonly spec: NetworkSpec }
  | ListRequest
  | InspectRequest
  /** `force`: those that do not exist are no error. */
  | { readonly action: "remove"; readonly names: readonly string[]; readonly force: boolean }
  | { readonly action: "prune"; readonly filters: readonly PruneFilter[] }
  | {
      readonly action: "connect";
      readonly attachment: AttachmentSpec;
      readonly name: string | null;
      /** A process, a member, or the file of a network namespace. */
      readonly target: string;
    }
  | { readonly action: "disconnect"; readonly network: string; readonly member: string }
  | MembersRequest
  | HostsRequest
  | { readonly action: "add peer"; readonly spec: PeerSpec }
  | PeersRequest
  | { readonly action: "remove peers"; readonly network: string; readonly names: readonly string[] }
  | {
      readonly action: "start";
      readonly servesContainers: boolean;
      readonly settings: DaemonSettings;
    }
  | { readonly action: "stop" }
  | { readonly action: "status"; readonly output: OutputFormat };

export interface ListRequest extends ListOptions {
  readonly action: "list";
  readonly filters: readonly NetworkFilter[];
}

export interface MembersRequest extends ListOptions {
  readonly action: "members";
  readonly filters: readonly MemberFilter[];
  /** How many of those that came last; null: all. */
  readonly last: number | null;
}

export interface HostsRequest extends ListOptions {
  readonly action: "hosts";
}

export interface PeersRequest extends ListOptions {
  readonly action: "peers";
  readonly network: string;
}

/** How a list is shown. */
export interface ListOptions {
  readonly output: OutputFormat;
  /** Whether ids are all that is shown. */
  readonly quiet: boolean;
  /** Whether ids are shown in full. */
  readonly noTrunc: boolean;
}

export interface InspectRequest {
  readonly action: "inspect";
  readonly names: readonly string[];
  /** What the names may be of. */
  readonly type: "any" | "member" | "network";
  readonly output: OutputFormat;
}

export interface DaemonRunConfig {
  readonly readyFd: number | null;
  /** Whether hooks and plugins in the namespaces of containers may ask. */
  readonly servesContainers: boolean;
  readonly settings: DaemonSettings;
}

/** How a command shows what it has found. */
export type OutputFormat =
  /** `table`: the default, whatever it is. */
  | { readonly kind: "json" | "table" }
  /** Of docker's `--format`. `isTable`: its lines are rows below heads, and tabs separate their columns. */
  | { readonly kind: "template"; readonly template: Template; readonly isTable: boolean };
