import { existsSync } from "node:fs";
import { UserError } from "../../base/errors.js";
import { openOrStart } from "../../client/start.js";
import { locate } from "../../client/target.js";
import { isPid } from "../../config/names.js";
import { Loop } from "../../loop/loop.js";
import { setLoopbackUp } from "../../netns/agent.js";
import { superviseChild } from "../../netns/jobs.js";
import { noSuchProcess, processOf } from "../../netns/netns-file.js";
import { meantProcess } from "../../netns/run-process.js";
import {
  type HeldChild,
  namespaceOf,
  release,
  replaceProcess,
  type SpawnRequest,
  spawnBeside,
  spawnHeld,
  spawnInNetwork,
} from "../../netns/spawn.js";
import { daemonPaths } from "../../rpc/daemon-paths.js";
import { namespaceId, netnsOf } from "../../rpc/namespaces.js";
import { allProcesses } from "../../rpc/processes.js";
import { processOfRun } from "../control/run-named.js";

type Command = SpawnRequest["command"];

/** `run --network host`: replaces this process by COMMAND, in the host's network. @throws UserError */
export function runOnHost(command: Command): never {
  return replaceProcess(command);
}

/** `run --network none`: COMMAND in namespaces of its own, with no interface but lo, which is up. */
export function runIsolated(what: Omit<SpawnRequest, "resolvConf">): void {
  const child = spawnHeld({ ...what, resolvConf: "" });
  setLoopbackUp(namespaceOf(child));
  superviseToEnd(child);
}

/** Lets the child run, supervises it and ends this process with its status. */
function superviseToEnd(child: HeldChild): void {
  const loop = new Loop();
  loop.start();
  superviseChild(child, (status) => process.exit(status));
  release(child);
}

/**
 * `run --network container:TARGET`: COMMAND in the namespaces of a member or a process, or of a process in the network
 * namespace of a file; without such a process in that namespace alone.
 * @throws UserError
 */
export async function runBeside(target: string, command: Command): Promise<void> {
  const found = await findTarget(target);
  refuseOwnNetwork(found);
  superviseToEnd(spawnIn(found, command));
}

function spawnIn(found: number | string, command: Command): HeldChild {
  if (typeof found === "number") return spawnBeside(found, command);
  const pid = processIn(found);
  return pid === null ? spawnInNetwork(found, command) : spawnBeside(pid, command);
}

/** Whoever names a process of the host most likely means another: COMMAND would not be where it was to be. */
function refuseOwnNetwork(found: number | string): void {
  const netns = typeof found === "number" ? netnsOf(found) : found;
  const id = idOf(netns);
  if (id === null || id !== idOf(netnsOf("self"))) return;
  const what = typeof found === "number" ? `process ${found}` : netns;
  throw new UserError(`${what} is in the same network as slipway: use --network host`);
}

/** @returns the PID of a process in the target's namespaces, or the file of a network namespace */
async function findTarget(target: string): Promise<number | string> {
  const pid = isPid(target) ? Number(target) : processOf(target);
  if (pid !== null) return meantProcess(existingProcess(pid));
  if (target.includes("/")) return target;
  const run = await processOfRun(target);
  if (run !== null) return run;
  const loop = new Loop();
  loop.start();
  const session = await openOrStart(daemonPaths(), loop, () => undefined);
  const { netns, pid: member } = await locate(session, target);
  session.close();
  loop.stop();
  if (member !== null) return existingProcess(member);
  if (idOf(netns) !== null) return netns;
  throw new UserError(
    `${netns}, the namespace of member ${target}, cannot be opened from here: name a process in it instead`,
  );
}

/** @returns the PID of a process in a network namespace, by which its other namespaces are found; null: none */
function processIn(netns: string): number | null {
  const wanted = idOf(netns);
  if (wanted === null) return null;
  return allProcesses().find((pid) => idOf(netnsOf(pid)) === wanted) ?? null;
}

/** @returns null when there is no such file, or it belongs to another user's process */
function idOf(netns: string): string | null {
  try {
    return namespaceId(netns);
  } catch {
    return null;
  }
}

function existingProcess(pid: number): number {
  if (!existsSync(`/proc/${pid}/stat`)) throw noSuchProcess(pid);
  return pid;
}
