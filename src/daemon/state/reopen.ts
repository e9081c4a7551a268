import { closeSync, fstatSync, openSync } from "node:fs";
import { UserError } from "../../base/errors.js";
import { openAttachment } from "../../client/taps.js";
import { cookieOf } from "../../netns/agent.js";
import type { GivenMember, NamespaceRef } from "../../rpc/messages.js";
import { native } from "../../sys/native.js";
import type { VouchedNamespaces } from "./vouched.js";

/** Of open(2). Node has no name for it; the number is the same on x64 and arm64. */
const O_PATH = 0o10000000;

/** A TAP of a member that is joined again. */
export interface ReopenedTap {
  readonly network: string;
  readonly ifname: string;
  /** A handle of the addon. */
  readonly tap: number;
}

/**
 * Opens the TAPs of a member again, in its namespace. The namespace is entered by a descriptor, as its path may lead
 * elsewhere by then.
 * @param vouched namespaces that may be entered
 * @throws UserError when the member's namespace is none of those
 */
export function reopen(
  { netns }: NamespaceRef,
  given: GivenMember,
  vouched: VouchedNamespaces,
): readonly ReopenedTap[] {
  const file = openPath(netns);
  const opened: ReopenedTap[] = [];
  try {
    const { dev, ino } = fstatSync(file);
    const cookie = vouched.get(`${dev}:${ino}`);
    // The user namespace is the one that owns the network namespace, whatever the state says.
    const namespace = { netns: `/proc/self/fd/${file}`, userns: null };
    // An inode's number may have been reused; a cookie never is.
    if (cookie === undefined || cookieOf(namespace) !== cookie) throw gone();
    for (const attachment of given.attachments) {
      const { ifname, tap } = openAttachment(namespace, attachment);
      opened.push({ network: attachment.network, ifname, tap });
    }
    return opened;
  } catch (error) {
    for (const { tap } of opened) native.close(tap);
    throw error;
  } finally {
    closeSync(file);
  }
}

/** By O_PATH, which has no effect on what is there, whatever that is. @throws UserError */
function openPath(file: string): number {
  try {
    return openSync(file, O_PATH);
  } catch {
    throw gone();
  }
}

function gone(): UserError {
  return new UserError("its namespace is gone");
}
