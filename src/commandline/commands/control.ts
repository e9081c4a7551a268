import { quoted } from "../../base/printable.js";
import { MOST_PORTS_AT_ONCE } from "../../config/constants.js";
import type { Invocation } from "../invocation.js";
import { type Command, type CommandGroup, command } from "../parsing/command.js";
import { flag, optional, type Reader, type Values } from "../parsing/option.js";
import { someText, wrong } from "../parsing/values.js";
import {
  distinctPorts,
  type PublishOption,
  readPublish,
  readPublishedPlace,
} from "../publish-option.js";
import type { ControlRequest, GuestPort } from "../requests.js";

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
    const ports = distinctPorts(
      texts.map((text) => readAdded(text, "port")),
      "port",
    );
    return control(values, { kind: "port-add", ports });
  },
});

const portListCommand = command({
  name: "ls",
  alias: "list",
  help: "list published ports",
  options: controlOptions,
  arguments: [],
  invoke: (values) => control(values, { kind: "port-ls", of: null }),
});

/** One port of the namespace, and no more. */
const readGuestPort: Reader<GuestPort> = (text, name) => {
  const { protocol, host, hostPort: port, count } = readPublishedPlace(text, name);
  if (host === null && count === 1) return { protocol, port };
  throw wrong(`${name} ${quoted(text)}: give one port of the namespace, such as 80/tcp`);
};

/** As docker has it: `port NAME [PORT]`. */
const portOfCommand = command({
  name: "port",
  help: "list the published ports of a member or run, or where one of its ports is published",
  usage: "NAME [PORT[/udp]]",
  options: { json: controlOptions.json },
  arguments: [
    { name: "name", help: null, count: "once" },
    { name: "port", help: "of the namespace: PORT[/udp]", count: "optional" },
  ],
  invoke({ json }, [name, port]) {
    const of = port === undefined ? null : readGuestPort(port, "port");
    return control({ apiSocket: null, name, json }, { kind: "port-ls", of });
  },
});

const portRemoveCommand = command({
  name: "rm",
  alias: "remove",
  help: "stop publishing ports; open connections stay",
  options: { ...controlOptions, kill: flag("--kill", "close open connections, too") },
  arguments: [
    { name: "ports", help: "of the host: [ADDRESS:]PORT[-PORT][/udp]", count: "repeated" },
  ],
  invoke(values, texts) {
    const places = texts.map((text) => readPublishedPlace(text, "port"));
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

/** @throws UserError for a range without ports of the host, too, which the API does not have */
const readAdded: Reader<PublishOption> = (text, name) => {
  const port = readPublish(text, name);
  const { hostPort, count } = port;
  if (hostPort === 0 && count > 1) {
    throw wrong(
      `${name} ${quoted(text)}: a range needs ports of the host: write it like 8000-8010:8000-8010`,
    );
  }
  if (count <= MOST_PORTS_AT_ONCE) return port;
  throw wrong(
    `${name} ${quoted(text)}: ${count} ports are too many: give at most ${MOST_PORTS_AT_ONCE} in a range`,
  );
};
