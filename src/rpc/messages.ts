import * as v from "valibot";
import { FULL_ID, HIGHEST_PID, LONGEST_TEXT, MOST_TEXTS, MTU_RANGE } from "../config/constants.js";
import { sentenceOf, wholeNumber } from "./issue.js";

/** Incremented with each incompatible change. */
export const PROTOCOL_VERSION = 4;

/** Longest line of either side, in bytes. */
export const LONGEST_LINE = 1 << 20;

/** Networks that one request can remove. */
const MOST_PRUNED = 4096;

export const text = v.pipe(v.string(), v.maxLength(LONGEST_TEXT));
const texts = v.pipe(v.array(text), v.maxLength(MOST_TEXTS));
const flag = v.optional(v.boolean(), false);
export const pairs = v.record(text, text);
export const mtu = wholeNumber(MTU_RANGE.least, MTU_RANGE.most);

const pid = wholeNumber(1, HIGHEST_PID);
const serial = wholeNumber(1, Number.MAX_SAFE_INTEGER);

/** What carries a network: the daemon alone, or tunnels between the hosts of a cluster, or of a flannel network. */
export const DRIVERS = ["bridge", "overlay", "flannel"] as const;

/** A network to create. Addresses and prefixes are text. */
const networkSpec = v.object({
  name: text,
  driver: v.optional(v.picklist(DRIVERS, "must be bridge, overlay or flannel"), "bridge"),
  /** At most one of each family; none: the daemon chooses. */
  subnets: v.optional(texts, []),
  gateways: v.optional(texts, []),
  ranges: v.optional(texts, []),
  /** Whether the network has the family; null: IPv4 yes, IPv6 if a subnet of it is given. */
  ipv4: v.nullish(v.boolean(), null),
  ipv6: v.nullish(v.boolean(), null),
  /** Whether members reach each other only. */
  internal: flag,
  /** null: the driver's. */
  mtu: v.nullish(mtu, null),
  labels: v.optional(pairs, {}),
  options: v.optional(pairs, {}),
});
export type NetworkSpec = v.InferInput<typeof networkSpec>;

/** An attachment that a client requests. */
const attachmentSpec = v.object({
  network: text,
  /** At most one of each family; none: the next free ones. */
  addresses: v.optional(texts, []),
  mac: v.nullish(text, null),
  aliases: v.optional(texts, []),
  /** Name of the interface; null: the first free one of eth0, eth1 and so on. */
  ifname: v.nullish(text, null),
});
export type AttachmentSpec = v.InferInput<typeof attachmentSpec>;

/** A network namespace: its files, and how to recognise it. */
export const namespaceRef = v.object({
  netns: text,
  userns: v.nullish(text, null),
  /** Device and inode of the network namespace. */
  id: text,
  /** The process that names it, and its start time (starttime of proc_pid_stat(5), in clock ticks). */
  pid: v.nullish(pid, null),
  started: v.nullish(text, null),
});
export type NamespaceRef = v.InferOutput<typeof namespaceRef>;

export const joinSpec = v.object({
  /** Id from an earlier daemon; null: a new one. */
  id: v.nullish(v.pipe(v.string(), v.regex(FULL_ID, "must be 64 hexadecimal digits")), null),
  /** Name of the member; null: that of the member in this namespace, or the first digits of the id. */
  name: v.nullish(text, null),
  hostname: v.nullish(text, null),
  namespace: v.nullish(namespaceRef, null),
  /** Whether the member outlives this client's connection, and is restored by the next daemon. */
  stays: flag,
  /** None: a member that has lost all its networks, and joins the next daemon. */
  attachments: v.pipe(v.array(attachmentSpec), v.maxLength(64)),
  /**
   * Whether the client keeps the member's TAPs. It then gets a DaemonEvent for each attachment that comes or goes, confirms
   * it by member.confirm, and says by member.started when the interfaces that it makes are there.
   */
  keepsTaps: flag,
  /** Additional names that DNS resolves for it, as NAME=ADDRESS, or NAME=host-gateway for this host's address. */
  hosts: v.optional(texts, []),
  /** DNS servers instead of the host's. */
  dns: v.optional(texts, []),
  hostLoopback: flag,
  /** The host's addresses that it sends from, at most one of each family; a family without one: the kernel chooses. */
  sources: v.optional(texts, []),
  /** Labels by which the client finds it; added to those of an existing member. */
  labels: v.optional(pairs, {}),
});
export type JoinSpec = v.InferInput<typeof joinSpec>;

const byName = v.object({ name: text });

/** A machine without Slipway that becomes a member of an overlay. */
const peerSpec = v.object({
  network: text,
  name: text,
  /** At most one of each family. A WireGuard client gets free ones for those that are missing, a VTEP none. */
  addresses: v.optional(texts, []),
  /** Of a VTEP only: its Ethernet address in the network. */
  mac: v.nullish(text, null),
  /** Where the VXLAN device of a VTEP is: ADDRESS or ADDRESS:PORT. null: the machine is a WireGuard client. */
  vtep: v.nullish(text, null),
});
export type PeerSpec = v.InferInput<typeof peerSpec>;

/** Every method with the schema of its parameters. */
export const methods = {
  status: v.object({}),
  stop: v.object({}),
  "network.create": networkSpec,
  "network.list": v.object({}),
  "network.inspect": byName,
  "network.remove": byName,
  /** Removes networks without members: all of them, or those of these ids. */
  "network.prune": v.object({
    only: v.nullish(v.pipe(v.array(text), v.maxLength(MOST_PRUNED)), null),
  }),
  /** The hosts of the cluster. */
  "host.list": v.object({}),
  "peer.add": peerSpec,
  "peer.list": v.object({ network: text }),
  "peer.remove": v.object({ network: text, name: text }),
  "member.list": v.object({}),
  /** Reserves names and addresses; service begins with member.attach. */
  "member.join": joinSpec,
  /** The TAP of one attachment is passed with the request. */
  "member.attach": v.object({
    member: text,
    network: text,
    ifname: text,
    namespace: v.nullish(namespaceRef, null),
  }),
  "member.publish": v.object({
    member: text,
    ports: texts,
    /**
     * Publishes also the ports on which the member listens, except `exclude`; null: does not. A NETLINK_SOCK_DIAG
     * socket of its namespace is passed with the request (sock_diag(7)).
     */
    auto: v.nullish(v.object({ exclude: text, hosts: v.optional(texts, []) }), null),
  }),
  /**
   * A stream socket is passed with the request. At its other end the member's guest answers one request as at an API
   * socket (docs/api.md); `network`: at which attachment, null: at the one whose ports are published.
   */
  "member.api": v.object({ member: text, network: v.nullish(text, null) }),
  /** The member is named by its name, its id, or the PID of its process or of its client. */
  "member.disconnect": v.object({ network: text, member: text }),
  /**
   * Finds a member by its name or id, or by the PID of its process or of its client.
   * `waits`: until the interfaces are there that its client makes.
   */
  "member.locate": v.object({
    name: v.nullish(text, null),
    process: v.nullish(pid, null),
    waits: flag,
  }),
  "member.started": v.object({ member: text, namespace: namespaceRef }),
  "member.confirm": v.object({ serial }),
} as const;

export type Method = keyof typeof methods;
export type Params<M extends Method> = v.InferOutput<(typeof methods)[M]>;
export type ParamsInput<M extends Method> = v.InferInput<(typeof methods)[M]>;

/** An attachment with the values that the daemon chose. */
const givenAttachment = v.object({
  network: text,
  /** null: the client chooses. */
  ifname: v.nullable(text),
  mac: text,
  mtu,
  internal: v.boolean(),
  aliases: texts,
  /** One of each family. `subnet`: ADDRESS/LENGTH */
  addresses: v.pipe(
    v.array(v.object({ address: text, subnet: text, gateway: text })),
    v.maxLength(2),
  ),
});
export type GivenAttachment = Immutable<v.InferOutput<typeof givenAttachment>>;

/** All of it read-only. */
type Immutable<T> = T extends object ? { readonly [K in keyof T]: Immutable<T[K]> } : T;

export interface GivenMember {
  readonly id: string;
  readonly name: string;
  readonly attachments: readonly GivenAttachment[];
  /** As NAME=ADDRESS. */
  readonly hosts: readonly string[];
}

/** `auto`: the client is to publish again the ports on which the member listens. */
const attachmentEvent = v.variant("kind", [
  /** An attachment was ended: its TAP is to be closed. */
  v.object({ kind: v.literal("detached"), network: text, auto: v.boolean() }),
  /** Another client has made an attachment. Its TAP comes along, unless the connection was full. */
  v.object({ kind: v.literal("attached"), attachment: givenAttachment, auto: v.boolean() }),
  /** Ports of the member that are published by now, in the notation of `--publish`, but for automatic ones. */
  v.object({ kind: v.literal("published"), ports: v.array(text) }),
]);
export type AttachmentEvent = Immutable<v.InferOutput<typeof attachmentEvent>>;

/** What a client that keeps TAPs is told, in the order of the changes. It confirms each by its serial number. */
const eventSchema = v.object({ event: attachmentEvent, serial });
export type DaemonEvent = Immutable<v.InferOutput<typeof eventSchema>>;

/** How the line of an event begins; no answer begins like this. */
const EVENT_START = '{"event":';

/** @returns null when the line is none */
export function parseEvent(line: string): DaemonEvent | null {
  if (!line.startsWith(EVENT_START)) return null;
  const parsed = v.safeParse(eventSchema, parseJson(line));
  return parsed.success ? parsed.output : null;
}

/** With which a daemon ends where another runs, or starts. */
export const ALREADY_RUNNING = "the daemon is already running: slipway daemon status";

/** Line for clients before the daemon ends on request, so that they do not start another. */
export const STOPPING = JSON.stringify({ event: "stopping" });

const requestSchema = v.object({
  v: v.number(),
  method: v.string(),
  params: v.optional(v.unknown(), {}),
});

export interface Request {
  readonly version: number;
  readonly method: string;
  readonly params: unknown;
}

/** @returns null when the line is not a request */
export function parseRequest(line: string): Request | null {
  const parsed = v.safeParse(requestSchema, parseJson(line));
  if (!parsed.success) return null;
  const { v: version, method, params } = parsed.output;
  return { version, method, params };
}

export function isMethod(method: string): method is Method {
  return Object.hasOwn(methods, method);
}

/** @returns the parameters with their defaults, or what is wrong with them */
export function checkParams<M extends Method>(method: M, params: unknown): Params<M> | string {
  const result = v.safeParse(methods[method], params, { abortEarly: true });
  if (result.success) return result.output as Params<M>;
  return sentenceOf(result.issues[0], "params");
}

const warnings = v.optional(texts, []);
const answerSchema = v.union([
  v.object({ error: v.object({ message: v.string() }), warnings }),
  v.object({ result: v.unknown(), warnings }),
]);

/** The daemon's answer: the result, or an error with a sentence for the user; and sentences to warn the user with. */
export type Answer = { readonly warnings: readonly string[] } & (
  | { readonly result: unknown }
  | { readonly error: { readonly message: string } }
);

/** @returns null when the line is not an answer */
export function parseAnswer(line: string): Answer | null {
  const parsed = v.safeParse(answerSchema, parseJson(line));
  return parsed.success ? parsed.output : null;
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
