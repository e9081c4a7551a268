import { writeFileSync } from "node:fs";
import { UserError } from "../base/errors.js";
import { tellStderr } from "../base/log.js";
import { setProgramName } from "../base/program.js";
import { fail } from "./exit.js";

/**
 * Runs a program of `bin/slipway` to its end, or for as long as it serves.
 * @param execute carries out the command line: the name by which the launcher was called, and the arguments
 */
export async function runProgram(
  execute: (name: string, args: readonly string[]) => Promise<void>,
): Promise<void> {
  const [, , name = "slipway", ...args] = process.argv;
  process.on("uncaughtException", onUncaught);
  // By default Node would open a debugger's port, or abort where it may not make a thread.
  process.on("SIGUSR1", () => undefined);
  takeName(name);
  try {
    await execute(name, args);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    fail(error);
  }
}

/** Sets the program's name for its messages, and for ps, pgrep and killall in place of Node's. */
function takeName(name: string): void {
  setProgramName(name);
  try {
    writeFileSync("/proc/self/comm", name);
  } catch {
    // Without /proc there is nowhere to set it.
  }
}

/** Ends with the reason as the last line of stderr, as for other errors. */
function onUncaught(error: Error): void {
  tellStderr(`${error.stack ?? error}\n`);
  const { message } = error;
  fail(new UserError(`internal error: ${message}: please report it, with the lines above`));
}
