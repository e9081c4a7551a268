import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { UserError } from "../base/errors.js";
import { isSameName } from "../config/names.js";
import { isOwnNetwork, netnsOf } from "../rpc/namespaces.js";
import { allProcesses, argumentsOf, isOwnProcess, parentOf } from "../rpc/processes.js";

/** How long a COMMAND that is being started is waited for, and between two looks, in ms. */
export const START_LIMIT = 10_000;
const START_LOOK = 20;

/** As the launcher calls it, behind Node and its flags: native/launcher/node.c. */
const BUNDLE = "/dist/slipway.cjs";
/** What Slipway's own children are called: native/launcher/sandbox/broker.c, native/src/held/reaper.c. */
const OWN_CHILDREN = ["slipway-keeper", "slipway-init"];

/** Whether a process is in another network than ours; false where we may not look. */
export type IsElsewhere = (pid: number) => boolean;

/** What a process is, to somebody who looks for the COMMAND of a `slipway run`. */
export type RunProcess =
  /** It is no `slipway run`. */
  | { readonly kind: "other" }
  /** Its COMMAND has not been executed. */
  | { readonly kind: "starting" }
  /** COMMAND's PID. */
  | { readonly kind: "running"; readonly command: number };

/** Whether a process has the command line of a `slipway run`, in whatever network. */
export function isRun(pid: number): boolean {
  return optionsOfRun(argumentsOf(pid)) !== null;
}

/**
 * Looks whether a process is a `slipway run`, as `$!` of a shell is. Most of its files in /proc belong to root, but not its
 * command line, nor the files of its COMMAND.
 */
export function runProcess(pid: number, isElsewhere: IsElsewhere = looksElsewhere): RunProcess {
  const options = optionsOfRun(argumentsOf(pid));
  return options === null ? { kind: "other" } : stateOf(pid, options, isElsewhere);
}

/**
 * The process that a user means by a PID: COMMAND, if it is the PID of `slipway run`, such as `$!`, whose own process
 * stays in the host's namespaces. Waits until COMMAND has been executed.
 * @throws UserError when it does not start
 */
export async function meantProcess(pid: number, isElsewhere?: IsElsewhere): Promise<number> {
  const run = await whileStarting(
    () => runProcess(pid, isElsewhere),
    ({ kind }) => kind === "starting",
  );
  switch (run.kind) {
    case "other":
      return pid;
    case "running":
      return run.command;
    case "starting":
      throw notStarted(pid);
  }
}

export function notStarted(pid: number): UserError {
  return new UserError(
    `process ${pid} is slipway run, which has not started its command: try again, or name it by --name`,
  );
}

/** Waits while a `slipway run --name NAME` is being started, if there is one. */
export async function whenNamedRunIsUp(name: string): Promise<void> {
  await whileStarting(
    () => isBeingStarted(name),
    (isStarting) => isStarting,
  );
}

/** Looks again and again while something is being started, for START_LIMIT at most. @returns what the last look found */
export async function whileStarting<T>(
  look: () => T | Promise<T>,
  isStarting: (found: T) => boolean,
): Promise<T> {
  for (let waited = 0; ; waited += START_LOOK) {
    const found = await look();
    if (!isStarting(found) || waited >= START_LIMIT) return found;
    await delay(START_LOOK);
  }
}

/** Whether some `slipway run --name NAME` of this user has not executed its COMMAND yet. Who waits for that trusts nobody. */
export function isBeingStarted(name: string): boolean {
  return allProcesses().some((pid) => {
    const options = optionsOfRun(argumentsOf(pid));
    if (options === null || !isNamed(options, name)) return false;
    if (!isOwnProcess(pid) || isForked(pid, options)) return false;
    return stateOf(pid, options, looksElsewhere).kind === "starting";
  });
}

function isNamed(options: readonly string[], name: string): boolean {
  return options.some((option, index) => {
    const value = option === "--name" ? options[index + 1] : /^--name=(.*)$/s.exec(option)?.[1];
    return value !== undefined && isSameName(value, name);
  });
}

function stateOf(run: number, options: readonly string[], isElsewhere: IsElsewhere): RunProcess {
  const command = allProcesses().find(
    // Programs that only help to start COMMAND are in our network.
    (pid) => parentOf(pid) === run && isExecuted(pid, options) && isElsewhere(pid),
  );
  return command === undefined ? { kind: "starting" } : { kind: "running", command };
}

/** @returns what follows `slipway run`, be it the launcher or Node; null: it is another program */
function optionsOfRun(args: readonly string[]): readonly string[] | null {
  const name = args.findIndex((arg) => path.basename(arg) === "slipway");
  if (args[name + 1] !== "run") return null;
  if (name > 0 && !args[name - 1].endsWith(BUNDLE)) return null;
  return args.slice(name + 2);
}

/** Whether a process is one that a run has forked off, such as the broker, and not the run. */
function isForked(pid: number, options: readonly string[]): boolean {
  const parent = parentOf(pid);
  return parent !== null && isRunWith(argumentsOf(parent), options);
}

/** Until they execute something, what was forked off has the arguments of its parent, or of the broker. */
function isExecuted(child: number, options: readonly string[]): boolean {
  const args = argumentsOf(child);
  if (args.length === 0 || OWN_CHILDREN.includes(args[0])) return false;
  return !isRunWith(args, options);
}

function isRunWith(args: readonly string[], options: readonly string[]): boolean {
  // By a link, the launcher has any name.
  const line = ["run", ...options];
  return args.slice(-line.length).join("\0") === line.join("\0");
}

function looksElsewhere(pid: number): boolean {
  try {
    return !isOwnNetwork(netnsOf(pid));
  } catch {
    // It is another user's, or has ended.
    return false;
  }
}
