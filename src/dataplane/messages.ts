import type { Mac } from "../base/mac.js";
import type { Params, PortCounters } from "../protocol/messages.js";

/*
 * What the daemon's main thread and those that serve networks say to each other: plain data, which survives
 * the structured clone. Addresses and prefixes are texts.
 */

/** One family of a network. */
export interface SubnetFact {
  /** ADDRESS/LENGTH */
  readonly prefix: string;
  readonly gateway: string;
}

/** A network: that it is there, whoever serves it. */
export interface NetworkFact {
  readonly kind: "network";
  readonly id: string;
  /** IPv4 first. */
  readonly subnets: readonly SubnetFact[];
  /** Nothing outside of it is reached. */
  readonly internal: boolean;
  /** In bytes, without the Ethernet header. */
  readonly mtu: number;
}

/** On which networks a member is: those whose names it may know, in the order in which they are asked. */
export interface MemberFact {
  readonly kind: "member";
  readonly id: string;
  /** Ids. */
  readonly networks: readonly string[];
}

/** What a place on a network is called. */
export interface NameFact {
  readonly kind: "name";
  /** Its id. */
  readonly network: string;
  /** Its own name first, then aliases; labels in lower case. */
  readonly names: readonly string[];
  readonly addresses: readonly string[];
}

/** What every thread knows. */
export type Fact = NetworkFact | MemberFact | NameFact;

/** A place on a network that is to be served. */
export interface PortConfig {
  /** Its id. */
  readonly network: string;
  /** The id of the member whose place it is. */
  readonly member: string;
  readonly mac: Mac;
  /** At most one a family. */
  readonly addresses: readonly string[];
  readonly hostname: string;
  /** What more the member is told by DNS: names in lower case, with their addresses. */
  readonly hosts: readonly (readonly [name: string, addresses: readonly string[]])[];
  /** DNS servers in the place of the host's; none: the host's. */
  readonly dns: readonly string[];
  /** Whether the gateway's address leads to the host's loopback. */
  readonly hostLoopback: boolean;
  /** Number of the TAP's descriptor, which stays the sender's. */
  readonly tap: number;
}

/** What has been counted of a place, and what is published of it. */
export interface PortState {
  readonly port: number;
  readonly counters: PortCounters;
  /** By reason. */
  readonly drops: Readonly<Record<string, number>>;
  /** HOST:PORT->PORT/PROTOCOL, as docker ps has it. */
  readonly published: readonly string[];
}

/** What a port is to publish; a socket that tells what listens in its namespace stays the sender's. */
export type Publication = Pick<Params<"member.publish">, "ports" | "auto"> & {
  readonly listening: number | null;
};

/** What a thread can be asked to do, with what it answers. A port has the number that it was added by. */
export interface Calls {
  /** Serves a place from now on. */
  readonly add: (what: { readonly port: number; readonly config: PortConfig }) => null;
  /** Ends that. @param what.isDrained what the member sent last is passed on before, for 5 s at most */
  readonly remove: (what: { readonly port: number; readonly isDrained: boolean }) => null;
  /** @returns a line for each port that was chosen */
  readonly publish: (what: {
    readonly port: number;
    readonly publication: Publication;
  }) => readonly string[];
  /** Of all ports. */
  readonly states: (what: null) => readonly PortState[];
  /** Answers when all that was said before has taken effect. */
  readonly settle: (what: null) => null;
  /** Ends all of its guests; nothing comes after it. */
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
  /** From now on this is so, in the place of what was said under that key. */
  | { readonly kind: "learn"; readonly key: string; readonly fact: Fact }
  | { readonly kind: "forget"; readonly key: string }
  /** Of descriptors: there are more guests, or fewer, or one that has little was refused (isScarce). */
  | { readonly kind: "make room"; readonly isScarce: boolean }
  | { readonly kind: "call"; readonly number: number; readonly call: Call };

export type FromWorker =
  | { readonly kind: "result"; readonly number: number; readonly result: unknown }
  /** @property isUsers whether the user can mend it: a UserError's */
  | {
      readonly kind: "failure";
      readonly number: number;
      readonly message: string;
      readonly isUsers: boolean;
    }
  /** As "make room", for the guests of all threads. */
  | { readonly kind: "crowded"; readonly isScarce: boolean }
  /** A port has ended by itself. */
  | { readonly kind: "gone"; readonly port: number; readonly why: string };
