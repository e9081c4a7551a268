import {
  closeSync,
  fsyncSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from "node:fs";
import * as v from "valibot";
import { Prefix } from "../../base/address.js";
import { errnoOf, UserError } from "../../base/errors.js";
import { BROADCAST_MAC, formatMac } from "../../base/mac.js";
import { FULL_ID } from "../../config/constants.js";
import { DEFAULT_LIMITS } from "../../config/limits.js";
import { isValidName, shortId } from "../../config/names.js";
import { address } from "../../rpc/address.js";
import { joinSpec, mtu, namespaceRef, pairs, text } from "../../rpc/messages.js";
import { formatHosts } from "../hosts.js";
import type { Member } from "../member.js";
import type { Network, NetworkDefinition } from "../network.js";

/** Of the file. A file of another version is handled as a damaged one. */
const STATE_VERSION = 2;

const PRIVATE = 0o600;

/** Largest file that is read, in bytes; each member takes a few hundred. */
const MOST_BYTES = 16 << 20;

/** The last time that a Date can hold, in milliseconds since 1970. */
const LAST_TIME = 8.64e15;

/** Offset in a range of addresses: AddressPool counts 32 bits. */
const LAST_OFFSET = 2 ** 32;

const MOST_NETWORKS = 1024;
/** A VNI has 24 bits. */
const LAST_VNI = 0xff_ffff;
const MOST_MEMBERS = 4096;

const prefix = v.pipe(v.string(), v.transform(Prefix.parse));
const whole = v.pipe(v.number(), v.integer());

const subnetState = v.pipe(
  v.object({ prefix, gateway: address, range: prefix }),
  v.check(({ prefix, gateway, range }) => prefix.contains(gateway) && prefix.covers(range)),
);

const vni = v.pipe(whole, v.minValue(1), v.maxValue(LAST_VNI));

/** As `NetworkDefinition.flannel`. */
const flannelState = v.object({
  prefix: v.pipe(v.string(), v.regex(/^(\/[\w.-]+)+$/)),
  vni,
  port: v.pipe(whole, v.minValue(1), v.maxValue(65_535)),
  vtepMac: v.pipe(whole, v.minValue(1), v.maxValue(BROADCAST_MAC - 1)),
});

const networkState = v.object({
  id: v.pipe(v.string(), v.regex(FULL_ID)),
  name: v.pipe(
    v.string(),
    v.check((name) => isValidName("name", name)),
  ),
  created: v.pipe(whole, v.minValue(0), v.maxValue(LAST_TIME)),
  subnets: v.pipe(
    v.array(subnetState),
    v.minLength(1),
    v.maxLength(2),
    v.check((subnets) => areOfTwoFamilies(subnets)),
  ),
  internal: v.boolean(),
  mtu,
  labels: pairs,
  options: pairs,
  last: v.pipe(v.array(v.pipe(whole, v.minValue(-1), v.maxValue(LAST_OFFSET))), v.maxLength(2)),
  flannel: v.optional(flannelState),
});

const carriage = v.variant("kind", [
  v.object({ kind: v.literal("wireguard") }),
  v.object({
    kind: v.literal("vxlan"),
    vni,
  }),
]);

const overlayState = v.object({ ...networkState.entries, carriage });

const memberState = v.object({
  ...joinSpec.entries,
  attachments: v.pipe(joinSpec.entries.attachments, v.minLength(1)),
  published: v.optional(v.pipe(v.array(text), v.maxLength(DEFAULT_LIMITS.listeners)), []),
});

/** Of a member whose client joins the next daemon again: it may be on no network, and its namespace is a process's. */
const awaitedState = v.object({
  ...memberState.entries,
  attachments: joinSpec.entries.attachments,
  namespace: v.object({
    ...namespaceRef.entries,
    pid: v.nonNullish(namespaceRef.entries.pid),
    started: v.nonNullish(namespaceRef.entries.started),
  }),
});

/** One that is wrong costs no network and no other. */
const awaitedStates = v.pipe(
  v.array(v.unknown()),
  v.maxLength(MOST_MEMBERS),
  v.transform((states) => states.filter((state) => v.is(awaitedState, state))),
  v.array(awaitedState),
);

/** Checked as hostile input: whoever took over the last daemon may have written it. */
const stateSchema = v.object({
  version: v.literal(STATE_VERSION),
  networks: v.pipe(
    v.array(networkState),
    v.maxLength(MOST_NETWORKS),
    v.check((networks) => haveOwnNames(networks)),
  ),
  /** Of the cluster, as far as members of this host are on them. Missing in files of earlier versions. */
  overlays: v.optional(
    v.pipe(
      v.array(overlayState),
      v.maxLength(MOST_NETWORKS),
      v.check((overlays) => haveOwnNames(overlays)),
    ),
    [],
  ),
  members: v.pipe(v.array(memberState), v.maxLength(MOST_MEMBERS)),
  /** Missing in files of earlier versions. */
  awaited: v.optional(awaitedStates, []),
});

function areOfTwoFamilies(subnets: readonly { readonly prefix: Prefix }[]): boolean {
  return new Set(subnets.map(({ prefix }) => prefix.address.family)).size === subnets.length;
}

function haveOwnNames(
  networks: readonly { readonly id: string; readonly name: string }[],
): boolean {
  const names = new Set(networks.flatMap(({ id, name }) => [id, name]));
  return names.size === 2 * networks.length;
}

/** What is read of it: networks, members that stay, and what is reserved for members that are to join again. */
export interface State {
  readonly networks: readonly {
    readonly definition: NetworkDefinition;
    readonly last: readonly number[];
  }[];
  /** What is known of them until the cluster says more. */
  readonly overlays: readonly NetworkDefinition[];
  readonly members: readonly MemberState[];
  readonly awaited: readonly AwaitedState[];
}

/** What is written. `overlays`: those of the cluster that the next daemon needs before it has heard of the cluster. */
export interface Lasting {
  readonly networks: readonly Network[];
  readonly overlays: readonly Network[];
  readonly members: readonly Member[];
}

/** The request of member.join that gives a member what it has, and its published ports. */
export type MemberState = v.InferOutput<typeof memberState>;
export type AwaitedState = v.InferOutput<typeof awaitedState>;

/**
 * Reads the state. A file that is damaged, or of another version, is renamed and kept.
 * @returns the state, and a warning for the user, or null
 * @throws UserError when the file cannot be read, or not be renamed
 */
export function readState(path: string): { state: State; warning: string | null } {
  const nothing: State = { networks: [], overlays: [], members: [], awaited: [] };
  let text: string;
  try {
    text = statSync(path).size > MOST_BYTES ? "" : readFileSync(path, "utf8");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return { state: nothing, warning: null };
    throw new UserError(
      `cannot read ${path} (${errnoOf(error)}): chown it to you, or move it away`,
    );
  }
  const state = parseState(text);
  if (state !== null) return { state, warning: null };
  const aside = `${path}.damaged-${Date.now()}`;
  putAside(path, aside);
  const warning = `the state file was damaged, or is of another version: it was renamed to ${aside}, and its networks are gone`;
  return { state: nothing, warning };
}

function putAside(path: string, aside: string): void {
  try {
    renameSync(path, aside);
  } catch (error) {
    throw new UserError(
      `${path} is damaged, or of another version, and cannot be renamed to ${aside} (${errnoOf(error)}): move it away`,
    );
  }
}

/**
 * Writes the state. Whenever this fails or the process ends, the file is the old or the new one, whole.
 * @param isDurable whether it must survive a loss of power: networks must, members do not
 * @throws UserError when the disk is full, or the directory cannot be written
 */
export function writeState(
  path: string,
  { networks, overlays, members }: Lasting,
  isDurable: boolean,
): void {
  const text = JSON.stringify({
    version: STATE_VERSION,
    networks: networks.map(networkText),
    overlays: overlays.map(networkText),
    members: members.filter(({ stays }) => stays).map(memberText),
    awaited: members.filter(isToJoinAgain).map(memberText),
  });
  try {
    writeFile(`${path}.new`, `${text}\n`, isDurable);
    renameSync(`${path}.new`, path);
  } catch (error) {
    const code = errnoOf(error);
    const advice =
      code === "ENOSPC" || code === "EDQUOT"
        ? "the disk is full: make room"
        : "check the permissions of its directory";
    throw new UserError(`cannot write ${path} (${code}): ${advice}; nothing was changed`);
  }
}

/** #syscalls daemon: openat open fsync rename renameat renameat2 unlink unlinkat lseek pread64 */
function writeFile(path: string, text: string, isDurable: boolean): void {
  const file = openSync(path, "w", PRIVATE);
  try {
    writeFileSync(file, text);
    if (isDurable) fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function parseState(text: string): State | null {
  try {
    const { networks, overlays, members, awaited } = v.parse(stateSchema, JSON.parse(text));
    return {
      networks: networks.map(({ last, ...definition }) => ({
        definition: { ...definition, carriage: null },
        last,
      })),
      overlays: overlays.map(({ last, ...definition }) => definition),
      members,
      awaited,
    };
  } catch {
    // Not JSON, not of this schema, or with malformed addresses.
    return null;
  }
}

function networkText({ definition, last }: Network): object {
  const subnets = definition.subnets.map(({ prefix, gateway, range }) => ({
    prefix: `${prefix}`,
    gateway: `${gateway}`,
    range: `${range}`,
  }));
  return { ...definition, subnets, last };
}

/** Whether its client is to join the next daemon: one that is not up yet ends with this one. */
function isToJoinAgain({ keepsTaps, stays, namespace, awaitedIn }: Member): boolean {
  return keepsTaps && !stays && (namespace ?? awaitedIn)?.pid != null;
}

/** A member as a MemberState or AwaitedState. */
function memberText(member: Member): object {
  const { id, name, hostname, namespace, awaitedIn, hosts, dns, hostLoopback, labels } = member;
  const { stays, keepsTaps, sources } = member;
  return {
    id,
    name,
    hostname,
    namespace: namespace ?? awaitedIn,
    stays,
    keepsTaps,
    hostLoopback,
    sources: sources.map(String),
    labels,
    published: member.publishing,
    hosts: formatHosts(hosts),
    dns: dns.map(String),
    attachments: member.attachments.map(({ network, identity, named, ifname }) => ({
      // A network of this host may have the name of an overlay.
      network: network.definition.carriage === null ? network.name : network.id,
      addresses: identity.addresses.map(String),
      mac: formatMac(identity.mac),
      aliases: named.names.slice(1).filter((each) => each !== shortId(id)),
      ifname,
    })),
  };
}
