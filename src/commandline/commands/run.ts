import { parseNetworkMode } from "../network-mode.js";
import { commonOptions, runOptions, slipwayOptions } from "../options/declarations.js";
import { slipwayGuest } from "../options/guest.js";
import { refuseIneffective } from "../options/ineffective.js";
import { type Command, command } from "../parsing/command.js";

const options = { ...runOptions, ...slipwayOptions, ...commonOptions };

/** `slipway run` */
export const runCommand: Command = command({
  name: "run",
  help: "run a command in new namespaces, with a network",
  usage: "[options] [--] COMMAND [ARG...]",
  options,
  arguments: [{ name: "command", help: "what to run", count: "repeated" }],
  passesThrough: true,
  invoke(values, [file, ...args], given) {
    const mode = parseNetworkMode(values.network, values);
    refuseIneffective(mode.kind, options, given);
    return {
      kind: "run",
      config: {
        ...slipwayGuest(values, values.tap),
        mode,
        name: values.name,
        hostname: values.hostname,
        inside: { ownPids: values.pid === null, seesApi: values.apiInside },
        keepId: values.keepId,
        resolverOptions: values.dnsOption,
        command: [file, ...args],
      },
    };
  },
});
