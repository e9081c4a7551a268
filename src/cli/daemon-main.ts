import { print } from "../base/stdio.js";
import { parseCommandLine } from "../commandline/command-line.js";
import { WORKER_NAME } from "../daemon/workers/worker-name.js";
import { runProgram } from "./program.js";

/*
 * The program of `slipway daemon run` and its threads. It is one of its own as most starts need nothing of the daemon:
 * reading its code would cost each of them a millisecond and more.
 */

async function execute(name: string, args: readonly string[]): Promise<void> {
  const invocation = parseCommandLine(name, args);
  switch (invocation.kind) {
    case "print":
      print(invocation.text);
      return;
    case "run daemon":
      return (await import("./commands/daemon.js")).runDaemon(invocation.config);
    default:
      throw new Error(`dist/slipway.cjs starts the other program for ${invocation.kind}`);
  }
}

async function main(): Promise<void> {
  const [, , name] = process.argv;
  if (name === WORKER_NAME) return (await import("../daemon/workers/worker.js")).serveNetworks();
  return runProgram(execute);
}

void main();
