import { quoted } from "../../base/printable.js";
import type { Invocation } from "../invocation.js";
import { type Command, type CommandGroup, command } from "../parsing/command.js";
import { flag, optional, type Reader, type Values } from "../parsing/option.js";
import { someText, wrong } from "../parsing/values.js";
import { parsePublish, parsePublishedPlace } from "../publish-option.js";
import type { ControlRequest } from "../requests.js";

const WATCH_SECONDS = { least: 0.1, usual: 1, most: 3600 } as const;

/** @param text "" for the usual interval */
const watchSeconds: Reader<number> = (text, name) => {
  const { least, usual, most } = WATCH_SECONDS;
  const seconds = text === "" ? usual : Number(text);
  if (seconds >= least && seconds <= most) return seconds;
  throw wrong(`${name} is ${quoted(text)}: give seconds, ${least} to ${most}`);
};

const controlOptions = {
  apiSocket: optional(
    "-a, --api-socket <path>",
    "API socket of the network, or PID of the process that serves it",
    someText,
  ),
  name: optional(
    "--name <name>",
    "name of a run or of a member of networks; or its container's name or id, or its process",
    someText,
  ),
  json: flag("--json", "print JSON"),
};

export const statusCommand: Command = command({
  name: "status",
  help: "show running networks: addresses, traffic, drops",
  options: controlOptions,
  arguments: [],
  invoke: (values) => control(values, { kind: "status" }),
});

export const flowsCommand: Command = command({
  name: "flows",
  help: "list connections, as the namespace and the host see them",
  options: {
    ...controlOptions,
    watch: optional(
      "-w, --watch [seconds]",
      "list again every second, or at the interval given",
      watchSeconds,
    ),
  },
  arguments: [],
  invoke: (values) => control(values, { kind: "flows", watch: values.watch }),
});

const portAddCommand = command({
  name: "add",
  help: "publish ports: all of them, or none if one fails",
  options: controlOptions,
  arguments: [
    {
      name: "ports",
      help: "as for --publish of slipway run: [ADDRESS:][PORT]:PORT[/udp]",
      count: "repeated",
    },
  ],
  invoke(values, texts) {
    const ports = texts.map((text) => parsed(text, parsePublish, "8080:80 or [::1]:53:53/udp"));
    return control(values, { kind: "port-add", ports });
  },
});

const portListCommand = command({
  name: "ls",
  help: "list published ports",
  options: controlOptions,
  arguments: [],
  invoke: (values) => control(values, { kind: "port-ls" }),
});

/** As docker has it: `port NAME`. */
const portOfCommand = command({
  name: "port",
  help: "list the published ports of a member or run",
  options: { json: controlOptions.json },
  arguments: [{ name: "name", help: null, count: "once" }],
  invoke: ({ json }, [name]) => control({ apiSocket: null, name, json }, { kind: "port-ls" }),
});

const portRemoveCommand = command({
  name: "rm",
  help: "stop publishing ports; open connections stay",
  options: { ...controlOptions, kill: flag("--kill", "close open connections, too") },
  arguments: [
    { name: "ports", help: "of the host: [ADDRESS:]PORT[-PORT][/udp]", count: "repeated" },
  ],
  invoke(values, texts) {
    const places = texts.map((text) => parsed(text, parsePublishedPlace, "8080 or [::1]:53/udp"));
    return control(values, { kind: "port-rm", places, kill: values.kill });
  },
});

export const portCommands: CommandGroup = {
  name: "port",
  help: "publish ports of a running network",
  commands: [portAddCommand, portListCommand, portRemoveCommand],
  otherwise: portOfCommand,
};

function control(
  { apiSocket, name, json }: Values<typeof controlOptions>,
  request: ControlRequest,
): Invocation {
  if (apiSocket !== null && name !== null) {
    throw wrong("--api-socket and --name both name the network: give one of them");
  }
  return { kind: "control", options: { socket: apiSocket, name, json }, request };
}

function parsed<T>(text: string, parse: (text: string) => T | null, example: string): T {
  const result = parse(text);
  if (result !== null) return result;
  throw wrong(`port "${text}": write it like ${example}`);
}
