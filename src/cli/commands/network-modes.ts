import { accessSync, constants, existsSync, readdirSync } from "node:fs";
import path from "node:path";
import { UserError } from "../../base/errors.js";
import { openOrStart } from "../../client/start.js";
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

/** `run --network host`: COMMAND takes the place of this process, in the host's network. */
export function runOnHost(command: Command): never {
  const [file] = command;
  const found = findProgram(file);
  if (found === null) throw commandNotFound(file);
  return become(found, command);
}

/** `run --network none`: COMMAND in namespaces of its own, where there is lo, up, and nothing else. */
export function runIsolated(what: Omit<SpawnRequest, "resolvConf">): void {
  const child = spawnHeld({ ...what, resolvConf: "" });
  setLoopbackUp(namespaceOf(child));
  goOnBeside(child);
}

/** Supervises the child and ends the process with its status. */
function goOnBeside(child: HeldChild): void {
  const loop = new Loop();
  loop.start();
  superviseChild(child, (status) => process.exit(status));
  release(child);
}

/**
 * `run --network container:TARGET`: COMMAND in the namespaces of a member, a process, or in the network
 * namespace of a file; takes the place of this process, unless it has to be in another PID namespace.
 */
export async function runBeside(target: string, command: Command): Promise<void> {
  const nsenter = findProgram("nsenter");
  if (nsenter === null) throw new UserError("nsenter is missing: sudo apt-get install util-linux");
  const place = await placeOf(target);
  if (typeof place === "number" && hasOtherPids(place)) {
    goOnBeside(spawnBeside(place, command));
    return;
  }
  const where =
    typeof place === "string"
      ? [`--net=${place}`]
      : ["--target", `${place}`, "--user", "--mount", "--net", "--preserve-credentials"];
  become(nsenter, ["nsenter", ...where, "--", ...command]);
}

/** @returns the PID whose namespaces are meant, or the file of a network namespace that no process is in */
async function placeOf(target: string): Promise<number | string> {
  if (target.includes("/")) return target;
  if (/^\d+$/.test(target)) return existing(Number(target));
  const loop = new Loop();
  loop.start();
  const session = await openOrStart(daemonPaths(), loop, () => undefined);
  const members = await session.request("member.list", {});
  session.close();
  loop.stop();
  const member = members.find(({ name, id }) => name === target || id.startsWith(target));
  if (member === undefined) {
    throw new UserError(`there is no member ${target}: slipway ps shows all members`);
  }
  const { pid, netns } = member;
  if (pid !== null) return pid;
  if (netns !== null) return processIn(netns) ?? netns;
  throw new UserError(`member ${target} has no namespace yet: try again`);
}

/** @returns the PID of a process in a network namespace, which leads to its other namespaces; null: there is none */
function processIn(netns: string): number | null {
  const wanted = idOf(netns);
  const pid = readdirSync("/proc").find((name) => /^\d+$/.test(name) && isIn(name, wanted));
  return pid === undefined ? null : Number(pid);
}

function idOf(netns: string): string {
  try {
    return namespaceId(netns);
  } catch {
    throw new UserError(`${netns} is not seen from here: name a process of that namespace`);
  }
}

function isIn(pid: string, wanted: string): boolean {
  try {
    return namespaceId(`/proc/${pid}/ns/net`) === wanted;
  } catch {
    // It is another user's, or has ended.
    return false;
  }
}

function existing(pid: number): number {
  if (!existsSync(`/proc/${pid}/stat`)) throw noSuchProcess(pid);
  return pid;
}

/** Executes a program in this process. Descriptors 0 to 2 stay open; Node has made all others close-on-exec. */
function become(file: string, argv: readonly string[]): never {
  const environment = Object.fromEntries(
    guestEnvironment(process.env).map((text) => {
      const at = text.indexOf("=");
      return [text.slice(0, at), text.slice(at + 1)];
    }),
  );
  if (process.execve === undefined) {
    throw new UserError(`this needs Node.js 22.15 or newer, and runs by ${process.version}`);
  }
  return process.execve(file, [...argv], environment);
}

/** As execvp(3) looks for it. */
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
