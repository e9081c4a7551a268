import { print } from "../base/stdio.js";
import { parseCommandLine } from "../commandline/command-line.js";
import type { Invocation } from "../commandline/invocation.js";
import { runProgram } from "./program.js";

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
      throw new Error("dist/slipway.cjs starts another program for it");
    case "oci hook":
      return (await import("../integrations/oci/hook.js")).ociHook();
    case "doctor":
      process.exitCode = await (await import("./commands/doctor.js")).doctor();
      return;
  }
}

void runProgram(async (name, args) => {
  if (name === "slipway-cni") return (await import("../integrations/cni/index.js")).cni();
  await execute(parseCommandLine(name, args));
});
