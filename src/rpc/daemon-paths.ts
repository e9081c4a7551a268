import { lstatSync, mkdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { errnoOf, UserError } from "../base/errors.js";
import { unsafePart } from "./safe-directory.js";
import { runtimeDirectory, stateDirectory } from "./xdg.js";

/** Mode of directories. A process that can write there can act as the user. */
const PRIVATE = 0o700;

/**
 * In a directory of its own: `slipway status` asks all sockets in the parent directory, those of networks without a
 * daemon.
 */
const DAEMON_SOCKET = "daemon/api.sock";

/** Beside the socket. */
const LOCK = "daemon.lock";

/** The paths of a user's daemon: sockets, locks and state. */
export interface DaemonPaths {
  /** UNIX socket for clients. */
  readonly socket: string;
  /** UNIX socket for launchers in shared mode; native/launcher/shared/connection.c computes the same path. */
  readonly launchers: string;
  /** Lock file that the daemon holds while it runs. Its text is the daemon's PID. */
  readonly lock: string;
  readonly state: string;
  /** Lock file of the state: daemons with different runtime directories may share a state directory. */
  readonly stateLock: string;
  /** Written by the supervisor for the next daemon (native/launcher/supervisor/store.h); daemons only read it. */
  readonly stayed: string;
  readonly log: string;
}

/**
 * Creates missing directories, with mode 0700.
 * @throws UserError when a directory is another user's, or cannot be created
 */
export function daemonPaths(environment: NodeJS.ProcessEnv = process.env): DaemonPaths {
  const { base, own } = runtimeDirectory(environment);
  const socket = path.join(own, DAEMON_SOCKET);
  const runtime = privateDirectory(path.dirname(socket));
  const state = privateDirectory(stateDirectory(environment));
  return {
    socket,
    launchers: path.join(runtime, "launchers.sock"),
    lock: path.join(runtime, LOCK),
    state: path.join(state, "state.json"),
    stateLock: path.join(state, "state.lock"),
    stayed: path.join(base, "slipway.stayed"),
    log: path.join(state, "daemon.log"),
  };
}

/**
 * The path of the daemon's socket. Creates nothing; the daemon may not run.
 * @throws UserError when another user could have made the socket
 */
export function daemonSocket(environment: NodeJS.ProcessEnv = process.env): string {
  const socket = path.join(runtimeDirectory(environment).own, DAEMON_SOCKET);
  checkDirectory(path.dirname(socket), null);
  return socket;
}

/**
 * The daemon's PID, in its own PID namespace. Credentials of the socket would be those of a service manager that made it.
 * @param socket its path
 * @returns null when it is not known
 */
export function daemonPid(socket: string): number | null {
  try {
    const text = readFileSync(path.join(path.dirname(socket), LOCK), "latin1");
    return /^[1-9]\d{0,9}\n$/.test(text) ? Number(text) : null;
  } catch {
    return null;
  }
}

/** Creates the directory of this user's sockets; ignores errors. */
export function makeRuntimeDirectory(environment: NodeJS.ProcessEnv = process.env): void {
  try {
    mkdirSync(runtimeDirectory(environment).own, { mode: PRIVATE });
  } catch {
    // It exists. Without it, no socket is in it either.
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

/** @param mode of missing directories, which are created; null: they may be missing */
function checkDirectory(directory: string, mode: number | null): void {
  let unsafe: string | null;
  try {
    unsafe = unsafePart(directory, mode);
  } catch (error) {
    if (errnoOf(error) === "EROFS" && isCover(path.dirname(directory))) {
      throw new UserError(
        `commands inside slipway run cannot use the daemon, as ${path.dirname(directory)} is covered there: run them outside of it`,
      );
    }
    throw new UserError(
      `cannot make ${directory} (${errnoOf(error)}): set XDG_RUNTIME_DIR and XDG_STATE_HOME to directories of yours`,
    );
  }
  // privateDirectory() has a message of its own for the directory itself.
  if (unsafe === null || (mode !== null && unsafe === directory)) return;
  throw new UserError(
    `${directory} may be changed by other users, by way of ${unsafe}: make that yours or root's, chmod go-w ${unsafe}, or set XDG_RUNTIME_DIR and XDG_STATE_HOME to directories of yours`,
  );
}

/** Whether `slipway run` hides a directory from its COMMAND: with the mode of native/src/held/covers.c. */
function isCover(directory: string): boolean {
  const status = lstatSync(directory, { throwIfNoEntry: false });
  return status !== undefined && (status.mode & 0o777) === 0o555;
}
