import manifest from "../../../package.json" with { type: "json" };
import type { Target } from "../invocation.js";
import { attachmentOptions, commonOptions, slirp4netnsOptions } from "../options/declarations.js";
import { servingOptions } from "../options/guest.js";
import { slirp4netnsNetwork } from "../options/network.js";
import { type Command, command } from "../parsing/command.js";
import type { Values } from "../parsing/option.js";
import { descriptor, tapName, wrong } from "../parsing/values.js";
import { namespaceTarget } from "./attach.js";

/**
 * The lines of slirp4netns, which podman shows and scripts parse. The version is that of the
 * slirp4netns whose command line this is: callers ask for 0.4 or newer.
 */
const VERSION = `slirp4netns version 1.3.2
commit: slipway ${manifest.version}
libslirp: none (lwIP 2.2.1)
SLIRP_CONFIG_VERSION_MAX: 4
libseccomp: none`;

/** The command line of slirp4netns 1.3, which ignores superfluous arguments. */
export const slirp4netns: Command = command({
  name: "slirp4netns",
  help: "User-mode networking for unprivileged network namespaces, by Slipway.",
  usage: "[OPTION]... PID|PATH|FD [TAPNAME]",
  version: VERSION,
  hasBareFlags: true,
  options: { ...attachmentOptions, ...slirp4netnsOptions, ...commonOptions },
  arguments: [
    {
      name: "target",
      help: "a process, the file of a network namespace, or a descriptor (see --netns-type, --target-type)",
      count: "once",
    },
    { name: "tapname", help: "name of the TAP in the namespace", count: "optional" },
  ],
  ignoresRest: true,
  invoke(values, [argument, name]) {
    const tap = tapName(name ?? "tap0", "TAPNAME");
    const target = targetOf(argument, values);
    if (target.kind === "namespace" && name === undefined) {
      throw wrong("missing required argument 'tapname'; see slirp4netns --help");
    }
    if (values.exitWithNetns && target.kind !== "namespace") {
      throw wrong("--exit-with-netns needs a namespace: name one by PID or PATH");
    }
    if (values.macaddress !== null && !values.configure) {
      throw wrong("--macaddress needs --configure: add that, too");
    }
    return {
      kind: "attach",
      config: {
        ...servingOptions(values),
        network: slirp4netnsNetwork(values),
        publish: { ports: [], auto: null, toLoopback: false },
        apiSocket: values.apiSocket === null ? "none" : { path: values.apiSocket },
        tap,
        target,
        configure: values.configure,
        mac: values.macaddress,
        readyFd: values.readyFd,
        exitFd: values.exitFd,
        exitWithNetns: values.exitWithNetns,
        announcement: "slirp4netns",
      },
    };
  },
});

function targetOf(
  argument: string,
  { netnsType, targetType, usernsPath }: Values<typeof slirp4netnsOptions>,
): Target {
  if (targetType === "bess") return { kind: "bess", path: argument, pid: null };
  if (netnsType !== "tapfd") return namespaceTarget(argument, netnsType, usernsPath);
  return { kind: "tapfd", fd: descriptor(argument, "FD"), pid: null };
}
