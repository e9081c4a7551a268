import { accessSync, constants, existsSync, readdirSync } from "node:fs";
import path from "node:path";
import { UserError } from "../../base/errors.js";
import { openOrStart } from "../../client/start.js";
import { findByName } from "../../config/names.js";
import { Loop } from "../../loop/loop.js";
import { setLoopbackUp } from "../../netns/agent.js";
import { superviseChild } from "../../netns/jobs.js";
import { noSuchProcess } from "../../netns/netns-file.js";
import {
  commandNotFound,
  guestEnvironment,
  type HeldChild,
  hasOtherPids,
  namespaceOf,
  release,
  type SpawnRequest,
  spawnBeside,
  spawnHeld,
} from "../../netns/spawn.js";
import { daemonPaths } from "../../rpc/daemon-paths.js";
import { namespaceId } from "../../rpc/namespaces.js";

type Command = readonly [file: string, ...args: string[]];

/** `run --network host`: replaces this process by COMMAND, in the host's network. */
export function runOnHost(command: Command): never {
  const [file] = command;
  const found = findProgram(file);
  if (found === null) throw commandNotFound(file);
  return become(found, command);
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
 * `run --network container:TARGET`: COMMAND in the namespaces of a member or a process, or in the network namespace
 * of a file. COMMAND replaces this process, unless it runs in another PID namespace, which takes a child.
 */
export async function runBeside(target: string, command: Command): Promise<void> {
  const nsenter = findProgram("nsenter");
  if (nsenter === null) throw new UserError("nsenter is missing: sudo apt-get install util-linux");
  const found = await findTarget(target);
  if (typeof found === "number" && hasOtherPids(found)) {
    superviseToEnd(spawnBeside(found, command));
    return;
  }
  const where =
    typeof found === "string"
      ? [`--net=${found}`]
      : ["--target", `${found}`, "--user", "--mount", "--net", "--preserve-credentials"];
  become(nsenter, ["nsenter", ...where, "--", ...command]);
}

/** @returns the PID of a process in the target's namespaces, or the file of a network namespace without one */
async function findTarget(target: string): Promise<number | string> {
  if (target.includes("/")) return target;
  if (/^\d+$/.test(target)) return existingProcess(Number(target));
  const loop = new Loop();
  loop.start();
  const session = await openOrStart(daemonPaths(), loop, () => undefined);
  const members = await session.request("member.list", {});
  session.close();
  loop.stop();
  const member = findByName(members, target);
  if (member === undefined) {
    throw new UserError(`there is no member ${target}: slipway ps shows all members`);
  }
  const { pid, netns } = member;
  if (pid !== null) return pid;
  if (netns !== null) return processIn(netns) ?? netns;
  throw new UserError(`member ${target} has no namespace yet: try again`);
}

/** @returns the PID of a process in a network namespace, by which its other namespaces are found; null: none */
function processIn(netns: string): number | null {
  const wanted = idOf(netns);
  const pid = readdirSync("/proc").find((name) => /^\d+$/.test(name) && isIn(name, wanted));
  return pid === undefined ? null : Number(pid);
}

function idOf(netns: string): string {
  try {
    return namespaceId(netns);
  } catch {
    throw new UserError(`cannot open ${netns} from here: name a process in that namespace instead`);
  }
}

function isIn(pid: string, wanted: string): boolean {
  try {
    return namespaceId(`/proc/${pid}/ns/net`) === wanted;
  } catch {
    // The process is another user's, or has ended.
    return false;
  }
}

function existingProcess(pid: number): number {
  if (!existsSync(`/proc/${pid}/stat`)) throw noSuchProcess(pid);
  return pid;
}

/** Replaces this process by a program. Descriptors 0 to 2 stay open; Node has made all others close-on-exec. */
function become(file: string, argv: readonly string[]): never {
  const environment = Object.fromEntries(
    guestEnvironment(process.env).map((text) => {
      const at = text.indexOf("=");
      return [text.slice(0, at), text.slice(at + 1)];
    }),
  );
  if (process.execve === undefined) {
    throw new UserError(
      `this --network needs Node.js 22.15 or newer, and this is ${process.version}`,
    );
  }
  return process.execve(file, [...argv], environment);
}

/** Searches PATH as execvp(3) does. */
function findProgram(name: string): string | null {
  const { PATH = "/usr/local/bin:/usr/bin:/bin" } = process.env;
  const candidates = name.includes("/")
    ? [name]
    : PATH.split(path.delimiter).map((directory) => path.join(directory, name));
  return candidates.find(isExecutable) ?? null;
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
