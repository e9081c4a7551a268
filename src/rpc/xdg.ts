/**
 * Where a user's sockets and state are, by the XDG base directory specification. Nothing is made here.
 */
import { lstatSync, readFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import path from "node:path";

/** What the user's directory for sockets holds of Slipway's. */
export interface RuntimeDirectory {
  /** The user's directory itself; without one, `own`. */
  readonly base: string;
  readonly own: string;
}

/**
 * For the daemon: below $XDG_RUNTIME_DIR, or /run/user/UID if that exists, or else a directory of the
 * user's below the one for temporary files. native/launcher/common/daemon-paths.c has the same rule.
 * @param uid the user's outside of our user namespace: container engines start hooks as root of
 * theirs, and with an empty environment
 */
export function runtimeDirectory(
  environment: NodeJS.ProcessEnv = process.env,
  uid: number = outerUid(),
): RuntimeDirectory {
  const parent = runtimeParent(environment, uid);
  if (parent !== null) return { base: parent, own: ownIn(parent) };
  const fallback = fallbackIn(tmpdir(), uid);
  return { base: fallback, own: fallback };
}

/**
 * For networks without the daemon, which have their API sockets there. Root's is /run/slipway; there
 * is no fallback: null without a directory of the user's.
 */
export function apiDirectory(
  environment: NodeJS.ProcessEnv = process.env,
  uid: number = process.geteuid?.() ?? 0,
): string | null {
  const parent = uid === 0 ? (given(environment) ?? ROOT_PARENT) : runtimeParent(environment, uid);
  return parent === null ? null : ownIn(parent);
}

/**
 * Every directory that runtimeDirectory() and apiDirectory() may return for this user, whatever the
 * environment of the process that asks. Absolute; those that are missing as well.
 */
export function runtimeDirectories(
  environment: NodeJS.ProcessEnv = process.env,
  uid: number = outerUid(),
): string[] {
  const parents = [given(environment), loginDirectory(uid), uid === 0 ? ROOT_PARENT : null];
  const named = parents.filter((parent) => parent !== null).map(ownIn);
  const fallbacks = [tmpdir(), "/tmp"].map((parent) => fallbackIn(parent, uid));
  return [...new Set([...named, ...fallbacks])];
}

/** Slipway's below $XDG_STATE_HOME, by default ~/.local/state. */
export function stateDirectory({ XDG_STATE_HOME }: NodeJS.ProcessEnv = process.env): string {
  return ownIn(absolute(XDG_STATE_HOME) ?? path.join(homedir(), ".local/state"));
}

/** Of root's processes: they have no login, and nobody else writes there. */
const ROOT_PARENT = "/run";

function runtimeParent(environment: NodeJS.ProcessEnv, uid: number): string | null {
  const named = given(environment);
  if (named !== null) return named;
  const usual = loginDirectory(uid);
  return lstatSync(usual, { throwIfNoEntry: false })?.isDirectory() ? usual : null;
}

function given({ XDG_RUNTIME_DIR }: NodeJS.ProcessEnv): string | null {
  return absolute(XDG_RUNTIME_DIR);
}

/** systemd-logind makes it at the user's first login. */
function loginDirectory(uid: number): string {
  return `/run/user/${uid}`;
}

function ownIn(parent: string): string {
  return path.join(parent, "slipway");
}

function fallbackIn(parent: string, uid: number): string {
  return path.join(parent, `slipway-${uid}`);
}

/** The specification has paths that are not absolute ignored. */
function absolute(directory: string | undefined): string | null {
  return directory?.startsWith("/") ? directory : null;
}

/** Who we are outside of our user namespace. */
function outerUid(): number {
  const own = process.geteuid?.() ?? 0;
  // Inside, outside, count: user_namespaces(7).
  const ranges = readFileSync("/proc/self/uid_map", "utf8")
    .trim()
    .split("\n")
    .map((line) => line.trim().split(/\s+/).map(Number));
  for (const [inside = 0, outside = 0, count = 0] of ranges) {
    if (own >= inside && own < inside + count) return outside + own - inside;
  }
  return own;
}
