import { DEFAULT_MTU } from "../../config/constants.js";
import type { Params } from "../../rpc/messages.js";
import type { Invocation } from "../invocation.js";
import { checkNetwork } from "../network-spec.js";
import { mtu } from "../options/declarations.js";
import { meaninglessForConnect } from "../options/docker.js";
import { interfaceMac, memberAddress, memberAddresses } from "../parsing/addresses.js";
import { type Command, type CommandGroup, command } from "../parsing/command.js";
import {
  alsoCalled,
  flag,
  hidden,
  onOff,
  optional,
  repeated,
  type Values,
} from "../parsing/option.js";
import {
  alias,
  anyText,
  checked,
  interfaceName,
  memberName,
  pair,
  truth,
} from "../parsing/values.js";
import type { DaemonRequest } from "../requests.js";
import { inspectOptions, outputOf, outputOptions } from "./output.js";

const createOptions = {
  subnet: repeated(
    "--subnet <network>",
    "its subnet, one per family; by default a free one; repeatable",
    anyText,
  ),
  gateway: repeated(
    "--gateway <address>",
    "address of the gateway; by default the first of the subnet; repeatable",
    anyText,
  ),
  ipRange: repeated(
    "--ip-range <network>",
    "part of the subnet from which addresses are assigned; repeatable",
    anyText,
  ),
  ipv4: onOff("--ipv4", "enable IPv4, which is the default; --ipv4=false: no IPv4", truth),
  ipv6: onOff("--ipv6", "enable IPv6; without an IPv6 --subnet one is chosen", truth),
  internal: flag("--internal", "no access to anything outside the network"),
  mtu: optional("-m, --mtu <bytes>", `MTU of its interfaces (default: ${DEFAULT_MTU})`, mtu),
  opt: repeated("-o, --opt <name=value>", "mtu=BYTES or isolate=true; repeatable", pair),
  label: repeated("--label <name=value>", "label for your own use; repeatable", pair),
};

const createCommand = command({
  name: "create",
  help: "create a network",
  options: createOptions,
  arguments: [{ name: "name", help: null, count: "once" }],
  invoke(values, [name]) {
    const spec = specOf(name, values);
    checkNetwork(spec);
    return ask({ action: "create", spec });
  },
});

const listCommand = command({
  name: "ls",
  help: "list networks",
  options: { ...outputOptions, quiet: flag("-q, --quiet", "print ids only") },
  arguments: [],
  invoke: (values) => ask({ action: "list", output: outputOf(values), quiet: values.quiet }),
});

const inspectCommand = command({
  name: "inspect",
  help: "show networks and their members",
  options: inspectOptions,
  arguments: [{ name: "names", help: null, count: "repeated" }],
  invoke: (values, names) => ask({ action: "inspect", names, output: outputOf(values) }),
});

const removeCommand = command({
  name: "rm",
  help: "remove networks that have no members",
  options: {},
  arguments: [{ name: "names", help: null, count: "repeated" }],
  invoke: (_, names) => ask({ action: "remove", names }),
});

const pruneCommand = command({
  name: "prune",
  help: "remove all networks that have no members",
  options: {},
  arguments: [],
  invoke: () => ask({ action: "prune" }),
});

/** `slipway network connect` */
const connectCommand: Command = command({
  name: "connect",
  help: "attach an existing namespace to a network, until it ends or is disconnected",
  options: {
    name: optional("--name <name>", "name by which other members find it", memberName),
    ip: alsoCalled(
      repeated(
        "--ip <address>",
        "its address, one per family; by default the next free one; repeatable",
        checked(memberAddress),
      ),
      "--ip6",
    ),
    alias: repeated(
      "--alias <name>",
      "further name; several members may share one; repeatable",
      alias,
    ),
    macAddress: optional("--mac-address <mac>", "its Ethernet address", checked(interfaceMac)),
    ifname: optional(
      "--ifname <name>",
      "name of the interface (default: the first free of eth0, eth1 …)",
      interfaceName,
    ),
  },
  arguments: [
    { name: "network", help: null, count: "once" },
    {
      name: "target",
      help: "a process, a member, or the file of a network namespace",
      count: "once",
    },
  ],
  meaningless: meaninglessForConnect,
  invoke(values, [network, target]) {
    memberAddresses(values.ip, "--ip");
    const attachment = {
      network,
      addresses: values.ip,
      aliases: values.alias,
      mac: values.macAddress,
      ifname: values.ifname,
    };
    return ask({ action: "connect", attachment, name: values.name, target });
  },
});

const disconnectCommand = command({
  name: "disconnect",
  help: "detach a member from a network",
  options: { force: hidden(flag("-f, --force", "there is no other way")) },
  arguments: [
    { name: "network", help: null, count: "once" },
    { name: "member", help: "its name or id", count: "once" },
  ],
  invoke: (_, [network, member]) => ask({ action: "disconnect", network, member }),
});

export const networkCommands: CommandGroup = {
  name: "network",
  help: "create networks, and attach namespaces to them",
  commands: [
    createCommand,
    listCommand,
    inspectCommand,
    removeCommand,
    pruneCommand,
    connectCommand,
    disconnectCommand,
  ],
};

export const psCommand: Command = command({
  name: "ps",
  help: "list the members of networks",
  options: outputOptions,
  arguments: [],
  invoke: (values) => ask({ action: "members", output: outputOf(values) }),
});

export function ask(request: DaemonRequest): Invocation {
  return { kind: "ask daemon", request };
}

function specOf(name: string, values: Values<typeof createOptions>): Params<"network.create"> {
  return {
    name,
    subnets: values.subnet,
    gateways: values.gateway,
    ranges: values.ipRange,
    ipv4: values.ipv4,
    ipv6: values.ipv6,
    internal: values.internal,
    mtu: values.mtu ?? DEFAULT_MTU,
    labels: Object.fromEntries(values.label),
    options: Object.fromEntries(values.opt),
  };
}
