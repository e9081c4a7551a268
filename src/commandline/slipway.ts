import manifest from "../../package.json" with { type: "json" };
import { attachCommand } from "./attach-command.js";
import { type CommandGroup, command } from "./command.js";
import { flowsCommand, portCommands, statusCommand } from "./control-commands.js";
import { daemonCommands } from "./daemon-commands.js";
import { networkCommands, psCommand } from "./network-commands.js";
import { runCommand } from "./run-command.js";

const doctorCommand = command({
  name: "doctor",
  help: "check whether Slipway can run on this machine, and print how to fix it",
  options: {},
  arguments: [],
  invoke: () => ({ kind: "doctor" }),
});

const ociHookCommand = command({
  name: "oci-hook",
  help: "act as a hook of an OCI runtime: read the container's state from stdin",
  options: {},
  arguments: [],
  invoke: () => ({ kind: "oci hook" }),
});

export const slipway: CommandGroup = {
  name: "slipway",
  help: "Rootless networking for containers and namespaces.",
  version: `slipway ${manifest.version}`,
  commands: [
    runCommand,
    attachCommand,
    statusCommand,
    flowsCommand,
    portCommands,
    networkCommands,
    psCommand,
    daemonCommands,
    ociHookCommand,
    doctorCommand,
  ],
};
