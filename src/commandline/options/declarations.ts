import { DEFAULT_LINES_PER_SECOND, LOG_LEVELS } from "../../base/log.js";
import { quoted } from "../../base/printable.js";
import { DEFAULT_PREFIX } from "../../config/address-plan.js";
import { DEFAULT_MEMORY_BUDGET, DEFAULT_MTU, MTU_RANGE } from "../../config/constants.js";
import type { Timeouts } from "../../config/guest-config.js";
import {
  addressPlan,
  hostAddress,
  interfaceMac,
  ipAddress,
  memberAddress,
  outboundSource,
} from "../parsing/addresses.js";
import {
  alsoCalled,
  flag,
  type Options,
  optional,
  type Reader,
  repeated,
  value,
} from "../parsing/option.js";
import {
  alias,
  anyText,
  checked,
  descriptor,
  domainName,
  hostname,
  hostRecords,
  MEBIBYTE,
  memberName,
  memorySize,
  oneOf,
  resolverOption,
  someText,
  tapName,
  variable,
  wholeNumber,
  wrong,
} from "../parsing/values.js";
import { readPortSet, readPublish } from "../publish-option.js";
import { runAnyway } from "./docker.js";
import { limitOptions } from "./limits.js";

/** In MiB: one connection needs some of it, and the address space of a guest's stack is 256 MiB. */
const MEMORY_RANGE = { least: 4, most: 240 } as const;
const API_CLIENTS_MOST = 4096;
const LOG_LINES_MOST = 1_000_000;

export const mtu = wholeNumber(MTU_RANGE.least, MTU_RANGE.most);

/** What `--timeout` may name, and where it is kept. */
const TIMEOUTS: Readonly<Record<string, keyof Timeouts>> = {
  udp: "udp",
  "udp-unanswered": "udpUnanswered",
  "udp-dns": "udpDns",
  ping: "ping",
};
/** In seconds. */
const TIMEOUT_RANGE = { least: 1, most: 86_400 } as const;

const timeout: Reader<Partial<Timeouts>> = (text, name) => {
  const [, what = "", digits = ""] = /^([a-z-]+)=(\d+)$/.exec(text) ?? [];
  const { least, most } = TIMEOUT_RANGE;
  const seconds = Number(digits);
  const key = TIMEOUTS[what];
  if (key !== undefined && seconds >= least && seconds <= most) return { [key]: seconds * 1000 };
  const names = Object.keys(TIMEOUTS).join(", ");
  throw wrong(
    `${name} ${quoted(text)}: write it like udp=60, ${least} to ${most} seconds, for ${names}`,
  );
};

/** Of `run`, `attach` and `slirp4netns`. */
export const commonOptions = {
  mtu: value(
    "-m, --mtu <bytes>",
    `MTU of the TAP, ${MTU_RANGE.least} to ${MTU_RANGE.most}`,
    mtu,
    `${DEFAULT_MTU}`,
  ),
  cidr: value(
    "--cidr <network>",
    "IPv4 network of the namespace, /25 or larger",
    addressPlan(4),
    `${DEFAULT_PREFIX[4]}`,
  ),
  ipv6Cidr: optional(
    "--ipv6-cidr <network>",
    `IPv6 network of the namespace (default: ${DEFAULT_PREFIX[6]})`,
    addressPlan(6),
  ),
  disableDns: flag("--disable-dns", "do not answer at the DNS address"),
  outboundAddr: optional(
    "--outbound-addr <source>",
    "IPv4 address, or interface, to send from",
    outboundSource(4),
  ),
  outboundAddr6: optional(
    "--outbound-addr6 <source>",
    "IPv6 address, or interface, to send from",
    outboundSource(6),
  ),
  udpFiltering: value(
    "--udp-filtering <mode>",
    "who may send to a UDP port that the namespace has sent from: endpoint (anyone) or address (only hosts it has sent to)",
    oneOf(["endpoint", "address"]),
    "endpoint",
  ),
  timeout: repeated(
    "--timeout <what=seconds>",
    `how long an idle flow is kept, for each of ${Object.keys(TIMEOUTS).join(", ")}; repeatable`,
    timeout,
  ),
  memory: value(
    "--memory <size>",
    `most memory of Slipway itself, for packets and connections, ${MEMORY_RANGE.least}M to ${MEMORY_RANGE.most}M`,
    memorySize(MEMORY_RANGE.least, MEMORY_RANGE.most),
    `${DEFAULT_MEMORY_BUDGET / MEBIBYTE}M`,
  ),
  stats: flag("--stats", "at the end, print statistics and dropped packets to stderr"),
  pcap: optional(
    "--pcap <file>",
    "write every frame, in both directions, to this file in pcapng format",
    someText,
  ),
  logFile: optional("--log-file <file>", "append the log to this file, not to stderr", someText),
  logLevel: optional(
    "--log-level <level>",
    `lowest level to log: ${LOG_LEVELS.join(", ")} (default: warning, in a file info)`,
    oneOf(LOG_LEVELS),
  ),
  logFormat: value(
    "--log-format <format>",
    "text, or json with one object per line",
    oneOf(["text", "json"]),
    "text",
  ),
  maxLogLines: value(
    "--max-log-lines <number>",
    "log lines per second",
    wholeNumber(1, LOG_LINES_MOST),
    `${DEFAULT_LINES_PER_SECOND}`,
  ),
  maxApiClients: value(
    "--max-api-clients <number>",
    "clients of the API socket; one more disconnects the oldest",
    wholeNumber(1, API_CLIENTS_MOST),
    "256",
  ),
  noSandbox: flag("--no-sandbox", "keep all privileges, for debugging"),
  ...limitOptions,
} satisfies Options;

const apiSocket = optional(
  "-a, --api-socket <path>",
  "accept API requests at this UNIX socket, such as to publish ports",
  someText,
);

/** Of `run` and `attach`, besides `commonOptions`. */
export const slipwayOptions = {
  apiSocket: { ...apiSocket, replaces: "noApiSocket" },
  noApiSocket: {
    ...flag(
      "--no-api-socket",
      "accept no API requests; by default at $XDG_RUNTIME_DIR/slipway/PID.sock",
    ),
    replaces: "apiSocket",
  },
  publish: repeated(
    "-p, --publish <port>",
    "forward a port of the host to the namespace: [ADDRESS:][PORT]:PORT[/udp], or ranges; repeatable",
    readPublish,
  ),
  publishAuto: alsoCalled(
    flag(
      "-P, --publish-auto",
      "publish each port on which the namespace listens, for as long as it does",
    ),
    "--publish-all",
  ),
  hostAddress: repeated(
    "--host-address <address>",
    "have all of this address of the host: send from it, and publish there each port on which the namespace listens; one per family; repeatable",
    hostAddress,
  ),
  publishExclude: optional(
    "--publish-exclude <ports>",
    "ports that --publish-auto and --host-address leave out, such as 22,8000-8010,53/udp",
    readPortSet,
  ),
  publishToLoopback: flag(
    "--publish-to-loopback",
    "let --publish lead to 127.0.0.1 and ::1 of the namespace, and --publish-auto publish what listens there, too",
  ),
  hostLoopback: flag(
    "--host-loopback",
    "let the gateway's address lead to 127.0.0.1 and ::1 of the host",
  ),
  noIpv6: flag("--no-ipv6", "disable IPv6; by default it is enabled if the host has it"),
  dns: repeated(
    "--dns <address>",
    "ask this DNS server instead of the host's; repeatable",
    ipAddress,
  ),
  dnsSearch: repeated(
    "--dns-search <domain>",
    "search domain, instead of the host's; repeatable",
    domainName,
  ),
  addHost: repeated(
    "--add-host <name=address>",
    "resolve this name to this address, or with host-gateway to that of the host; repeatable",
    hostRecords,
  ),
} satisfies Options;

/** Of `attach` and `slirp4netns`, besides `commonOptions`. */
export const attachmentOptions = {
  exitFd: optional("-e, --exit-fd <fd>", "exit on any event on this descriptor", descriptor),
  readyFd: optional(
    "-r, --ready-fd <fd>",
    'write "1" to this descriptor once the network is up',
    descriptor,
  ),
  exitWithNetns: flag(
    "--exit-with-netns",
    "exit when the file of the namespace is removed, if it was named by PATH",
  ),
  shared: flag("--shared", "let your slipway daemon serve the network, if it runs and can"),
} satisfies Options;

/** Of `run` alone. */
export const runOptions = {
  tap: value("--tap <name>", "name of the TAP in the namespace", tapName, "tap0"),
  keepId: flag("--keep-id", "keep your uid and gid instead of becoming root inside"),
  mapAuto: flag(
    "--map-auto",
    "have your subordinate ids inside, too, by newuidmap: for programs that change to other users",
  ),
  dnsOption: alsoCalled(
    repeated(
      "--dns-option <option>",
      "option for resolv.conf, such as ndots:2; repeatable",
      resolverOption,
    ),
    "--dns-opt",
  ),
  network: alsoCalled(
    repeated(
      "--network <network>",
      "join the network NAME[:ip=,mac=,alias=,ifname=], repeatable; or one of slirp (the default), bridge, host, none, container:NAME|PID|PATH",
      anyText,
    ),
    "--net",
  ),
  name: optional(
    "--name <name>",
    "name by which port, status, flows and other members of its networks find it",
    memberName,
  ),
  hostname: optional(
    "-h, --hostname <name>",
    "hostname inside; by default its name on networks, elsewhere that of the host",
    hostname,
  ),
  pid: optional(
    "--pid <namespace>",
    "host: let COMMAND see the processes of the host, not only its own",
    oneOf(["host"]),
  ),
  apiInside: flag("--api-inside", "let COMMAND use Slipway's sockets, such as to publish ports"),
  env: repeated(
    "-e, --env <name=value>",
    "variable of COMMAND's environment, besides yours; repeatable",
    variable,
  ),
  envFile: repeated(
    "--env-file <file>",
    "file with such variables, one a line; repeatable",
    anyText,
  ),
  workdir: optional(
    "-w, --workdir <directory>",
    "directory in which COMMAND begins; by default yours",
    someText,
  ),
  ip: alsoCalled(
    repeated(
      "--ip <address>",
      "its address on the first network, one per family; repeatable",
      checked(memberAddress),
    ),
    "--ip6",
  ),
  macAddress: optional(
    "--mac-address <mac>",
    "its Ethernet address on the first network",
    checked(interfaceMac),
  ),
  alias: alsoCalled(
    repeated(
      "--alias <name>",
      "further name on the first network; several members may share one; repeatable",
      alias,
    ),
    "--network-alias",
    "--net-alias",
  ),
  ...runAnyway,
} satisfies Options;

/** Of `slirp4netns` alone. */
export const slirp4netnsOptions = {
  configure: flag("-c, --configure", "bring up lo and the TAP, and set MTU, address and route"),
  enableIpv6: flag("-6, --enable-ipv6", "enable IPv6"),
  disableHostLoopback: flag(
    "--disable-host-loopback",
    "do not let the gateway's address lead to 127.0.0.1 of the host",
  ),
  apiSocket,
  netnsType: value(
    "--netns-type <type>",
    "what the first argument is: pid, path, or tapfd for an open TAP",
    oneOf(["pid", "path", "tapfd"]),
    "pid",
  ),
  targetType: value(
    "--target-type <type>",
    "what to connect: netns, or bess for a UNIX socket at PATH with one frame per message",
    oneOf(["netns", "bess"]),
    "netns",
  ),
  usernsPath: optional("--userns-path <path>", "user namespace to enter", someText),
  macaddress: optional(
    "--macaddress <mac>",
    "Ethernet address of the TAP; needs --configure",
    interfaceMac,
  ),
  enableSandbox: flag("--enable-sandbox", "no effect: the sandbox is on by default"),
  enableSeccomp: flag("--enable-seccomp", "no effect: the sandbox is on by default"),
} satisfies Options;
