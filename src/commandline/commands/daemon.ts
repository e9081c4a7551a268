import { checkCluster } from "../daemon-settings.js";
import { clusterOptions, settingsOf } from "../options/cluster.js";
import { type CommandGroup, command } from "../parsing/command.js";
import { flag, optional } from "../parsing/option.js";
import { descriptor } from "../parsing/values.js";
import { ask } from "./ask.js";
import { outputOf, outputOptions } from "./output.js";

const serveContainers = flag(
  "--serve-containers",
  "answer hooks and plugins in the namespaces of containers, and so every container that reaches its socket",
);

const startCommand = command({
  name: "start",
  help: "start it, unless it runs",
  options: { serveContainers, ...clusterOptions },
  arguments: [],
  invoke(values) {
    const settings = settingsOf(values);
    // Otherwise the configuration file may have what is missing, which only the daemon reads.
    if (settings.store !== undefined && settings.advertise !== undefined) checkCluster(settings);
    return ask({ action: "start", servesContainers: values.serveContainers, settings });
  },
});

const stopCommand = command({
  name: "stop",
  help: "stop it: members have no network until it starts again",
  options: {},
  arguments: [],
  invoke: () => ask({ action: "stop" }),
});

const statusCommand = command({
  name: "status",
  help: "show whether it runs, and what it serves",
  options: outputOptions,
  arguments: [],
  invoke: (values) => ask({ action: "status", output: outputOf(values) }),
});

const runCommand = command({
  name: "run",
  help: "run it in the foreground",
  options: {
    readyFd: optional(
      "-r, --ready-fd <fd>",
      'write "1" to this descriptor once it listens',
      descriptor,
    ),
    serveContainers,
    ...clusterOptions,
  },
  arguments: [],
  invoke(values) {
    const { readyFd, serveContainers: servesContainers } = values;
    const settings = settingsOf(values);
    return { kind: "run daemon", config: { readyFd, servesContainers, settings } };
  },
});

export const daemonCommands: CommandGroup = {
  name: "daemon",
  help: "start, stop or show the process that serves networks",
  commands: [startCommand, stopCommand, statusCommand, runCommand],
};
