/**
 * Directories for a user's sockets and state, by the XDG base directory specification. Nothing is created here.
 */
import { lstatSync, readFileSync } from "node:fs";
import { homedir, tmpdir, userInfo } from "node:os";
import path from "node:path";
import { UserError } from "../base/errors.js";

/** Directories for the sockets of the daemon. */
export interface RuntimeDirectory {
  /** The user's runtime directory; without one, `own`. */
  readonly base: string;
  /** Slipway's directory in it. */
  readonly own: string;
}

/**
 * The daemon's: in $XDG_RUNTIME_DIR; else in /run/user/UID if that exists; else a directory of the user's in that for
 * temporary files. native/launcher/common/daemon-paths.c has the same rule.
 * @param uid the user's outside our user namespace: container engines start hooks as root of their own, and with an
 * empty environment
 */
export function runtimeDirectory(
  environment: NodeJS.ProcessEnv = process.env,
  uid: number = outerUid(),
): RuntimeDirectory {
  const parent = runtimeParent(environment, uid);
  if (parent !== null) return { base: parent, own: ownIn(parent) };
  const fallback = fallbackIn(temporaryDirectory(), uid);
  return { base: fallback, own: fallback };
}

/**
 * The directory for API sockets of networks without the daemon. Root's is /run/slipway. Null without a runtime
 * directory of the user's: there is no fallback.
 */
export function apiDirectory(
  environment: NodeJS.ProcessEnv = process.env,
  uid: number = process.geteuid?.() ?? 0,
): string | null {
  const parent = uid === 0 ? (given(environment) ?? ROOT_PARENT) : runtimeParent(environment, uid);
  return parent === null ? null : ownIn(parent);
}

/**
 * All directories that runtimeDirectory() and apiDirectory() may return for this user, whatever the environment. Paths
 * are absolute; the directories may be missing.
 */
export function runtimeDirectories(
  environment: NodeJS.ProcessEnv = process.env,
  uid: number = outerUid(),
): string[] {
  const parents = [given(environment), loginDirectory(uid), uid === 0 ? ROOT_PARENT : null];
  const named = parents.filter((parent) => parent !== null).map(ownIn);
  const fallbacks = [temporaryDirectory(), "/tmp"].map((parent) => fallbackIn(parent, uid));
  return [...new Set([...named, ...fallbacks])];
}

/**
 * Slipway's directory in $XDG_STATE_HOME, by default in ~/.local/state.
 * @throws UserError when no home directory is known
 */
export function stateDirectory({ XDG_STATE_HOME }: NodeJS.ProcessEnv = process.env): string {
  const directory = baseDirectory(XDG_STATE_HOME, ".local/state");
  if (directory !== null) return directory;
  throw new UserError(
    "there is no home directory for the daemon's state: set HOME or XDG_STATE_HOME to a directory of yours",
  );
}

/** Slipway's directory in $XDG_CONFIG_HOME, by default in ~/.config; null: no home directory is known. */
export function configDirectory(
  { XDG_CONFIG_HOME }: NodeJS.ProcessEnv = process.env,
): string | null {
  return baseDirectory(XDG_CONFIG_HOME, ".config");
}

function baseDirectory(given: string | undefined, byDefault: string): string | null {
  const named = absolute(given);
  if (named !== null) return ownIn(named);
  const home = homeDirectory();
  return home === null ? null : ownIn(path.join(home, byDefault));
}

/** For root, which has no login directory; only root can write there. */
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

/** systemd-logind creates it at the user's first login. */
function loginDirectory(uid: number): string {
  return `/run/user/${uid}`;
}

function ownIn(parent: string): string {
  return path.join(parent, "slipway");
}

function fallbackIn(parent: string, uid: number): string {
  return path.join(parent, `slipway-${uid}`);
}

/** From $HOME, otherwise that of the user's account; null: none is known. */
function homeDirectory(): string | null {
  try {
    return absolute(homedir()) ?? userInfo().homedir;
  } catch {
    return null;
  }
}

function temporaryDirectory(): string {
  return absolute(tmpdir()) ?? "/tmp";
}

/** The specification ignores paths that are not absolute. */
function absolute(directory: string | undefined): string | null {
  return directory?.startsWith("/") ? directory : null;
}

/** Our user id outside our user namespace. */
function outerUid(): number {
  const own = process.geteuid?.() ?? 0;
  // Lines of inside, outside and count (user_namespaces(7)).
  const ranges = readFileSync("/proc/self/uid_map", "utf8")
    .trim()
    .split("\n")
    .map((line) => line.trim().split(/\s+/).map(Number));
  for (const [inside = 0, outside = 0, count = 0] of ranges) {
    if (own >= inside && own < inside + count) return outside + own - inside;
  }
  return own;
}
