import { lstatSync, mkdirSync } from "node:fs";
import path from "node:path";
import { errnoOf, UserError } from "../base/errors.js";
import { unsafePart } from "./safe-directory.js";
import { runtimeDirectory, stateDirectory } from "./xdg.js";

/** Only the user himself: whoever may write here speaks in his name. */
const PRIVATE = 0o700;

/** Where the daemon of a user is found, and keeps what it must not forget. */
export interface DaemonPaths {
  /** UNIX socket. */
  readonly socket: string;
  /** UNIX socket for launchers in shared mode; native/launcher/shared/connection.c finds it by itself. */
  readonly launchers: string;
  /** Held by the daemon while it lives. */
  readonly lock: string;
  readonly state: string;
  /** Held by the daemon that has the state, while it lives: another runtime directory has another daemon. */
  readonly stateLock: string;
  /** What a supervisor leaves to the next daemon: native/launcher/supervisor/store.h. No daemon may write there. */
  readonly stayed: string;
  readonly log: string;
}

/**
 * Makes the directories that are missing, with mode 0700.
 * @throws UserError when a directory is another user's, or cannot be made
 */
export function daemonPaths(environment: NodeJS.ProcessEnv = process.env): DaemonPaths {
  const socket = socketPath(environment);
  const runtime = privateDirectory(path.dirname(socket));
  const state = privateDirectory(stateDirectory(environment));
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

/** Makes the directory of this user's sockets, if that can be. */
export function makeRuntimeDirectory(environment: NodeJS.ProcessEnv = process.env): void {
  try {
    mkdirSync(runtimeDirectory(environment).own, { mode: PRIVATE });
  } catch {
    // It is there, or there can be none: then nobody listens in it.
  }
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
    throw new UserError(
      `cannot make ${directory} (${errnoOf(error)}): set XDG_RUNTIME_DIR and XDG_STATE_HOME to directories of yours`,
    );
  }
  // The last one has a sentence of its own.
  if (unsafe === null || (mode !== null && unsafe === directory)) return;
  throw new UserError(
    `${directory} may be changed by other users, by way of ${unsafe}: make that yours or root's, chmod go-w ${unsafe}, or set XDG_RUNTIME_DIR and XDG_STATE_HOME to directories of yours`,
  );
}
