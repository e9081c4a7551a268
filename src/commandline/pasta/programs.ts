import { type Command, command } from "../parsing/command.js";
import { passtConfig, pastaConfig } from "./config-of.js";
import { passtOptions, pastaOptions } from "./options.js";

export const pasta: Command = command({
  name: "pasta",
  help: "User-mode networking for a network namespace: that of a process, of a file, or a new one for COMMAND or a shell. By Slipway.",
  usage: "[options] [PID | COMMAND [ARG...]]",
  options: pastaOptions,
  arguments: [],
  passesThrough: true,
  invoke: (values, operands) => ({ kind: "pasta", config: pastaConfig(values, operands) }),
});

export const passt: Command = command({
  name: "passt",
  help: "User-mode networking for a virtual machine, by way of a UNIX domain socket. By Slipway.",
  options: passtOptions,
  arguments: [],
  invoke: (values, operands) => ({ kind: "pasta", config: passtConfig(values, operands) }),
});
