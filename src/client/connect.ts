import { UserError } from "../base/errors.js";
import type { AttachmentSpec, GivenAttachment, JoinSpec, NamespaceRef } from "../rpc/messages.js";
import { isOwnNetwork, namespaceRef } from "../rpc/namespaces.js";
import { native } from "../sys/native.js";
import { type AttachmentTap, openAttachment } from "./taps.js";
import { locate, type Requests } from "./target.js";

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
  const { netns, pid } = await locate(session, target);
  const namespace = refOf(target, netns, pid);
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

/** @throws UserError when it is gone, another user's, or our own, to which the daemon would lead back */
function refOf(target: string, netns: string, pid: number | null): NamespaceRef {
  const what = pid === null ? target : `process ${pid}`;
  let ref: NamespaceRef;
  try {
    ref = namespaceRef(netns, null, pid);
  } catch {
    throw new UserError(
      `${what} does not exist, or is another user's: give a running process of yours, or a file such as /proc/PID/ns/net`,
    );
  }
  if (!isOwnNetwork(netns)) return ref;
  throw new UserError(
    `${what} is in the host's network: give a process in a network namespace of its own, or start it by slipway run`,
  );
}
