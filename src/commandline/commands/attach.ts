import { isPid } from "../../config/names.js";
import { netnsOf } from "../../rpc/namespaces.js";
import { attachmentOptions, commonOptions, slipwayOptions } from "../options/declarations.js";
import { slipwayGuest } from "../options/guest.js";
import { type Command, command } from "../parsing/command.js";
import { pid, tapName } from "../parsing/values.js";
import type { NamespaceTarget } from "../target.js";

/** `slipway attach` */
export const attachCommand: Command = command({
  name: "attach",
  help: "connect an existing namespace, until its process ends or a signal arrives",
  usage: "[options] PID|PATH [TAPNAME]",
  hasBareFlags: true,
  options: { ...attachmentOptions, ...slipwayOptions, ...commonOptions },
  arguments: [
    { name: "target", help: "a process, or the file of a network namespace", count: "once" },
    {
      name: "tapname",
      help: "name of the TAP in the namespace (default: tap0)",
      count: "optional",
    },
  ],
  invoke(values, [target, tap = "tap0"]) {
    return {
      kind: "attach",
      config: {
        ...slipwayGuest(values, tapName(tap, "TAPNAME")),
        target: namespaceTarget(target, isPid(target) ? "pid" : "path", null),
        configure: true,
        mac: null,
        readyFd: values.readyFd,
        exitFd: values.exitFd,
        exitWithNetns: values.exitWithNetns,
        announcement: "slipway",
      },
    };
  },
});

/** @param userns file of the user namespace to enter, or null for the owner of the network namespace */
export function namespaceTarget(
  text: string,
  type: "pid" | "path",
  userns: string | null,
): NamespaceTarget {
  if (type === "path") return { kind: "namespace", netns: text, userns, pid: null };
  const id = pid(text, "PID");
  return { kind: "namespace", netns: netnsOf(id), userns, pid: id };
}
