import { interfaceMac, memberAddress } from "../parsing/addresses.js";
import { type CommandGroup, command } from "../parsing/command.js";
import { alsoCalled, flag, optional, repeated } from "../parsing/option.js";
import { checked, wrong } from "../parsing/values.js";
import { checkPeer, vtepPlace } from "../peer-spec.js";
import { ask } from "./ask.js";
import { listOptions, listOptionsOf } from "./output.js";

const network = { name: "network", help: null, count: "once" } as const;

const addCommand = command({
  name: "add",
  help: "make a machine without Slipway a member of an overlay",
  options: {
    wireguard: flag(
      "--wireguard",
      "a WireGuard client, of an encrypted network; prints the file for its wg-quick",
    ),
    vtep: optional(
      "--vtep <address[:port]>",
      "a machine with a VXLAN device, at this address; of a network with encrypted=false",
      checked(vtepPlace),
    ),
    ip: alsoCalled(
      repeated(
        "--ip <address>",
        "its address on the network, one per family, and all that it may use; repeatable",
        checked(memberAddress),
      ),
      "--ip6",
    ),
    mac: alsoCalled(
      optional("--mac <mac>", "the Ethernet address of its VXLAN device", checked(interfaceMac)),
      "--mac-address",
    ),
  },
  arguments: [network, { name: "name", help: "by which members find it", count: "once" }],
  invoke({ wireguard, vtep, ip, mac }, [of, name]) {
    if (wireguard === (vtep !== null)) {
      throw wrong(
        "how the machine is reached is missing, or there twice: give either --wireguard or --vtep ADDRESS",
      );
    }
    const spec = { network: of, name, addresses: ip, mac, vtep };
    checkPeer(spec);
    return ask({ action: "add peer", spec });
  },
});

const listCommand = command({
  name: "ls",
  alias: "list",
  help: "list the members of an overlay that are machines without Slipway",
  options: listOptions,
  arguments: [network],
  invoke: (values, [of]) => ask({ action: "peers", network: of, ...listOptionsOf(values) }),
});

const removeCommand = command({
  name: "rm",
  alias: "remove",
  help: "end the membership of machines without Slipway",
  options: {},
  arguments: [network, { name: "names", help: null, count: "repeated" }],
  invoke: (_, [of, ...names]) => ask({ action: "remove peers", network: of, names }),
});

/** `slipway network peer` */
export const peerCommands: CommandGroup = {
  name: "peer",
  help: "have machines without Slipway on a network of several hosts",
  commands: [addCommand, listCommand, removeCommand],
};
