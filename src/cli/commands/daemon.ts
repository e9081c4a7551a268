import { closeSync, fstatSync, openSync } from "node:fs";
import { availableParallelism } from "node:os";
import path from "node:path";
import { getSystemErrorName } from "node:util";
import { makeLedger } from "../../admission/descriptor-limit.js";
import { UserError } from "../../base/errors.js";
import { log } from "../../base/log.js";
import { openAttachment } from "../../client/taps.js";
import type { DaemonRunConfig } from "../../commandline/requests.js";
import { Daemon } from "../../daemon/daemon.js";
import { resolverFiles } from "../../daemon/resolver-files.js";
import type { ReopenedTap } from "../../daemon/restore.js";
import { inheritedListener, ServiceManager } from "../../daemon/service-manager.js";
import { requestsTo } from "../../daemon/shared/command-proxy.js";
import { LauncherServer } from "../../daemon/shared/launcher-server.js";
import type { Stayed } from "../../daemon/stayed.js";
import { DataPlane } from "../../daemon/workers/plane.js";
import { workerStarter } from "../../daemon/workers/start-worker.js";
import { RESOLV_CONF } from "../../host/guest-config.js";
import { Loop } from "../../loop/loop.js";
import { cookieOf } from "../../netns/agent.js";
import { daemonPaths } from "../../rpc/daemon-paths.js";
import type { GivenMember, NamespaceRef } from "../../rpc/messages.js";
import { ReadyFd } from "../../sys/inherited.js";
import { native } from "../../sys/native.js";
import type { Door } from "../../sys/peer-rule.js";
import { TapStore } from "../../sys/tap-store.js";

/** Of open(2). Node has no name for it; the number is the same on x64 and arm64. */
const O_PATH = 0o10000000;

/** At most so many threads serve networks, one a processor: each needs some MB. */
const MOST_WORKERS = 4;

/** `slipway daemon run`: serves until it is told to stop. Writes "1" to the ready-fd, or why it failed. */
export async function runDaemon({ readyFd, servesContainers }: DaemonRunConfig): Promise<void> {
  // The daemon before this one has written to it.
  const waiting = new ReadyFd(isRestarted() ? null : readyFd);
  try {
    await serve(servesContainers ? "containers" : "user");
  } catch (error) {
    if (error instanceof UserError) waiting.tell(error.message);
    throw error;
  }
  waiting.tell("1");
}

/** Whether the supervisor has started this daemon in place of another: native/launcher/supervisor/supervisor.c. */
function isRestarted(): boolean {
  const { SLIPWAY_RESTARTED: restarted } = process.env;
  return restarted !== undefined;
}

async function serve(door: Door): Promise<void> {
  const workers = Math.min(availableParallelism(), MOST_WORKERS);
  const ledger = makeLedger(1 + workers);
  const loop = new Loop(ledger);
  const startWorker = workerStarter(ledger, () => loop.reclaimWhenQuiet());
  const plane = new DataPlane(startWorker, workers, loop.descriptors);
  const paths = daemonPaths();
  const manager = new ServiceManager(process.env);
  const stop = async (): Promise<void> => {
    manager.tell("STOPPING=1");
    daemon.close();
    launchers.close();
    loop.stop();
    await plane.close();
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
    door,
    reopen,
    onStop,
    isRestarted: isRestarted(),
  });
  const launchers = new LauncherServer(paths.launchers, loop, requestsTo(daemon), door);
  for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, onStop);
  // It outlives the terminal that it was started from.
  process.on("SIGHUP", () => undefined);
  loop.start();
  lockDown(writable);
  await daemon.restored;
  manager.tell("READY=1");
}

/** Our end of the supervisor's store (native/launcher/supervisor/store.h), which it has opened for us. */
function storeEnd({ SLIPWAY_STORE: fd }: NodeJS.ProcessEnv): number | null {
  return fd !== undefined && native.adoptFd(Number(fd)) >= 0 ? Number(fd) : null;
}

/**
 * Leaves the daemon resolv.conf, its program and its own files, and /proc: it reads the host's routes there and who its
 * peers are (src/sys/peer.ts), and V8 reads about the machine. What needs the rights of ptrace(2) in /proc, such as
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

/** Opens the TAPs of a namespace by a descriptor: by the time that it is entered the path may lead elsewhere. */
function reopen(
  { netns }: NamespaceRef,
  given: GivenMember,
  stayed: Stayed,
): readonly ReopenedTap[] {
  const file = openPath(netns);
  const opened: ReopenedTap[] = [];
  try {
    const { dev, ino } = fstatSync(file);
    const cookie = stayed.get(`${dev}:${ino}`);
    // The user namespace is the one that owns the network namespace, whatever the state says.
    const namespace = { netns: `/proc/self/fd/${file}`, userns: null };
    // An inode's number may have been reused; a cookie never is.
    if (cookie === undefined || cookieOf(namespace) !== cookie) throw gone();
    for (const attachment of given.attachments) {
      const { ifname, tap } = openAttachment(namespace, attachment);
      opened.push({ network: attachment.network, ifname, tap });
    }
    return opened;
  } catch (error) {
    for (const { tap } of opened) native.close(tap);
    throw error;
  } finally {
    closeSync(file);
  }
}

/** Opens a path by O_PATH, which has no effect on what is there. @throws UserError */
function openPath(file: string): number {
  try {
    return openSync(file, O_PATH);
  } catch {
    throw gone();
  }
}

function gone(): UserError {
  return new UserError("its namespace is gone");
}
