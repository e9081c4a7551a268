import { lstatSync, mkdirSync, readFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import path from "node:path";
import { UserError } from "../base/errors.js";
import { unsafePart } from "./safe-directory.js";

/** Only the user himself: whoever may write here speaks in his name. */
const PRIVATE = 0o700;

/** Where the daemon of a user is found, and keeps what it must not forget. */
export interface Places {
  /** UNIX socket. */
  readonly socket: string;
  /** UNIX socket for launchers in shared mode; native/launcher/shared.c finds it by itself. */
  readonly launchers: string;
  /** Held by the daemon while it lives. */
  readonly lock: string;
  readonly state: string;
  /** Held by the daemon that has the state, while it lives: another runtime directory has another daemon. */
  readonly stateLock: string;
  /** What a supervisor leaves to the next daemon: native/launcher/store.h. No daemon may write there. */
  readonly stayed: string;
  readonly log: string;
}

/**
 * By the XDG base directory specification: sockets in $XDG_RUNTIME_DIR (or /run/user/UID, or a
 * directory of the user in /tmp), state in $XDG_STATE_HOME. Makes what is missing, with mode 0700.
 * @throws UserError when a directory is another user's, or cannot be made
 */
export function places(environment: NodeJS.ProcessEnv = process.env): Places {
  const { XDG_STATE_HOME } = environment;
  const socket = socketPath(environment);
  const runtime = privateDirectory(path.dirname(socket));
  const stateHome = absolute(XDG_STATE_HOME) ?? path.join(homedir(), ".local/state");
  const state = privateDirectory(path.join(stateHome, "slipway"));
  return {
    socket,
    launchers: path.join(runtime, "launchers.sock"),
    lock: path.join(runtime, "daemon.lock"),
    state: path.join(state, "state.json"),
    stateLock: path.join(state, "state.lock"),
    stayed: path.join(runtimeDirectory(environment).base, "slipway.stayed"),
    log: path.join(state, "daemon.log"),
  };
}

/**
 * Where a daemon of this user listens, if there is one. Makes nothing.
 * @throws UserError when it might be another user's
 */
export function daemonSocket(environment: NodeJS.ProcessEnv = process.env): string {
  const socket = socketPath(environment);
  checkDirectory(path.dirname(socket), null);
  return socket;
}

/** Beside the sockets of networks that have no daemon: slipway status asks all of those. */
function socketPath(environment: NodeJS.ProcessEnv): string {
  return path.join(runtimeDirectory(environment).own, "daemon/api.sock");
}

/**
 * All directories in which Slipway takes this user's requests, whichever environment it was started in:
 * those of the daemon and of networks without one. Absolute; those that are missing as well.
 */
export function runtimeDirectories({ XDG_RUNTIME_DIR }: NodeJS.ProcessEnv = process.env): string[] {
  const uid = outerUid();
  const parents = [absolute(XDG_RUNTIME_DIR), `/run/user/${uid}`, uid === 0 ? "/run" : null];
  const named = parents.flatMap((parent) => (parent === null ? [] : path.join(parent, "slipway")));
  const fallbacks = [tmpdir(), "/tmp"].map((parent) => path.join(parent, `slipway-${uid}`));
  return [...new Set([...named, ...fallbacks])];
}

/** Makes the one of those that this environment names, if that can be. */
export function makeRuntimeDirectory(environment: NodeJS.ProcessEnv = process.env): void {
  try {
    mkdirSync(runtimeDirectory(environment).own, { mode: PRIVATE });
  } catch {
    // It is there, or there can be none: then nobody listens in it.
  }
}

/** The user's directory for sockets, and what of it is ours; as native/launcher/places.c has it. */
function runtimeDirectory({ XDG_RUNTIME_DIR }: NodeJS.ProcessEnv): {
  readonly base: string;
  readonly own: string;
} {
  const given = absolute(XDG_RUNTIME_DIR);
  if (given !== null) return { base: given, own: path.join(given, "slipway") };
  const uid = outerUid();
  const usual = `/run/user/${uid}`;
  if (isDirectory(usual)) return { base: usual, own: path.join(usual, "slipway") };
  const fallback = path.join(tmpdir(), `slipway-${uid}`);
  return { base: fallback, own: fallback };
}

/**
 * Who we are outside of our user namespace: container engines start hooks as root of theirs, and
 * with an empty environment.
 */
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

/** The specification has paths that are not absolute ignored. */
function absolute(directory: string | undefined): string | null {
  return directory?.startsWith("/") ? directory : null;
}

function isDirectory(directory: string): boolean {
  return lstatSync(directory, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

function privateDirectory(directory: string): string {
  checkDirectory(directory, PRIVATE);
  const status = lstatSync(directory);
  if (status.uid === process.geteuid?.() && (status.mode & 0o077) === 0) return directory;
  throw new UserError(
    `${directory} is open to other users: chown it to you, and chmod 0700 ${directory}`,
  );
}

/** @param mode with which what is missing is made; null: it may be missing */
function checkDirectory(directory: string, mode: number | null): void {
  let unsafe: string | null;
  try {
    unsafe = unsafePart(directory, mode);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : error;
    throw new UserError(
      `cannot make ${directory} (${code}): set XDG_RUNTIME_DIR and XDG_STATE_HOME to directories of yours`,
    );
  }
  // The last one has a sentence of its own.
  if (unsafe === null || (mode !== null && unsafe === directory)) return;
  throw new UserError(
    `${directory} may be changed by other users, by way of ${unsafe}: make that yours or root's, chmod go-w ${unsafe}, or set XDG_RUNTIME_DIR and XDG_STATE_HOME to directories of yours`,
  );
}
