import {
  alsoCalled,
  flag,
  hidden,
  type Options,
  optional,
  repeated,
  value,
} from "../parsing/option.js";
import { anyText, descriptor, domainName, hostname, someText } from "../parsing/values.js";
import {
  forwardAddress,
  gatewayAddress,
  guestAddress,
  hostNameServer,
  interfaceName,
  logSize,
  macAddress,
  mappedAddress,
  mtu,
  nameServer,
  netmask,
  orNone,
  outboundAddress,
  PASTA_MTU,
  searchList,
  socketPath,
  statsDelay,
} from "./values.js";

const versionOption = flag("--version", "show the version");

/** Options of pasta and passt. */
const processOptions = {
  version: versionOption,
  foreground: flag(
    "-f, --foreground",
    "stay in the foreground, instead of going on in the background when the network is up",
  ),
  pid: optional("-P, --pid <file>", "write the process id to a file", someText),
  confPath: optional("-c, --conf-path <path>", "make a socket for pesto(1)", socketPath),
  runas: optional(
    "--runas <user>",
    "UID[:GID] or LOGIN[:GROUP] to become if started as root",
    someText,
  ),
  stderr: hidden(flag("-e, --stderr", "has no effect")),
  chrootFallback: hidden(flag("--chroot-fallback", "has no effect")),
};

const logOptions = grouped("Log:", {
  quiet: flag("-q, --quiet", "log warnings and errors only"),
  debug: flag("-d, --debug", "log more"),
  trace: flag("--trace", "log everything"),
  logFile: optional("-l, --log-file <file>", "log to a file", someText),
  logSize: hidden(value("--log-size <bytes>", "has no effect", logSize, "1048576")),
  pcap: optional("-p, --pcap <file>", "write all frames to a file, for Wireshark", someText),
  stats: hidden(optional("--stats <seconds>", "has no effect", statsDelay)),
});

const addressOptions = grouped("Addresses of the guest:", {
  ipv4Only: flag("-4, --ipv4-only", "IPv4 only"),
  ipv6Only: flag("-6, --ipv6-only", "IPv6 only"),
  interface: optional(
    "-i, --interface <name>",
    "interface of the host to copy, instead of that with the default route",
    interfaceName,
  ),
  address: repeated(
    "-a, --address <address[/length]>",
    "address in place of the interface's; once for each family",
    guestAddress,
  ),
  netmask: optional("-n, --netmask <mask>", "IPv4 netmask, as 24 or 255.255.255.0", netmask),
  gateway: repeated(
    "-g, --gateway <address>",
    "gateway in place of the interface's; once for each family",
    gatewayAddress,
  ),
  macAddr: value(
    "-M, --mac-addr <mac>",
    "Ethernet address of the gateway",
    macAddress,
    "9a:55:9a:55:9a:55",
  ),
  mtu: value("-m, --mtu <bytes>", "MTU; 0 leaves the kernel's", mtu, `${PASTA_MTU.most}`),
  noFollow: flag(
    "--no-follow",
    "keep addresses, routes and name servers as they are at the start, when the host's change",
  ),
});

const dnsOptions = grouped("Names:", {
  dnsForward: repeated(
    "--dns-forward <address>",
    "address at which the host's name server answers; once for each family",
    forwardAddress,
  ),
  dnsHost: repeated(
    "--dns-host <address>",
    "name server to ask in place of the host's; once for each family",
    hostNameServer,
  ),
  dns: repeated(
    "-D, --dns <address>",
    "name server that DHCP announces, or none; several times",
    orNone(nameServer),
  ),
  dhcpDns: flag("--dhcp-dns", "announce name servers (passt does by default)"),
  noDhcpDns: flag("--no-dhcp-dns", "announce no name servers"),
  search: repeated(
    "-S, --search <domains>",
    "search domains that DHCP announces, with spaces between, or none",
    orNone(searchList),
  ),
  dhcpSearch: flag("--dhcp-search", "announce search domains (passt does by default)"),
  noDhcpSearch: flag("--no-dhcp-search", "announce no search domains"),
  hostname: optional("-H, --hostname <name>", "hostname that DHCP announces", hostname),
  fqdn: hidden(optional("--fqdn <name>", "has no effect", domainName)),
});

const trafficOptions = grouped("Traffic:", {
  outbound: repeated(
    "-o, --outbound <address>",
    "address of the host to send from; once for each family",
    outboundAddress,
  ),
  outboundIf4: optional(
    "--outbound-if4 <name>",
    "interface of which to take the IPv4 address to send from",
    interfaceName,
  ),
  outboundIf6: optional("--outbound-if6 <name>", "the same for IPv6", interfaceName),
  mapHostLoopback: repeated(
    "--map-host-loopback <address>",
    "address that leads to the host's loopback, or none (default: the gateway)",
    orNone(mappedAddress),
  ),
  noMapGw: flag("--no-map-gw", "the gateway's address does not lead to the host's loopback"),
  mapGuestAddr: repeated(
    "--map-guest-addr <address>",
    "address that leads to the host at the guest's own address, or none",
    orNone(mappedAddress),
  ),
  noTcp: flag("--no-tcp", "relay no TCP"),
  noUdp: flag("--no-udp", "relay no UDP"),
  noIcmp: flag("--no-icmp", "relay no ping, and answer no NDP"),
  noDhcp: flag("--no-dhcp", "no DHCP server"),
  noDhcpv6: flag("--no-dhcpv6", "no DHCPv6 server"),
  noNdp: flag("--no-ndp", "answer no NDP"),
  noRa: flag("--no-ra", "send no router advertisements"),
});

export const inboundOptions = {
  tcpPorts: repeated(
    "-t, --tcp-ports <ports>",
    "TCP ports of the host that lead to the guest",
    anyText,
  ),
  udpPorts: repeated(
    "-u, --udp-ports <ports>",
    "UDP ports of the host that lead to the guest",
    anyText,
  ),
  freebind: flag("--freebind", "listen on addresses that the host does not have yet, too"),
};

const outboundOptions = {
  tcpNs: repeated(
    "-T, --tcp-ns <ports>",
    "TCP ports of the host's loopback that appear on the guest's",
    anyText,
  ),
  udpNs: repeated(
    "-U, --udp-ns <ports>",
    "UDP ports of the host's loopback that appear on the guest's",
    anyText,
  ),
};

export const commonOptions = {
  ...processOptions,
  ...logOptions,
  ...addressOptions,
  ...dnsOptions,
  ...trafficOptions,
};

export const passtOptions = {
  ...commonOptions,
  ...grouped("Ports (see pasta(1); default: none):", inboundOptions),
  ...grouped("The virtual machine:", {
    socket: alsoCalled(
      optional(
        "-s, --socket <path>",
        "socket for QEMU's -netdev stream (default: a free one of /tmp/passt_1.socket to /tmp/passt_64.socket)",
        socketPath,
      ),
      "--socket-path",
    ),
    fd: optional("-F, --fd <fd>", "connected socket", descriptor),
    oneOff: flag("-1, --one-off", "end with the first client"),
    vhostUser: hidden(flag("--vhost-user", "is refused")),
    printCapabilities: hidden(flag("--print-capabilities", "is refused")),
    repairPath: hidden(optional("--repair-path <path>", "has no effect", someText)),
    migrateExit: hidden(flag("--migrate-exit", "has no effect")),
    migrateNoLinger: hidden(flag("--migrate-no-linger", "has no effect")),
  }),
};

export const pastaOptions = {
  ...commonOptions,
  ...grouped("Ports (see pasta(1); default: auto):", {
    ...inboundOptions,
    ...outboundOptions,
    hostLoToNsLo: flag(
      "--host-lo-to-ns-lo",
      "who connects to a port on the host's loopback arrives at the guest's loopback",
    ),
    noSplice: flag("--no-splice", "ports of the host's loopback lead through the TAP"),
    spliceOnly: hidden(flag("--splice-only", "is refused")),
  }),
  ...grouped("The namespace:", {
    netns: optional(
      "--netns <path|name>",
      "file of a network namespace, or its name in /run/netns",
      someText,
    ),
    userns: optional("--userns <path>", "file of the user namespace to enter", someText),
    netnsOnly: flag(
      "--netns-only",
      "enter no user namespace but the owner of the network namespace",
    ),
    noPidns: flag("--no-pidns", "COMMAND sees the host's processes: it has no PID namespace"),
    noNetnsQuit: flag("--no-netns-quit", "go on when the namespace's file is removed"),
    configNet: flag("--config-net", "set addresses and routes, and bring the interface up"),
    nsIfname: optional(
      "-I, --ns-ifname <name>",
      "name of the interface, instead of that of the host's",
      interfaceName,
    ),
    nsMacAddr: optional("--ns-mac-addr <mac>", "Ethernet address of the interface", macAddress),
    noCopyRoutes: hidden(flag("--no-copy-routes", "set the default route only")),
    noCopyAddrs: hidden(flag("--no-copy-addrs", "set one address of each family only")),
  }),
};

/** Puts options below a heading of `--help`. */
function grouped<O extends Options>(group: string, options: O): O {
  return Object.fromEntries(
    Object.entries(options).map(([key, option]) => [key, { ...option, group }]),
  ) as O;
}

export const pestoOptions = {
  version: versionOption,
  add: flag("-A, --add", "add the ports behind it to those that lead to the guest or the host"),
  delete: flag("-D, --delete", "delete the ports behind it from them"),
  clear: repeated(
    "-C, --clear <table>",
    "delete all ports of a table: HOST (-t, -u) or SPLICE (-T, -U)",
    anyText,
  ),
  tcpPorts: inboundOptions.tcpPorts,
  udpPorts: inboundOptions.udpPorts,
  ...outboundOptions,
  show: flag("-s, --show", "show the ports, before and after the changes"),
  debug: hidden(flag("-d, --debug", "has no effect")),
} satisfies Options;
