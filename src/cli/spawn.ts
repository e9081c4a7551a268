import { systemFailure } from "../attach.js";
import { native } from "../sys/native.js";
import { ignoredSignals, inheritedDescriptors } from "./inherited.js";

/** The launcher's marks in the environment: native/launcher/slipway.c. */
const PARKED_PREFIX = "SLIPWAY_PARKED_";
const OWN_VARIABLES: readonly string[] = [
  "SLIPWAY_FDS",
  "SLIPWAY_IGNORED",
  "SLIPWAY_BROKER",
  "SLIPWAY_ROOT",
];

/** What a child in new namespaces shall run. */
export interface SpawnRequest {
  readonly command: readonly [file: string, ...args: string[]];
  /** Whether it keeps uid and gid inside; otherwise it is root there. */
  readonly keepId: boolean;
  /** Text of its /etc/resolv.conf. */
  readonly resolvConf: string;
  /** Text of its /etc/hosts; absent or null: the host's. */
  readonly hosts?: string | null;
  /** Its hostname; absent or null: the host's. */
  readonly hostname?: string | null;
}

/** A child in new namespaces that has not executed its command yet. */
export type HeldChild = Exclude<ReturnType<typeof native.spawnHeld>, number>;

/**
 * Starts a child in new user, network and mount namespaces and holds it before exec.
 * @throws UserError
 */
export function spawnHeld({
  command,
  keepId,
  resolvConf,
  hosts = null,
  hostname = null,
}: SpawnRequest): HeldChild {
  const { uid, gid } = effectiveIds();
  const child = native.spawnHeld({
    file: command[0],
    argv: command,
    env: guestEnvironment(process.env),
    uid,
    gid,
    insideUid: keepId ? uid : 0,
    insideGid: keepId ? gid : 0,
    resolvConf,
    hosts,
    hostname,
    hostnameFile: hostname === null ? null : `${hostname}\n`,
    keep: inheritedDescriptors(),
    ignore: ignoredSignals(),
  });
  if (typeof child === "number") throw systemFailure(child, null);
  return child;
}

/** The file of the network namespace that a child is in. */
export function namespaceOf({ pid }: HeldChild): { netns: string; userns: null } {
  return { netns: `/proc/${pid}/ns/net`, userns: null };
}

/**
 * The environment as the user made it: the launcher parks what would change Node itself under names
 * of its own, and leaves word for us in others. As `NAME=value`.
 */
export function guestEnvironment(own: NodeJS.ProcessEnv): string[] {
  return Object.entries(own)
    .filter(([name]) => !OWN_VARIABLES.includes(name))
    .map(([name, value]) => `${withoutPrefix(name)}=${value}`);
}

function withoutPrefix(name: string): string {
  return name.startsWith(PARKED_PREFIX) ? name.slice(PARKED_PREFIX.length) : name;
}

function effectiveIds(): { uid: number; gid: number } {
  const { geteuid, getegid } = process;
  // Node has both on every system but Windows.
  if (geteuid === undefined || getegid === undefined) throw new Error("not a POSIX system");
  return { uid: geteuid(), gid: getegid() };
}
