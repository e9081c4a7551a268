import { availableParallelism } from "node:os";
import path from "node:path";
import { getSystemErrorName } from "node:util";
import { UserError } from "../base/errors.js";
import type { Door } from "../base/peer.js";
import { openPort } from "../client/taps.js";
import { Daemon, type ReopenedTap } from "../daemon/daemon.js";
import { DataPlane } from "../dataplane/plane.js";
import { Loop } from "../loop.js";
import type { GivenMember, Params } from "../protocol/messages.js";
import { isSame } from "../protocol/namespaces.js";
import { type Places, places } from "../protocol/places.js";
import { makeLedger } from "../sys/descriptor-limit.js";
import { native } from "../sys/native.js";
import { requestsTo } from "./asked.js";
import { fail } from "./exit.js";
import { adoptInherited } from "./inherited.js";
import type { DaemonRunConfig } from "./network-commands.js";
import { inheritedListener, ServiceManager } from "./service-manager.js";
import { SharedGuests } from "./shared-guests.js";
import { workerStarter } from "./start-worker.js";

const READY = Buffer.from("1");

/** Threads that serve networks, where there are more processors than that: each has some MB. */
const MOST_WORKERS = 4;

/** `slipway daemon run`: serves until it is told to stop. Whoever waits at the ready-fd is told why it failed. */
export async function runDaemon({ readyFd, servesContainers }: DaemonRunConfig): Promise<void> {
  // Whoever waited was told by the one whose place this takes: native/launcher/supervisor.c.
  const { SLIPWAY_RESTARTED: restarted } = process.env;
  const waiting = restarted === undefined ? readyFd : null;
  if (waiting !== null) adoptInherited("--ready-fd", waiting);
  const tell = (bytes: Uint8Array): void => {
    if (waiting === null) return;
    native.writeBytes(waiting, bytes);
    native.close(waiting);
  };
  try {
    await serve(servesContainers ? "containers" : "user");
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    tell(Buffer.from(error.message));
    fail(error.message, error.exitStatus);
  }
  tell(READY);
}

async function serve(door: Door): Promise<void> {
  const workers = Math.min(availableParallelism(), MOST_WORKERS);
  const ledger = makeLedger(1 + workers);
  const loop = new Loop(ledger);
  const startWorker = workerStarter(ledger, () => loop.reclaimWhenQuiet());
  const plane = new DataPlane(startWorker, workers, loop.descriptors);
  const at = places();
  const manager = new ServiceManager(process.env);
  const stop = async (): Promise<void> => {
    manager.tell("STOPPING=1");
    daemon.close();
    shared.close();
    loop.stop();
    await plane.close();
    process.exit(0);
  };
  const onStop = (): void => void stop();
  const listener = inheritedListener(process.env);
  const daemon = new Daemon({ loop, plane, places: at, listener, door, reopen, onStop });
  const shared = new SharedGuests(at.launchers, loop, requestsTo(daemon), door);
  for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, onStop);
  // The terminal that it was started from is no concern of it.
  process.on("SIGHUP", () => undefined);
  loop.start();
  lockDown(at);
  await daemon.restored;
  manager.tell("READY=1");
}

/** What the daemon is left with: files of the system to read, and its own. */
function lockDown({ socket, state }: Places): void {
  const program = path.dirname(process.argv[1] ?? "");
  const readable = ["/proc", "/etc", "/run", program];
  const result = native.lockDownDaemon(readable, [path.dirname(socket), path.dirname(state)]);
  if (result >= 0) return;
  const { step } = native.lastError();
  throw new UserError(`cannot enter the sandbox (${step}, ${getSystemErrorName(result)})`);
}

function reopen({ namespace }: Params<"member.join">, given: GivenMember): readonly ReopenedTap[] {
  if (namespace === null || !isSame(namespace)) throw new UserError("its namespace is gone");
  const opened: ReopenedTap[] = [];
  try {
    for (const port of given.ports) {
      const { ifname, tap } = openPort(namespace, port);
      opened.push({ network: port.network, ifname, tap });
    }
    return opened;
  } catch (error) {
    for (const { tap } of opened) native.close(tap);
    throw error;
  }
}
