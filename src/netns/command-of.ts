import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { UserError } from "../base/errors.js";
import { statFields } from "../rpc/namespaces.js";

/** How long COMMAND may take to start, and how often it is looked for, in ms. */
const PATIENCE = 10_000;
const PAUSE = 20;

/** As the launcher calls it, behind Node and its flags: native/launcher/node.c. */
const BUNDLE = "/dist/slipway.cjs";
/** What Slipway's own children are called: native/launcher/sandbox/broker.c, native/src/held/reaper.c. */
const OWN_CHILDREN = ["slipway-keeper", "slipway-init"];

/**
 * The process that a user means by a PID: COMMAND, if it is the PID of `slipway run`, such as `$!`, whose own process
 * stays in the host's namespaces. Waits until COMMAND has been executed.
 * @throws UserError when it does not start
 */
export async function meantProcess(pid: number): Promise<number> {
  const deadline = performance.now() + PATIENCE;
  for (;;) {
    const options = optionsOfRun(argumentsOf(pid));
    if (options === null) return pid;
    const command = childrenOf(pid).find((child) => isCommand(child, options));
    if (command !== undefined) return command;
    if (performance.now() > deadline) {
      throw new UserError(
        `process ${pid} is slipway run, which has not started its command: try again, or name it by --name`,
      );
    }
    await delay(PAUSE);
  }
}

/** @returns none when the process is gone, or has not started yet */
function argumentsOf(pid: number): readonly string[] {
  return read(`/proc/${pid}/cmdline`).split("\0").slice(0, -1);
}

/** @returns what follows `slipway run`, be it the launcher or Node; null: it is another program */
function optionsOfRun(args: readonly string[]): string | null {
  const name = args.findIndex((arg) => path.basename(arg) === "slipway");
  if (args[name + 1] !== "run") return null;
  if (name > 0 && !args[name - 1].endsWith(BUNDLE)) return null;
  return args.slice(name + 2).join("\0");
}

/** Until they execute something, what was forked off has the arguments of its parent, or of the broker. */
function isCommand(child: number, options: string): boolean {
  const args = argumentsOf(child);
  if (args.length === 0 || OWN_CHILDREN.includes(args[0])) return false;
  return optionsOfRun(args) !== options;
}

function childrenOf(pid: number): readonly number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((each) => statFields(read(`/proc/${each}/stat`))[1] === `${pid}`);
}

/** @returns nothing when the process is gone */
function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
