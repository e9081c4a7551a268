import { availableParallelism } from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { getSystemErrorName } from "node:util";
import { makeLedger } from "../../admission/descriptor-limit.js";
import { UserError } from "../../base/errors.js";
import { log } from "../../base/log.js";
import type { DaemonRunConfig } from "../../commandline/requests.js";
import type { ClusterConfig } from "../../config/cluster-config.js";
import type { OpenOverlays } from "../../daemon/cluster/overlays.js";
import { Daemon } from "../../daemon/daemon.js";
import { resolverFiles } from "../../daemon/resolver-files.js";
import { inheritedListener, ServiceManager } from "../../daemon/service-manager.js";
import { requestsTo } from "../../daemon/shared/command-proxy.js";
import { LauncherServer } from "../../daemon/shared/launcher-server.js";
import { awaitSupervisor, takeLocks } from "../../daemon/state/locks.js";
import { DataPlane } from "../../daemon/workers/plane.js";
import { workerStarter } from "../../daemon/workers/start-worker.js";
import { RESOLV_CONF } from "../../host/guest-config.js";
import { Loop } from "../../loop/loop.js";
import { daemonPaths } from "../../rpc/daemon-paths.js";
import { ReadyFd } from "../../sys/inherited.js";
import { native } from "../../sys/native.js";
import type { Audience } from "../../sys/peers/access.js";
import { TapStore } from "../../sys/tap-store.js";
import { type DaemonConfig, daemonConfig } from "../configuration/settings.js";

/** Threads that serve networks: one for each processor, at most this many, as each needs some MB. */
const MOST_WORKERS = 4;

/** How long the cluster's store may take to hear that this host leaves, in ms. */
const LEAVE_LIMIT = 1_000;

/** `slipway daemon run`: serves until it is told to stop. Writes "1" to the ready-fd, or why it failed. */
export async function runDaemon({ readyFd, ...given }: DaemonRunConfig): Promise<void> {
  // A restarted daemon does not write to it: the first one did.
  const waiting = new ReadyFd(isRestarted() ? null : readyFd);
  try {
    await serve(await daemonConfig(given));
  } catch (error) {
    if (error instanceof UserError) waiting.write(error.message);
    throw error;
  }
  waiting.write("1");
}

/** Whether the supervisor (native/launcher/supervisor/supervisor.c) has started this daemon after a crash of the last. */
function isRestarted(): boolean {
  const { SLIPWAY_RESTARTED: restarted } = process.env;
  return restarted !== undefined;
}

async function serve({
  servesContainers,
  cluster,
  settings,
  warnings,
}: DaemonConfig): Promise<void> {
  const audience: Audience = servesContainers ? "containers" : "user";
  const paths = daemonPaths();
  if (!isRestarted()) await awaitSupervisor(paths);
  takeLocks(paths);
  const openOverlays = cluster === null ? null : await prepared(cluster);
  const workers = Math.min(availableParallelism(), MOST_WORKERS);
  const ledger = makeLedger(1 + workers);
  const loop = new Loop(ledger);
  const startWorker = workerStarter(ledger, () => loop.reclaimWhenQuiet());
  const plane = new DataPlane(startWorker, workers, loop.descriptors);
  const manager = new ServiceManager(process.env);
  const stop = async (): Promise<void> => {
    manager.tell("STOPPING=1");
    const closed = daemon.close();
    launchers.close();
    loop.stop();
    await Promise.all([plane.close(), Promise.race([closed, delay(LEAVE_LIMIT)])]);
    process.exit(0);
  };
  const onStop = (): void => void stop();
  const listener = inheritedListener(process.env);
  const store = new TapStore(storeEnd(process.env), loop, () =>
    log.warn("a member will not outlive this daemon's crash: its supervisor keeps no more TAPs"),
  );
  const writable = [path.dirname(paths.socket), path.dirname(paths.state)];
  const daemon = new Daemon({
    loop,
    plane,
    store,
    paths,
    writable,
    listener,
    audience,
    settings,
    warnings,
    onStop,
    openOverlays,
    isRestarted: isRestarted(),
  });
  const launchers = new LauncherServer(paths.launchers, loop, requestsTo(daemon), audience);
  for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, onStop);
  // The daemon outlives the terminal that it was started from.
  process.on("SIGHUP", () => undefined);
  loop.start();
  lockDown(writable);
  await daemon.restored;
  await daemon.answered();
  manager.tell("READY=1");
}

/** A daemon without a store does not load what is needed for one. @throws UserError */
async function prepared(cluster: ClusterConfig): Promise<OpenOverlays> {
  const { prepareOverlays } = await import("../../daemon/cluster/open.js");
  return prepareOverlays(cluster);
}

/** Our end of the supervisor's store (native/launcher/supervisor/store.h), which it has opened for us. */
function storeEnd({ SLIPWAY_STORE: fd }: NodeJS.ProcessEnv): number | null {
  return fd !== undefined && native.adoptFd(Number(fd)) >= 0 ? Number(fd) : null;
}

/**
 * Leaves the daemon resolv.conf, its program and its own files, and /proc: it reads the host's routes there and who its
 * peers are (src/sys/peers/peer.ts), and V8 reads about the machine. What needs the rights of ptrace(2) in /proc, such as
 * memory and environment of other processes, Landlock forbids.
 */
function lockDown(writable: readonly string[]): void {
  const program = path.dirname(process.argv[1] ?? "");
  const readable = ["/proc", program, ...resolverFiles(RESOLV_CONF)];
  const result = native.lockDownDaemon(readable, writable);
  if (result >= 0) return;
  const { step } = native.lastError();
  throw new UserError(`cannot enter the sandbox (${step}, ${getSystemErrorName(result)})`);
}
