import { closeSync, openSync } from "node:fs";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { errnoOf, UserError } from "../base/errors.js";
import type { DaemonPaths } from "../rpc/daemon-paths.js";
import { ALREADY_RUNNING } from "../rpc/messages.js";
import { namespaceId, netnsOf } from "../rpc/namespaces.js";
import type { Watcher } from "../sys/sockets/line-socket.js";
import { Session, type SessionEnd } from "./session.js";

/** Mode of the log, as it may contain addresses. */
const PRIVATE = 0o600;

/** How long to wait for a daemon that another process starts, and the interval between attempts, in ms. */
const START_LIMIT = 3_000;
const START_LOOK = 20;

/** Written to the ready-fd when the daemon listens. */
const READY = "1";

/** How many daemons may end, one after the other, before they have answered anything. */
export const MOST_LOSSES = 3;

/** How a daemon is started, if none runs. */
export interface Launch {
  /** For `slipway daemon run`. */
  readonly options: readonly string[];
  /** Variables that it has besides ours. */
  readonly environment: Readonly<Record<string, string>>;
}

/** With nothing but its configuration file. */
const PLAIN: Launch = { options: [], environment: {} };

/**
 * Opens a session with the daemon, and starts one if none runs. A daemon that ends meanwhile is replaced.
 * @param onEnd called when the connection of the session ends that was returned
 * @throws UserError
 */
export async function openOrStart(
  paths: DaemonPaths,
  watcher: Watcher,
  onEnd: (how: SessionEnd) => void,
  launch: Launch = PLAIN,
): Promise<Session> {
  for (let losses = 1; ; losses += 1) {
    let end: SessionEnd | null = null;
    let isOpen = false;
    const onSessionEnd = (how: SessionEnd): void => {
      end = how;
      if (isOpen) onEnd(how);
    };
    const session =
      (await Session.open(paths.socket, watcher, onSessionEnd)) ??
      (await started(paths, watcher, onSessionEnd, launch));
    try {
      await requireOwnNetwork(session);
      isOpen = true;
      return session;
    } catch (error) {
      // Also one that somebody stops meanwhile: it is needed again.
      if (end === null || session.isRefused || losses >= MOST_LOSSES) throw error;
    }
  }
}

/** @throws UserError when the daemon is in another network namespace, or has ended */
async function requireOwnNetwork(session: Session): Promise<void> {
  const { namespace } = await session.request("status", {});
  if (namespace === namespaceId(netnsOf("self"))) return;
  session.close();
  throw new UserError(
    "the daemon runs in another network namespace: set XDG_RUNTIME_DIR to another directory for one of its own",
  );
}

/** When several processes start a daemon at once, one succeeds, and the others connect to it. */
async function started(
  paths: DaemonPaths,
  watcher: Watcher,
  onEnd: (how: SessionEnd) => void,
  launch: Launch,
): Promise<Session> {
  const failure = await startDaemon(paths, launch);
  if (failure !== null && failure !== ALREADY_RUNNING) throw new UserError(failure);
  for (let waited = 0; waited <= START_LIMIT; waited += START_LOOK) {
    const session = await Session.open(paths.socket, watcher, onEnd);
    if (session !== null) return session;
    await delay(START_LOOK);
  }
  throw new UserError(failure ?? `the daemon does not answer: see ${paths.log}`);
}

/** @returns null when it is ready; otherwise the message with which it ended */
async function startDaemon(
  { log }: DaemonPaths,
  { options, environment }: Launch,
): Promise<string | null> {
  // A static import would add 2 ms to each start.
  const { spawn } = process.getBuiltinModule("node:child_process");
  const output = openLog(log);
  const launcher = path.join(__dirname, "../bin/slipway");
  const daemon = spawn(launcher, ["daemon", "run", "--ready-fd", "3", ...options], {
    cwd: "/",
    detached: true,
    env: { ...process.env, ...environment },
    stdio: ["ignore", output, output, "pipe"],
  });
  closeSync(output);
  daemon.unref();
  const ready = daemon.stdio[3];
  let text = "";
  await new Promise<void>((resolve) => {
    daemon.once("error", () => resolve());
    daemon.once("exit", () => resolve());
    ready?.on("data", (part: Buffer) => {
      text += part.toString();
      if (text.startsWith(READY)) resolve();
    });
    ready?.once("end", () => resolve());
  });
  ready?.removeAllListeners().destroy();
  if (text.startsWith(READY)) return null;
  return text === "" ? `the daemon ended during its start: see ${log}` : text.trim();
}

function openLog(file: string): number {
  try {
    return openSync(file, "a", PRIVATE);
  } catch (error) {
    throw new UserError(`cannot write ${file} (${errnoOf(error)}): see its directory`);
  }
}
