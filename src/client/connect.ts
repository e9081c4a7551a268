import { UserError } from "../base/errors.js";
import type { NamespaceRef, PortSpec } from "../protocol/messages.js";
import { namespaceRef } from "../protocol/namespaces.js";
import { native } from "../sys/native.js";
import type { Session } from "./session.js";
import { openPort } from "./taps.js";

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
  session: Session,
  { port, name, target }: Connection,
): Promise<Place> {
  const namespace = await namespaceOfTarget(session, target);
  const spec = { name, namespace, stays: true, ports: [port] };
  const { id, name: member, ports } = await session.request("member.join", spec);
  const [place] = ports;
  const { network } = place;
  try {
    const { ifname, tap } = openPort(namespace, place);
    try {
      await session.request("member.attach", { member: id, network, ifname }, tap);
    } finally {
      native.close(tap);
    }
    return { member, network, ifname, addresses: place.addresses.map(({ address }) => address) };
  } catch (error) {
    await session.request("member.disconnect", { network, member: id });
    throw error;
  }
}

async function namespaceOfTarget(session: Session, target: string): Promise<NamespaceRef> {
  if (target.includes("/")) return refOf(target, target, null);
  if (/^\d+$/.test(target)) return refOf(target, `/proc/${target}/ns/net`, Number(target));
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
