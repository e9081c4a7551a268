import { UserError } from "../base/errors.js";
import type { GivenPort, JoinSpec, NamespaceRef, PortSpec } from "../protocol/messages.js";
import { namespaceRef } from "../protocol/namespaces.js";
import { native } from "../sys/native.js";
import type { Session } from "./session.js";
import { openPort, type PortTap } from "./taps.js";

/** Whom requests are made to: the daemon. */
export type Requests = Pick<Session, "request">;

/** What is to be connected, and where. */
export interface Connection {
  readonly port: PortSpec;
  /** By which other members find it; null: a name is made up. */
  readonly name: string | null;
  /** A process, the name of a member, or the file of a network namespace. */
  readonly target: string;
}

/** A place on a network, as it was given. */
export interface Place {
  readonly member: string;
  readonly network: string;
  readonly ifname: string;
  readonly addresses: readonly string[];
}

/**
 * Gives a namespace a place on a network: enters it, opens the TAP there, and gives that to the daemon.
 * When that fails nothing is left of it.
 * @throws UserError
 */
export async function connect(
  session: Requests,
  { port, name, target }: Connection,
): Promise<Place> {
  const namespace = await namespaceOfTarget(session, target);
  return placeOf(await join(session, { name, namespace, ports: [port] }));
}

/** What is told of a place. */
export function placeOf({ member, given, ifname }: JoinedPlace): Place {
  const addresses = given.addresses.map(({ address }) => address);
  return { member, network: given.network, ifname, addresses };
}

/** Who joins, and at which place. */
export interface Joining extends JoinSpec {
  readonly namespace: NamespaceRef;
  readonly ports: [PortSpec];
}

/** A place as it was given, with its interface. */
export interface JoinedPlace {
  /** Its name. */
  readonly member: string;
  readonly id: string;
  readonly given: GivenPort;
  readonly ifname: string;
}

/**
 * As connect(), for who knows the namespace; it stays a member when the session ends.
 * @param open makes its interface, in another way than by the namespace's files as the daemon finds them
 * @throws UserError
 */
export async function join(
  session: Requests,
  joining: Joining,
  open: (given: GivenPort) => PortTap | Promise<PortTap> = (given) =>
    openPort(joining.namespace, given),
): Promise<JoinedPlace> {
  const spec = { ...joining, stays: true };
  const { id, name: member, ports } = await session.request("member.join", spec);
  const [given] = ports;
  const { network } = given;
  try {
    const { ifname, tap } = await open(given);
    try {
      await session.request("member.attach", { member: id, network, ifname }, tap);
    } finally {
      native.close(tap);
    }
    return { member, id, given, ifname };
  } catch (error) {
    // It may be gone already, with its process: the first reason is the one to tell.
    await session.request("member.disconnect", { network, member: id }).catch(() => undefined);
    throw error;
  }
}

/** The namespace that a target names by itself; null: it must be the name of a member. */
export function namedNamespace(target: string): { netns: string; pid: number | null } | null {
  if (target.includes("/")) return { netns: target, pid: null };
  if (/^\d+$/.test(target)) return { netns: `/proc/${target}/ns/net`, pid: Number(target) };
  return null;
}

async function namespaceOfTarget(session: Requests, target: string): Promise<NamespaceRef> {
  const named = namedNamespace(target);
  if (named !== null) return refOf(target, named.netns, named.pid);
  const members = await session.request("member.list", {});
  const pid = members.find((member) => member.name === target)?.pid ?? null;
  if (pid !== null) return refOf(target, `/proc/${pid}/ns/net`, pid);
  throw new UserError(
    `there is no member ${target}: give a process, a member, or the file of a namespace`,
  );
}

function refOf(target: string, netns: string, pid: number | null): NamespaceRef {
  try {
    return namespaceRef(netns, null, pid);
  } catch {
    const what = pid === null ? target : `process ${pid}`;
    throw new UserError(
      `${what} does not exist, or is another user's: give a running process of yours, or a file such as /proc/PID/ns/net`,
    );
  }
}
