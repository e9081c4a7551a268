import { existsSync, readlinkSync } from "node:fs";
import { constants } from "node:os";
import path from "node:path";
import { getSystemErrorName } from "node:util";
import { errnoOf, UserError } from "../base/errors.js";
import { log } from "../base/log.js";
import type { InsideOptions } from "../commandline/invocation.js";
import { makeRuntimeDirectory } from "../rpc/daemon-paths.js";
import { netnsOf } from "../rpc/namespaces.js";
import { runtimeDirectories } from "../rpc/xdg.js";
import { ignoredSignals, inheritedDescriptors } from "../sys/inherited.js";
import { native } from "../sys/native.js";
import { systemFailure, workdirSentence } from "./failure.js";
import type { Namespace } from "./namespace.js";
import { noSuchProcess, processOf } from "./netns-file.js";
import { isMissing } from "./program.js";
import type { SubordinateIds } from "./subordinate-ids.js";

const { EACCES, ENOENT } = constants.errno;

/** The launcher's marks in the environment: native/launcher/slipway.c. */
const PARKED_PREFIX = "SLIPWAY_PARKED_";
const OWN_VARIABLES: readonly string[] = [
  "SLIPWAY_FDS",
  "SLIPWAY_IGNORED",
  "SLIPWAY_BROKER",
  "SLIPWAY_ROOT",
];

/** What to run in new namespaces. */
export interface SpawnRequest {
  readonly command: readonly [file: string, ...args: string[]];
  /** What it is told that it was called by; absent: `file`. */
  readonly calledAs?: string;
  /** Whether it keeps uid and gid inside; otherwise it is root there. */
  readonly keepId: boolean;
  /** What maps further ids; absent or null: it has none but its own. */
  readonly moreIds?: SubordinateIds | null;
  /** Text of its /etc/resolv.conf; null: the host's. */
  readonly resolvConf: string | null;
  /** Text of its /etc/hosts; absent or null: the host's. */
  readonly hosts?: string | null;
  /** Its hostname; absent or null: the host's. */
  readonly hostname?: string | null;
  readonly inside: InsideOptions;
  /** Path of this process's own API socket, if it has one. */
  readonly apiSocket?: string | null;
}

/** A child in other namespaces that has not executed its command yet. */
export type HeldChild = Exclude<ReturnType<typeof native.spawnHeld>, number> & {
  readonly file: string;
  /** Whether `file` is in no directory of PATH. Looked up early: the sandbox forbids it later. */
  readonly isMissing: boolean;
};

/**
 * Starts a child in new namespaces and holds it before exec. If it cannot have a PID namespace of its own, it sees the
 * host's processes, and a warning is logged.
 * @throws UserError
 */
export function spawnHeld({
  command,
  calledAs = command[0],
  keepId,
  moreIds = null,
  resolvConf,
  hosts = null,
  hostname = null,
  inside: { ownPids, seesApi },
  apiSocket = null,
}: SpawnRequest): HeldChild {
  const common = commonRequest(command);
  const child = native.spawnHeld({
    ...common,
    argv: [calledAs, ...command.slice(1)],
    insideUid: keepId ? common.uid : 0,
    insideGid: keepId ? common.gid : 0,
    ...moreIds,
    resolvConf,
    hosts,
    hostname,
    hostnameFile: hostname === null ? null : `${hostname}\n`,
    ownPids,
    hidden: seesApi ? [] : hiddenPaths(apiSocket),
  });
  if (typeof child === "number") throw systemFailure(child, null);
  if (child.reaperError < 0) warnOfPids(child.reaperError);
  return { ...child, file: command[0], isMissing: isMissing(command[0]) };
}

/** CLONE_NEW* of sched.h, by the names in /proc/PID/ns. */
const NAMESPACES: Readonly<Record<string, number>> = {
  mnt: 0x2_0000,
  uts: 0x400_0000,
  ipc: 0x800_0000,
  user: 0x1000_0000,
  pid: 0x2000_0000,
  net: 0x4000_0000,
};

/**
 * Starts a child in the namespaces of a process, as far as they are others than ours, and holds it before exec.
 * @throws UserError
 */
export function spawnBeside(pid: number, command: SpawnRequest["command"]): HeldChild {
  // setns(2) fails for the user namespace that the caller is in already.
  const entered = Object.entries(NAMESPACES).filter(([name]) => isElsewhere(pid, name));
  const joinedNamespaces = entered.reduce((all, [, flag]) => all | flag, 0);
  return spawnJoined({ joined: pid, joinedNamespaces }, namespaceOf({ pid }), command);
}

/**
 * Starts a child in a network namespace, and in the user namespace that owns it, and holds it before exec.
 * @param netns its file
 * @throws UserError
 */
export function spawnInNetwork(netns: string, command: SpawnRequest["command"]): HeldChild {
  return spawnJoined({ joinedNetns: netns }, { netns, userns: null }, command);
}

function spawnJoined(
  joined: Partial<Parameters<typeof native.spawnHeld>[0]>,
  namespace: Namespace,
  command: SpawnRequest["command"],
): HeldChild {
  const child = native.spawnHeld({ ...unchangedRequest(command), ...joined });
  if (typeof child === "number") {
    const pid = processOf(namespace.netns);
    if (pid !== null && !existsSync(`/proc/${pid}/stat`)) throw noSuchProcess(pid);
    throw systemFailure(child, namespace);
  }
  return { ...child, file: command[0], isMissing: isMissing(command[0]) };
}

/**
 * Executes a command in place of this process.
 * @throws UserError when it cannot, with the exit status that shells have for the reason
 */
export function replaceProcess(command: SpawnRequest["command"]): never {
  if (directory !== null) enter(directory);
  const errno = -native.replaceProcess(unchangedRequest(command));
  throw executionFailure(errno, { file: command[0], isMissing: isMissing(command[0]) });
}

function enter(path: string): void {
  try {
    process.chdir(path);
  } catch (error) {
    throw new UserError(workdirSentence(path, errnoOf(error)));
  }
}

/** A command with the caller's ids and files. */
function unchangedRequest(command: SpawnRequest["command"]) {
  const common = commonRequest(command);
  const { uid, gid } = common;
  return { ...common, insideUid: uid, insideGid: gid, resolvConf: null, hidden: [] };
}

/** What every child gets of this process: ids, environment, inherited descriptors and ignored signals. */
function commonRequest(command: SpawnRequest["command"]) {
  return {
    ...effectiveIds(),
    file: command[0],
    argv: command,
    env: guestEnvironment(process.env),
    directory,
    keep: inheritedDescriptors(),
    ignore: ignoredSignals(),
  };
}

/** Whether a process is in another namespace than ours. @param name as in /proc/PID/ns @throws UserError */
function isElsewhere(pid: number, name: string): boolean {
  try {
    return readlinkSync(`/proc/${pid}/ns/${name}`) !== readlinkSync(`/proc/self/ns/${name}`);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") throw noSuchProcess(pid);
    throw new UserError(
      `not permitted to read the namespaces of process ${pid}: run slipway as its user`,
    );
  }
}

/**
 * The paths of Slipway's sockets. The daemon's directory is made if missing, so that the socket of a daemon that starts
 * later is hidden as well.
 */
function hiddenPaths(apiSocket: string | null): string[] {
  makeRuntimeDirectory();
  const directories = runtimeDirectories();
  return apiSocket === null ? directories : [...directories, path.resolve(apiSocket)];
}

function warnOfPids(error: number): void {
  const name = getSystemErrorName(error);
  log.warn(
    `the command sees the host's processes, as it cannot have a /proc of its own here (${name}); containers that mask parts of /proc cause this: --pid host avoids this warning`,
  );
}

/**
 * Has a held child execute its command.
 * @throws UserError when it cannot, with the exit status that shells have for the reason
 */
export function release(child: HeldChild): void {
  const errno = -native.releaseSpawned(child.control);
  if (errno > 0) throw executionFailure(errno, child);
}

function executionFailure(
  errno: number,
  { file, isMissing }: Pick<HeldChild, "file" | "isMissing">,
): UserError {
  // execvp(3) also returns EACCES when it may not search a directory of PATH.
  if (errno === ENOENT || (errno === EACCES && isMissing)) {
    return new UserError(`command ${file} not found: check its name, or install it`, 127);
  }
  const name = getSystemErrorName(-errno);
  return new UserError(`command ${file} is not executable (${name}): check its mode: ls -l`, 126);
}

/** The network namespace of a process. */
export function namespaceOf({ pid }: Pick<HeldChild, "pid">): Namespace {
  return { netns: netnsOf(pid), userns: null };
}

/**
 * The environment of commands, as `NAME=value`: the user's, with the variables that the launcher renamed because they
 * would change Node, and those of setVariable(), and without the launcher's own.
 */
export function guestEnvironment(own: NodeJS.ProcessEnv): string[] {
  const all = Object.entries(own).filter(([name]) => !OWN_VARIABLES.includes(name));
  const isParked = ([name]: readonly [string, unknown]): boolean => name.startsWith(PARKED_PREFIX);
  const parked = all
    .filter(isParked)
    .map(([name, value]) => [name.slice(PARKED_PREFIX.length), value] as const);
  const variables = new Map([...all.filter((each) => !isParked(each)), ...parked]);
  return [...variables].map(([name, value]) => `${name}=${value}`);
}

/** Where commands begin; null: in the directory of this process. */
let directory: string | null = null;

/** Has commands begin in a directory, of the files that they see. */
export function setDirectory(path: string | null): void {
  directory = path;
}

/** Sets a variable for commands, and not for this process. */
export function setVariable(name: string, value: string): void {
  process.env[PARKED_PREFIX + name] = value;
}

export function effectiveIds(): { uid: number; gid: number } {
  const { geteuid, getegid } = process;
  // Node has both on every system but Windows.
  if (geteuid === undefined || getegid === undefined) throw new Error("not a POSIX system");
  return { uid: geteuid(), gid: getegid() };
}
