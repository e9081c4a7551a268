import { DEFAULT_MTU, VXLAN_MTU, WIREGUARD_MTU } from "../../config/constants.js";
import type { Params } from "../../rpc/messages.js";
import { filter, NETWORK_KEYS, PRUNE_KEYS } from "../filters.js";
import { driver, requireOneMtu } from "../network-driver.js";
import { checkNetwork, requireNetworkName } from "../network-spec.js";
import { mtu } from "../options/declarations.js";
import { meaninglessForConnect, meaninglessForCreate } from "../options/docker.js";
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
  value,
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
import { ask } from "./ask.js";
import { inspectOptions, listOptions, listOptionsOf, outputOf } from "./output.js";
import { peerCommands } from "./peer.js";

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
  driver: value(
    "-d, --driver <driver>",
    "bridge: members on this host; overlay: on all hosts of the cluster; flannel: this host joins a flannel network",
    driver,
    "bridge",
  ),
  mtu: optional(
    "-m, --mtu <bytes>",
    `MTU of its interfaces (default: ${DEFAULT_MTU}); of overlay ${WIREGUARD_MTU}, or ${VXLAN_MTU} with encrypted=false`,
    mtu,
  ),
  opt: repeated(
    "-o, --opt <name=value>",
    "mtu=BYTES or isolate=true; for overlay encrypted=false, and then vni=NUMBER; for flannel etcd-prefix=PATH; repeatable",
    pair,
  ),
  label: repeated("--label <name=value>", "label for your own use; repeatable", pair),
};

const createCommand = command({
  name: "create",
  help: "create a network",
  options: createOptions,
  arguments: [{ name: "name", help: null, count: "once" }],
  meaningless: meaninglessForCreate,
  invoke(values, [name]) {
    const spec = specOf(name, values);
    requireNetworkName(name);
    checkNetwork(spec);
    requireOneMtu(values.mtu, values.opt);
    return ask({ action: "create", spec });
  },
});

const listCommand = command({
  name: "ls",
  alias: "list",
  help: "list networks",
  options: {
    ...listOptions,
    filter: repeated(
      "-f, --filter <key=value>",
      `only those of ${NETWORK_KEYS.join(", ")}, such as driver=bridge or label=team; repeatable`,
      filter(NETWORK_KEYS),
    ),
  },
  arguments: [],
  invoke: (values) => ask({ action: "list", ...listOptionsOf(values), filters: values.filter }),
});

const inspectCommand = command({
  name: "inspect",
  help: "show networks and their members",
  options: {
    ...inspectOptions,
    verbose: hidden(flag("-v, --verbose", "everything is shown anyway")),
  },
  arguments: [{ name: "names", help: null, count: "repeated" }],
  invoke: (values, names) =>
    ask({ action: "inspect", names, type: "network", output: outputOf(values) }),
});

const removeCommand = command({
  name: "rm",
  alias: "remove",
  help: "remove networks that have no members",
  options: { force: flag("-f, --force", "accept names that do not exist") },
  arguments: [{ name: "names", help: null, count: "repeated" }],
  invoke: ({ force }, names) => ask({ action: "remove", names, force }),
});

const pruneCommand = command({
  name: "prune",
  help: "remove all networks that have no members, without asking",
  options: {
    filter: repeated(
      "--filter <key=value>",
      "only those of label or until, such as label=team or until=24h; repeatable",
      filter(PRUNE_KEYS),
    ),
    force: flag("-f, --force", "no effect: prune never asks"),
  },
  arguments: [],
  invoke: (values) => ask({ action: "prune", filters: values.filter }),
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
    { name: "member", help: "its name or id, or the PID that connect took", count: "once" },
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
    peerCommands,
  ],
};

function specOf(name: string, values: Values<typeof createOptions>): Params<"network.create"> {
  return {
    name,
    driver: values.driver,
    subnets: values.subnet,
    gateways: values.gateway,
    ranges: values.ipRange,
    ipv4: values.ipv4,
    ipv6: values.ipv6,
    internal: values.internal,
    mtu: values.mtu,
    labels: Object.fromEntries(values.label),
    options: Object.fromEntries(values.opt),
  };
}
