import { filter, MEMBER_KEYS } from "../filters.js";
import { meaninglessForInspect, meaninglessForPs } from "../options/docker.js";
import { type Command, command } from "../parsing/command.js";
import { flag, hidden, optional, repeated } from "../parsing/option.js";
import { oneOf, wholeNumber } from "../parsing/values.js";
import type { InspectRequest } from "../requests.js";
import { ask } from "./ask.js";
import { inspectOptions, listOptions, listOptionsOf, outputOf } from "./output.js";

/** More members than a daemon has. */
const MOST_LAST = 100_000;

/** `slipway ps` */
export const psCommand: Command = command({
  name: "ps",
  help: "list the members of networks",
  options: {
    ...listOptions,
    all: hidden(flag("-a, --all", "members are all running")),
    filter: repeated(
      "-f, --filter <key=value>",
      `only those of ${MEMBER_KEYS.join(", ")}, such as network=web or label=team; repeatable`,
      filter(MEMBER_KEYS),
    ),
    last: optional("-n, --last <number>", "only those that came last", wholeNumber(0, MOST_LAST)),
    latest: flag("-l, --latest", "only the one that came last"),
  },
  arguments: [],
  meaningless: meaninglessForPs,
  invoke: (values) =>
    ask({
      action: "members",
      ...listOptionsOf(values),
      filters: values.filter,
      last: values.latest ? 1 : values.last,
    }),
});

const TYPES: Readonly<Record<"container" | "network", InspectRequest["type"]>> = {
  container: "member",
  network: "network",
};

/** `slipway inspect` */
export const inspectCommand: Command = command({
  name: "inspect",
  help: "show members, or networks, as docker shows containers",
  options: {
    ...inspectOptions,
    type: optional(
      "--type <type>",
      "what the names are of: container or network; by default either",
      oneOf(["container", "network"]),
    ),
  },
  arguments: [{ name: "names", help: "of members or networks, or ids", count: "repeated" }],
  meaningless: meaninglessForInspect,
  invoke: (values, names) =>
    ask({
      action: "inspect",
      names,
      type: values.type === null ? "any" : TYPES[values.type],
      output: outputOf(values),
    }),
});
