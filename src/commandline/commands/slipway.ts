import manifest from "../../../package.json" with { type: "json" };
import { type CommandGroup, command } from "../parsing/command.js";
import { attachCommand } from "./attach.js";
import { flowsCommand, portCommands, statusCommand } from "./control.js";
import { daemonCommands } from "./daemon.js";
import { dockerCommands } from "./docker.js";
import { hostCommands } from "./host.js";
import { inspectCommand, psCommand } from "./members.js";
import { networkCommands } from "./network.js";
import { runCommand } from "./run.js";

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
  foreign: dockerCommands,
  version: `slipway ${manifest.version}`,
  commands: [
    runCommand,
    attachCommand,
    statusCommand,
    flowsCommand,
    portCommands,
    networkCommands,
    hostCommands,
    psCommand,
    inspectCommand,
    daemonCommands,
    ociHookCommand,
    doctorCommand,
  ],
};
