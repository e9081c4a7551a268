import { UserError } from "../../base/errors.js";
import { log } from "../../base/log.js";
import type { GivenMember, Params } from "../../rpc/messages.js";
import { hasEnded } from "../../rpc/namespaces.js";
import { native } from "../../sys/native.js";
import type { TapStore } from "../../sys/tap-store.js";
import { storeName } from "../attachment.js";
import type { Overlays } from "../cluster/overlays.js";
import type { Member } from "../member.js";
import type { Members } from "../members.js";
import type { NetworkDefinition } from "../network.js";
import type { Networks } from "../networks.js";
import { type ReopenedTap, reopen } from "./reopen.js";
import type { AwaitedState, MemberState, State } from "./state-file.js";
import type { VouchedNamespaces } from "./vouched.js";

/** Whose state is restored. */
export interface RestoreContext {
  readonly networks: Networks;
  readonly members: Members;
  /** null: there is no cluster. */
  readonly overlays: Overlays | null;
  /** What the supervisor has kept. */
  readonly store: TapStore;
  /** By the last supervisor. */
  readonly vouched: VouchedNamespaces;
  readonly publish: (member: Member, ports: readonly string[]) => Promise<void>;
}

/** A member that has joined again, and its TAPs. */
interface Rejoined {
  readonly member: Member;
  readonly taps: readonly ReopenedTap[];
}

/**
 * Restores networks and members of the last daemon. Whoever took that daemon over may have written its state, so names
 * and addresses are taken from it, but not which namespaces may be entered: a member comes back by TAPs that the
 * supervisor has kept, or in a namespace that the supervisor vouches for.
 *
 * Namespaces are entered before the promise is returned, as the lock-down follows.
 */
export async function restore(
  { networks, overlays, members, awaited }: State,
  context: RestoreContext,
): Promise<void> {
  for (const { definition, last } of networks) context.networks.restore(definition, last);
  context.overlays?.flannels.restore();
  const missing = restoreOverlays(overlays, context);
  for (const state of awaited) reserve(withoutNetworks(missing, state), context);
  const living = members
    .map((state) => withoutNetworks(missing, state))
    .filter(({ attachments }) => attachments.length > 0)
    .filter(isAlive);
  const entered = living.map((state) => ({ state, rejoined: enter(state, context) }));
  const kept = new Map(await context.store.inherited);
  for (const { state, rejoined } of entered) {
    const found = rejoined === "not vouched for" ? takeKept(state, kept, context) : rejoined;
    if (found !== null) await serve(state, found, context);
  }
  // TAPs of no member.
  for (const [name, tap] of kept) {
    context.store.drop(name);
    native.close(tap);
  }
  context.overlays?.adopt(context.members.all);
}

/** @returns ids of those that are not there, as the daemon has no cluster any more */
function restoreOverlays(
  overlays: readonly NetworkDefinition[],
  context: RestoreContext,
): readonly string[] {
  for (const definition of overlays) context.overlays?.restore(definition);
  if (context.overlays !== null || overlays.length === 0) return [];
  const names = overlays.map(({ name }) => name).join(", ");
  log.warn(`the daemon has no store any more, so its members are not on ${names}`);
  return overlays.map(({ id }) => id);
}

function withoutNetworks<S extends AwaitedState | MemberState>(
  missing: readonly string[],
  state: S,
): S {
  const attachments = state.attachments.filter(({ network }) => !missing.includes(network));
  return { ...state, attachments };
}

/** Reserves what a member has whose client is to join again; nothing is entered. */
function reserve({ published, ...spec }: AwaitedState, { members }: RestoreContext): void {
  if (hasEnded(spec.namespace)) return;
  try {
    members.awaitReturn({ ...spec, stays: false, keepsTaps: true }, spec.namespace, published);
  } catch (error) {
    // Its client says so when it joins again, if it lives.
    if (!(error instanceof UserError)) throw error;
  }
}

function isAlive({ name, namespace }: MemberState): boolean {
  const isThere = namespace === null || !hasEnded(namespace);
  if (!isThere) warnNotJoined(name, new UserError("its namespace is gone"));
  return isThere;
}

/** Joins a member again in its namespace. @returns null when that fails */
function enter(
  { published, ...spec }: MemberState,
  context: RestoreContext,
): Rejoined | "not vouched for" | null {
  const { vouched } = context;
  const { namespace } = spec;
  if (namespace === null || !vouched.has(namespace.id)) return "not vouched for";
  return rejoin(spec, context, (given) => reopen(namespace, given, vouched));
}

/**
 * Joins a member again by those of its TAPs that were kept.
 * @param kept what is used is taken out of it
 * @returns null when that fails
 */
function takeKept(
  { published, ...spec }: MemberState,
  kept: Map<string, number>,
  context: RestoreContext,
): Rejoined | null {
  const found = spec.attachments.flatMap((attachment) => {
    const { network, ifname } = attachment;
    const name = storeNameOf(spec.id, network, context.networks);
    const tap = kept.get(name);
    if (tap === undefined || ifname === null) return [];
    return [{ attachment, name, reopened: { network, ifname, tap } }];
  });
  const attachments = found.map(({ attachment }) => attachment);
  const taps = found.map(({ reopened }) => reopened);
  const rejoined = rejoin({ ...spec, attachments }, context, () => taps);
  if (rejoined !== null) for (const { name } of found) kept.delete(name);
  return rejoined;
}

/** "" when there is no such network. */
function storeNameOf(member: string | null, network: string, networks: Networks): string {
  const found = networks.find(network);
  return member === null || found === undefined ? "" : storeName(member, found);
}

/** @returns null when it is not joined again */
function rejoin(
  spec: Params<"member.join">,
  { members }: RestoreContext,
  open: (given: GivenMember) => readonly ReopenedTap[],
): Rejoined | null {
  try {
    if (spec.attachments.length === 0) throw new UserError(notVouchedFor(spec));
    const given = members.join(spec);
    const member = members.get(given.id);
    try {
      return { member, taps: open(given) };
    } catch (error) {
      members.remove(member);
      throw error;
    }
  } catch (error) {
    warnNotJoined(spec.name, error);
    return null;
  }
}

async function serve(
  { name, published }: MemberState,
  { member, taps }: Rejoined,
  { members, publish }: RestoreContext,
): Promise<void> {
  const attached = taps.map(({ network, ifname, tap }) =>
    members
      .attach({ member: member.id, network, ifname, namespace: null }, tap)
      .finally(() => native.close(tap)),
  );
  try {
    await Promise.all(attached);
    if (published.length > 0) await publish(member, published);
  } catch (error) {
    members.remove(member);
    warnNotJoined(name, error);
  }
}

/** @throws what is no UserError */
function warnNotJoined(name: string | null, error: unknown): void {
  if (!(error instanceof UserError)) throw error;
  log.warn(`member ${name} is not restored: ${error.message}`);
}

function notVouchedFor({ namespace }: Params<"member.join">): string {
  const where = namespace?.pid ?? namespace?.netns ?? "its namespace";
  return `nothing vouches for its namespace: attach it again: slipway network connect NETWORK ${where}`;
}
