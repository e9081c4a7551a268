import { type CommandGroup, command } from "../parsing/command.js";
import { ask } from "./ask.js";
import { listOptions, listOptionsOf } from "./output.js";

const listCommand = command({
  name: "ls",
  alias: "list",
  help: "list the hosts that share networks",
  options: listOptions,
  arguments: [],
  invoke: (values) => ask({ action: "hosts", ...listOptionsOf(values) }),
});

/** `slipway host` */
export const hostCommands: CommandGroup = {
  name: "host",
  help: "show the hosts that share networks with this one",
  commands: [listCommand],
};
