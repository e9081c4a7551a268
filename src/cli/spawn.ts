import { systemFailure } from "../attach.js";
import { native } from "../sys/native.js";

/** What a child in new namespaces shall run. */
export interface SpawnRequest {
  readonly command: readonly [file: string, ...args: string[]];
  /** Whether it keeps uid and gid inside; otherwise it is root there. */
  readonly keepId: boolean;
  /** Text of its /etc/resolv.conf. */
  readonly resolvConf: string;
}

/** A child in new namespaces that has not executed its command yet. */
export type HeldChild = Exclude<ReturnType<typeof native.spawnHeld>, number>;

/**
 * Starts a child in new user, network and mount namespaces and holds it before exec.
 * @throws UserError
 */
export function spawnHeld({ command, keepId, resolvConf }: SpawnRequest): HeldChild {
  const { uid, gid } = effectiveIds();
  const child = native.spawnHeld({
    file: command[0],
    argv: command,
    env: Object.entries(process.env).map(([name, value]) => `${name}=${value}`),
    uid,
    gid,
    insideUid: keepId ? uid : 0,
    insideGid: keepId ? gid : 0,
    resolvConf,
  });
  if (typeof child === "number") throw systemFailure(child, null);
  return child;
}

/** The file of the network namespace that a child is in. */
export function namespaceOf({ pid }: HeldChild): { netns: string; userns: null } {
  return { netns: `/proc/${pid}/ns/net`, userns: null };
}

function effectiveIds(): { uid: number; gid: number } {
  const { geteuid, getegid } = process;
  // Node has both on every system but Windows.
  if (geteuid === undefined || getegid === undefined) throw new Error("not a POSIX system");
  return { uid: geteuid(), gid: getegid() };
}
