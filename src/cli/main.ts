import { writeFileSync } from "node:fs";
import { UserError } from "../base/errors.js";
import { tellStderr } from "../base/log.js";
import { setProgramName } from "../base/program.js";
import { print } from "../base/stdio.js";
import { parseCommandLine } from "../commandline/command-line.js";
import type { Invocation } from "../commandline/invocation.js";
import { WORKER_NAME } from "../daemon/workers/worker-name.js";
import { fail } from "./exit.js";

/** Loads only the command that is asked for: starts stay fast, and doctor runs even where the addon does not load. */
async function execute(invocation: Invocation): Promise<void> {
  switch (invocation.kind) {
    case "print":
      print(invocation.text);
      return;
    case "run":
      return (await import("./commands/run.js")).run(invocation.config);
    case "attach":
      return (await import("./commands/attach.js")).attach(invocation.config);
    case "control": {
      const { control } = await import("./control/index.js");
      return control(invocation.options, invocation.request);
    }
    case "ask daemon":
      return (await import("./commands/ask-daemon.js")).askDaemon(invocation.request);
    case "run daemon":
      return (await import("./commands/daemon.js")).runDaemon(invocation.config);
    case "oci hook":
      return (await import("../integrations/oci/hook.js")).ociHook();
    case "doctor":
      process.exitCode = await (await import("./commands/doctor.js")).doctor();
      return;
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

async function main(): Promise<void> {
  const [, , name = "slipway", ...args] = process.argv;
  if (name === WORKER_NAME) return (await import("../daemon/workers/worker.js")).serveNetworks();
  process.on("uncaughtException", onUncaught);
  // By default Node would open a debugger's port, or abort where it may not make a thread.
  process.on("SIGUSR1", () => undefined);
  takeName(name);
  try {
    if (name === "slipway-cni") return await (await import("../integrations/cni/index.js")).cni();
    await execute(parseCommandLine(name, args));
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    fail(error);
  }
}

/** Ends with the reason as the last line of stderr, as for other errors. */
function onUncaught(error: Error): void {
  tellStderr(`${error.stack ?? error}\n`);
  const { message } = error;
  fail(new UserError(`internal error: ${message}: please report it, with the lines above`));
}

void main();
