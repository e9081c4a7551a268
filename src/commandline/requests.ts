import type { AttachmentSpec, NetworkSpec } from "../rpc/messages.js";
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

export type ControlRequest =
  | { readonly kind: "status" }
  /** `watch`: seconds between two lists; null for one list. */
  | { readonly kind: "flows"; readonly watch: number | null }
  | { readonly kind: "port-add"; readonly ports: readonly PublishOption[] }
  | { readonly kind: "port-ls" }
  | {
      readonly kind: "port-rm";
      readonly places: readonly PublishedPlace[];
      readonly kill: boolean;
    };

/** What is asked of the daemon. */
export type DaemonRequest =
  | { readonly action: "create"; readonly spec: NetworkSpec }
  | { readonly action: "list"; readonly output: OutputFormat; readonly quiet: boolean }
  | {
      readonly action: "inspect";
      readonly names: readonly string[];
      readonly output: OutputFormat;
    }
  | { readonly action: "remove"; readonly names: readonly string[] }
  | { readonly action: "prune" }
  | {
      readonly action: "connect";
      readonly attachment: AttachmentSpec;
      readonly name: string | null;
      /** A process, a member, or the file of a network namespace. */
      readonly target: string;
    }
  | { readonly action: "disconnect"; readonly network: string; readonly member: string }
  | { readonly action: "members"; readonly output: OutputFormat }
  | { readonly action: "start"; readonly servesContainers: boolean }
  | { readonly action: "stop" }
  | { readonly action: "status"; readonly output: OutputFormat };

export interface DaemonRunConfig {
  readonly readyFd: number | null;
  /** Whether hooks and plugins in the namespaces of containers may ask. */
  readonly servesContainers: boolean;
}

/** How a command shows what it has found. */
export type OutputFormat =
  /** `table`: the default, whatever it is. */
  | { readonly kind: "json" | "table" }
  /** Of docker's `--format`. `isTable`: its lines are rows below heads, and tabs separate their columns. */
  | { readonly kind: "template"; readonly template: Template; readonly isTable: boolean };
