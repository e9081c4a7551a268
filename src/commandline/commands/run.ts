import { isPid } from "../../config/names.js";
import { parseNetworkMode } from "../network-mode.js";
import { commonOptions, runOptions, slipwayOptions } from "../options/declarations.js";
import {
  MEMORY_SENTENCE,
  meaninglessForRun,
  STREAM_SENTENCE,
  unlikeDocker,
} from "../options/docker.js";
import { slipwayGuest } from "../options/guest.js";
import { refuseIneffective } from "../options/ineffective.js";
import { type Command, command } from "../parsing/command.js";
import { hostname, wrong } from "../parsing/values.js";

const options = {
  ...runOptions,
  ...slipwayOptions,
  ...commonOptions,
  mtu: unlikeDocker(commonOptions.mtu, /^\d+[bkmg]$/i, MEMORY_SENTENCE),
  apiSocket: unlikeDocker(slipwayOptions.apiSocket, /^std(in|out|err)$/i, STREAM_SENTENCE),
};

/** `slipway run` */
export const runCommand: Command = command({
  name: "run",
  help: "run a command in new namespaces, with a network",
  usage: "[options] [--] COMMAND [ARG...]",
  options,
  arguments: [{ name: "command", help: "what to run", count: "repeated" }],
  passesThrough: true,
  meaningless: meaninglessForRun,
  invoke(values, [file, ...args], given) {
    const mode = parseNetworkMode(values.network, values);
    refuseIneffective(mode.kind, options, given);
    if (mode.kind === "slirp" && values.name !== null) checkOwnName(values.name, given);
    return {
      kind: "run",
      config: {
        ...slipwayGuest(values, values.tap),
        mode,
        name: values.name,
        hostname: values.hostname ?? (mode.kind === "none" ? hostnameBy(values.name) : null),
        inside: { ownPids: values.pid === null, seesApi: values.apiInside },
        keepId: values.keepId,
        mapAuto: values.mapAuto,
        resolverOptions: values.dnsOption,
        environment: { files: values.envFile, variables: values.env, directory: values.workdir },
        command: [file, ...args],
      },
    };
  },
});

/** Nobody finds a run without a network by its name. @throws UserError */
function hostnameBy(name: string | null): string | null {
  return name === null ? null : hostname(name, "--name");
}

/** The name of a run with a network of its own is that of its API socket. @throws UserError */
function checkOwnName(name: string, given: ReadonlySet<string>): void {
  if (isPid(name)) {
    throw wrong(`--name ${name}: a number names a process: choose a name with a letter in it`);
  }
  if (given.has("apiSocket") || given.has("noApiSocket")) {
    throw wrong("--name is the name of the API socket: leave --api-socket and --no-api-socket out");
  }
}
