import { UserError } from "../base/errors.js";
import { findByName } from "../config/names.js";
import type { AttachmentSpec, GivenAttachment, JoinSpec, NamespaceRef } from "../rpc/messages.js";
import { namespaceRef } from "../rpc/namespaces.js";
import { native } from "../sys/native.js";
import type { Session } from "./session.js";
import { type AttachmentTap, openAttachment } from "./taps.js";

/** Sends requests to the daemon. */
export type Requests = Pick<Session, "request">;

/** An attachment to make, and for which namespace. */
export interface Connection {
  readonly attachment: AttachmentSpec;
  /** Name of the member, by which others find it; null: the daemon chooses. */
  readonly name: string | null;
  /** A process, the name of a member, or the file of a network namespace. */
  readonly target: string;
}

/** A namespace's attachment to a network. */
export interface Attachment {
  /** Name of the member. */
  readonly member: string;
  readonly network: string;
  readonly ifname: string;
  readonly addresses: readonly string[];
}

/**
 * Attaches a namespace to a network: enters it, opens a TAP there, and passes that to the daemon. After a failure
 * nothing is left.
 * @throws UserError
 */
export async function connect(
  session: Requests,
  { attachment, name, target }: Connection,
): Promise<Attachment> {
  const namespace = await namespaceOfTarget(session, target);
  return attachmentOf(await join(session, { name, namespace, attachments: [attachment] }));
}

/** The part of an attachment that is shown to the user. */
export function attachmentOf({ member, given, ifname }: JoinedAttachment): Attachment {
  const addresses = given.addresses.map(({ address }) => address);
  return { member, network: given.network, ifname, addresses };
}

/** A member and its attachment. */
export interface Joining extends JoinSpec {
  readonly namespace: NamespaceRef;
  readonly attachments: [AttachmentSpec];
}

/** An attachment with the values that the daemon chose, and its interface. */
export interface JoinedAttachment {
  /** Name of the member. */
  readonly member: string;
  /** Id of the member. */
  readonly id: string;
  readonly given: GivenAttachment;
  readonly ifname: string;
}

/**
 * Same as connect(), for a caller that knows the namespace. The member outlives the session.
 * @param open makes the interface; by default it enters the namespace by its files
 * @throws UserError
 */
export async function join(
  session: Requests,
  joining: Joining,
  open: (given: GivenAttachment) => AttachmentTap | Promise<AttachmentTap> = (given) =>
    openAttachment(joining.namespace, given),
): Promise<JoinedAttachment> {
  const spec = { ...joining, stays: true };
  const { id, name: member, attachments } = await session.request("member.join", spec);
  const [given] = attachments;
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
    // The member may be gone with its process; the first error is the one to report.
    await session.request("member.disconnect", { network, member: id }).catch(() => undefined);
    throw error;
  }
}

/** The namespace of a target that is a path or a pid; null: the target is the name of a member. */
export function namedNamespace(target: string): { netns: string; pid: number | null } | null {
  if (target.includes("/")) return { netns: target, pid: null };
  if (/^\d+$/.test(target)) return { netns: `/proc/${target}/ns/net`, pid: Number(target) };
  return null;
}

async function namespaceOfTarget(session: Requests, target: string): Promise<NamespaceRef> {
  const named = namedNamespace(target);
  if (named !== null) return refOf(target, named.netns, named.pid);
  const members = await session.request("member.list", {});
  const pid = findByName(members, target)?.pid ?? null;
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
