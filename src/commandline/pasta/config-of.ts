import { type Address, FAMILIES, type Family } from "../../base/address.js";
import type { LogLevel } from "../../base/log.js";
import { isPid } from "../../config/names.js";
import { netnsOf } from "../../rpc/namespaces.js";
import type { Values } from "../parsing/option.js";
import { pid, wrong } from "../parsing/values.js";
import type { OutboundOption } from "../target.js";
import type { Addressing, AddressMapping, PastaConfig, PastaDns, PastaTarget } from "./config.js";
import type { commonOptions, inboundOptions, passtOptions, pastaOptions } from "./options.js";
import { forwardedPorts } from "./port-specifier.js";
import type { PortForwards } from "./ports.js";

/** Where ip-netns(8) keeps its namespaces. */
const NAMED_NAMESPACES = "/run/netns";

/** What the values of pasta's options mean together. @throws UserError */
export function pastaConfig(
  values: Values<typeof pastaOptions>,
  operands: readonly string[],
): PastaConfig {
  if (values.spliceOnly) {
    throw wrong("--splice-only is not supported: leave it out, and the guest has a network, too");
  }
  if (values.noSplice && values.hostLoToNsLo) {
    throw exclusive("--no-splice", "--host-lo-to-ns-lo");
  }
  return {
    ...commonConfig(values),
    target: pastaTarget(values, operands),
    addressing: {
      ...commonAddressing(values),
      ifname: values.nsIfname,
      guestMac: values.nsMacAddr,
      configure: values.configNet,
      copiesAll: { addresses: !values.noCopyAddrs, routes: !values.noCopyRoutes },
    },
    dns: dnsOf(values, values.dhcpDns, values.dhcpSearch),
    ports: relayedPorts(values, {
      inbound: {
        tcp: forwardedPorts("-t", "inbound", values.tcpPorts, "auto"),
        udp: forwardedPorts("-u", "inbound", values.udpPorts, "auto"),
      },
      outbound: {
        tcp: forwardedPorts("-T", "outbound", values.tcpNs, "auto"),
        udp: forwardedPorts("-U", "outbound", values.udpNs, "auto"),
      },
    }),
    hostLoopbackToGuestLoopback: values.hostLoToNsLo,
    splice: values.noSplice ? "never" : "beside the TAP",
    staysWithoutNetns: values.noNetnsQuit,
  };
}

/** The same for passt. @throws UserError */
export function passtConfig(
  values: Values<typeof passtOptions>,
  operands: readonly string[],
): PastaConfig {
  const [operand] = operands;
  if (operand !== undefined) throw wrong(`passt takes no argument: leave out ${operand}`);
  if (values.vhostUser || values.printCapabilities) {
    throw wrong("vhost-user is not supported: connect QEMU by -netdev stream to --socket");
  }
  return {
    ...commonConfig(values),
    target: passtTarget(values),
    addressing: {
      ...commonAddressing(values),
      ifname: null,
      guestMac: null,
      configure: false,
      copiesAll: { addresses: true, routes: true },
    },
    dns: dnsOf(values, !values.noDhcpDns, !values.noDhcpSearch),
    ports: relayedPorts(values, {
      inbound: {
        tcp: forwardedPorts("-t", "inbound", values.tcpPorts, "none"),
        udp: forwardedPorts("-u", "inbound", values.udpPorts, "none"),
      },
      outbound: { tcp: [], udp: [] },
    }),
    hostLoopbackToGuestLoopback: false,
    splice: "never",
    staysWithoutNetns: false,
  };
}

/** Without those of a protocol that is not relayed. */
function relayedPorts({ noTcp, noUdp }: Common, { inbound, outbound }: PortForwards): PortForwards {
  const relayed = ({ tcp, udp }: PortForwards["inbound"]): PortForwards["inbound"] => ({
    tcp: noTcp ? [] : tcp,
    udp: noUdp ? [] : udp,
  });
  return { inbound: relayed(inbound), outbound: relayed(outbound) };
}

function pastaTarget(
  { netns, userns, netnsOnly, noPidns }: Values<typeof pastaOptions>,
  operands: readonly string[],
): PastaTarget {
  if (userns !== null && netnsOnly) throw exclusive("--userns", "--netns-only");
  const [word, ...others] = operands;
  const isPidGiven = word !== undefined && others.length === 0 && isPid(word);
  if (noPidns && (netns !== null || isPidGiven)) throw exclusive("--no-pidns", "PID or --netns");
  if (netns !== null) {
    if (word !== undefined) throw exclusive("--netns", "PID or COMMAND");
    const path = netns.includes("/") ? netns : `${NAMED_NAMESPACES}/${netns}`;
    return { kind: "namespace", netns: path, userns, pid: null };
  }
  if (isPidGiven) {
    const id = pid(word, "PID");
    const usernsOfPid = netnsOnly ? null : `/proc/${id}/ns/user`;
    return { kind: "namespace", netns: netnsOf(id), userns: userns ?? usernsOfPid, pid: id };
  }
  if (netnsOnly)
    throw wrong("--netns-only needs a PID or --netns: a COMMAND gets a user namespace");
  if (userns === null) {
    return { kind: "command", command: operands, ownPids: !noPidns };
  }
  throw wrong("--userns needs a PID or --netns: a COMMAND gets a user namespace of its own");
}

function passtTarget({ socket, fd, oneOff }: Values<typeof passtOptions>): PastaTarget {
  if (fd === null) return { kind: "socket", path: socket, isOneOff: oneOff };
  if (socket !== null) throw exclusive("--socket", "--fd");
  return { kind: "fd", fd };
}

type Common = Values<typeof commonOptions & typeof inboundOptions>;

type CommonConfig = Pick<
  PastaConfig,
  | "mapping"
  | "protocols"
  | "services"
  | "outbound"
  | "freebind"
  | "controlSocket"
  | "isForeground"
  | "pidFile"
  | "runAs"
  | "log"
  | "pcap"
>;

function commonConfig(values: Common): CommonConfig {
  return {
    mapping: mappingOf(values),
    protocols: { tcp: !values.noTcp, udp: !values.noUdp, icmp: !values.noIcmp },
    services: servicesOf(values),
    outbound: byFamily((family) => outboundOf(values, family)),
    freebind: values.freebind,
    controlSocket: values.confPath,
    isForeground: values.foreground,
    pidFile: values.pid,
    runAs: values.runas,
    log: { file: values.logFile, level: levelOf(values) },
    pcap: values.pcap,
  };
}

type CommonAddressing = Omit<Addressing, "ifname" | "guestMac" | "configure" | "copiesAll">;

function commonAddressing(values: Common): CommonAddressing {
  const addresses = lastOfEachFamily(values.address, ({ address }) => address.family);
  if (values.netmask !== null && addresses.some(({ length }) => length !== null)) {
    throw exclusive("--netmask", "--address ADDRESS/LENGTH");
  }
  return {
    families: familiesOf(values),
    template: {
      4: values.interface ?? values.outboundIf4,
      6: values.interface ?? values.outboundIf6,
    },
    addresses,
    netmask: values.netmask,
    gateways: lastOfEachFamily(values.gateway, ({ family }) => family),
    mtu: values.mtu,
    gatewayMac: values.macAddr,
    follows: !values.noFollow,
  };
}

function familiesOf({ ipv4Only, ipv6Only }: Common): readonly Family[] {
  if (ipv4Only && ipv6Only) throw exclusive("--ipv4-only", "--ipv6-only");
  return FAMILIES.filter((family) => !(family === 4 ? ipv6Only : ipv4Only));
}

function mappingOf({ mapHostLoopback, noMapGw, mapGuestAddr }: Common): AddressMapping {
  const byDefault = noMapGw || mapHostLoopback.includes(null) ? null : "gateway";
  return {
    toLoopback: byFamily((family) => lastMapped(mapHostLoopback, family) ?? byDefault),
    toShadowed: byFamily((family) => lastMapped(mapGuestAddr, family)),
  };
}

/** null: none of this family, or `none` behind it. */
function lastMapped(given: readonly (Address | null)[], family: Family): Address | null {
  return given.findLast((each) => each === null || each.family === family) ?? null;
}

/** NDP, of which router advertisements are a part, is a part of ICMPv6. */
function servicesOf(values: Common): PastaConfig["services"] {
  const ndp = !values.noNdp && !values.noIcmp;
  return { dhcp: !values.noDhcp, dhcpv6: !values.noDhcpv6, ndp, ra: ndp && !values.noRa };
}

function outboundOf(values: Common, family: Family): OutboundOption | null {
  const address = values.outbound.findLast((each) => each.family === family);
  if (address !== undefined) return { option: "--outbound", source: `${address}` };
  const name = family === 4 ? values.outboundIf4 : values.outboundIf6;
  return name === null ? null : { option: `--outbound-if${family}`, source: name };
}

/** @param announcesDns whether DHCP and router advertisements name servers; `announcesSearch` and search domains */
function dnsOf(values: Common, announcesDns: boolean, announcesSearch: boolean): PastaDns {
  return {
    forward: lastOfEachFamily(values.dnsForward, ({ family }) => family),
    host: lastOfEachFamily(values.dnsHost, ({ family }) => family),
    announced: announcesDns ? listed(values.dns) : [],
    search: announcesSearch ? (listed(values.search)?.flat() ?? null) : [],
    hostname: values.hostname,
  };
}

/** What was given behind the last `none`; null: nothing was given. */
function listed<T>(given: readonly (T | null)[]): readonly T[] | null {
  if (given.length === 0) return null;
  return given.slice(given.lastIndexOf(null) + 1).filter((each) => each !== null);
}

function levelOf({ trace, debug, quiet }: Common): LogLevel {
  if (trace) return "trace";
  if (debug) return "debug";
  return quiet ? "warning" : "info";
}

function lastOfEachFamily<T>(given: readonly T[], familyOf: (each: T) => Family): readonly T[] {
  return FAMILIES.flatMap((family) => given.findLast((each) => familyOf(each) === family) ?? []);
}

function byFamily<T>(make: (family: Family) => T): Readonly<Record<Family, T>> {
  return { 4: make(4), 6: make(6) };
}

function exclusive(a: string, b: string): Error {
  return wrong(`${a} and ${b} exclude each other: give one of them`);
}
