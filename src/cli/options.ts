import { Option } from "commander";
import * as v from "valibot";
import { Address, type Family, parseCidr, requireNetworkAddress } from "../base/address.js";
import { DEFAULT_MEMORY_BUDGET, DEFAULT_MTU, HIGHEST_PID, MTU_RANGE } from "../base/constants.js";
import { UserError } from "../base/errors.js";
import { DEFAULT_LIMITS, type Limits } from "../base/limits.js";
import { DEFAULT_LINES_PER_SECOND, LOG_LEVELS } from "../base/log.js";
import { isMulticastMac, type Mac, parseMac } from "../base/mac.js";
import { type AddressPlan, DEFAULT_PREFIX, planFor, type Timeouts } from "../base/plan.js";
import { type PortSet, parsePortSet } from "../base/port-set.js";

import { type PublishOption, parsePublish } from "./publish-option.js";

const DEFAULT_API_CLIENTS = "256";
const API_CLIENTS_MOST = 4096;
const MEBIBYTE = 1024 * 1024;
const DEFAULT_MEMORY = `${DEFAULT_MEMORY_BUDGET / MEBIBYTE}M`;
const UNITS: Readonly<Record<string, number>> = { K: 1024, M: MEBIBYTE };
/** One connection needs some of it, and the address space of a guest's stack is 256 MiB. */
const MEMORY_RANGE = { least: 4, most: 240 } as const;
/** A descriptor is an int. */
const FD_MOST = 2 ** 31 - 1;
/** IFNAMSIZ without the terminating zero, in bytes. */
const INTERFACE_NAME_BYTES = 15;

/** What `--timeout` may name, and where it is kept. */
const TIMEOUTS: Readonly<Record<string, keyof Timeouts>> = {
  udp: "udp",
  "udp-unanswered": "udpUnanswered",
  "udp-dns": "udpDns",
  ping: "ping",
};
const TIMEOUT_RANGE = { least: 1, most: 86_400 } as const;

/** How each option is written; the commands that share one share its meaning. */
export const option = {
  configure: new Option("-c, --configure", "bring up lo and the TAP, set MTU, address and route"),
  exitFd: new Option("-e, --exit-fd <fd>", "end on any event on this descriptor"),
  readyFd: new Option("-r, --ready-fd <fd>", 'write "1" to this descriptor when the network is up'),
  mtu: new Option(
    "-m, --mtu <bytes>",
    `MTU of the TAP, ${MTU_RANGE.least} to ${MTU_RANGE.most}`,
  ).default(String(DEFAULT_MTU), String(DEFAULT_MTU)),
  cidr: new Option("--cidr <network>", "IPv4 network of the namespace, /25 or larger").default(
    String(DEFAULT_PREFIX[4]),
    String(DEFAULT_PREFIX[4]),
  ),
  enableIpv6: new Option("-6, --enable-ipv6", "give the namespace IPv6 as well"),
  noIpv6: new Option("--no-ipv6", "leave IPv6 out; by default it is there if the host has it"),
  ipv6Cidr: new Option(
    "--ipv6-cidr <network>",
    `IPv6 network of the namespace (default: ${DEFAULT_PREFIX[6]})`,
  ),
  dns: repeated("--dns <address>", "ask this DNS server instead of the host's; repeatable"),
  dnsSearch: repeated("--dns-search <domain>", "search names in this domain; repeatable"),
  dnsOption: repeated("--dns-option <option>", "a line of options in resolv.conf; repeatable"),
  addHost: repeated("--add-host <name=address>", "answer this name ourselves; repeatable"),
  disableDns: new Option("--disable-dns", "answer nothing at the DNS address"),
  outboundAddr: new Option("--outbound-addr <source>", "IPv4 address or interface to send from"),
  outboundAddr6: new Option("--outbound-addr6 <source>", "IPv6 address or interface to send from"),
  udpFiltering: new Option(
    "--udp-filtering <mode>",
    "who may answer a UDP port of the namespace: endpoint (anybody) or address (whom it asked)",
  )
    .choices(["endpoint", "address"])
    .default("endpoint"),
  timeout: repeated(
    "--timeout <what=seconds>",
    `how long a port is kept without traffic: ${Object.keys(TIMEOUTS).join(", ")}; repeatable`,
  ),
  hostLoopback: new Option(
    "--host-loopback",
    "let the gateway's address lead to 127.0.0.1 of the host",
  ),
  disableHostLoopback: new Option(
    "--disable-host-loopback",
    "do not let the gateway's address lead to 127.0.0.1 of the host",
  ),
  memory: new Option(
    "--memory <size>",
    `most memory for packets and connections, ${MEMORY_RANGE.least}M to ${MEMORY_RANGE.most}M`,
  ).default(DEFAULT_MEMORY, DEFAULT_MEMORY),
  pcap: new Option("--pcap <file>", "write every frame, both ways, to this file, as pcapng"),
  stats: new Option("--stats", "print figures and counts of dropped packets at the end, on stderr"),
  logFile: new Option("--log-file <file>", "append the log to this file instead of stderr"),
  logLevel: new Option(
    "--log-level <level>",
    `least that is logged: ${LOG_LEVELS.join(", ")} (default: warning, in a file info)`,
  ),
  logFormat: new Option("--log-format <format>", "text or json: one object a line").default("text"),
  maxLogLines: new Option("--max-log-lines <number>", "lines of the log in a second").default(
    String(DEFAULT_LINES_PER_SECOND),
    String(DEFAULT_LINES_PER_SECOND),
  ),
  tap: new Option("--tap <name>", "name of the TAP in the namespace").default("tap0", "tap0"),
  keepId: new Option("--keep-id", "keep the uid and gid instead of becoming root inside"),
  apiSocket: new Option(
    "-a, --api-socket <path>",
    "take requests, such as for ports, at this socket",
  ),
  maxApiClients: new Option(
    "--max-api-clients <number>",
    "clients of the API socket; the oldest goes for one more",
  ).default(DEFAULT_API_CLIENTS, DEFAULT_API_CLIENTS),
  noApiSocket: new Option(
    "--no-api-socket",
    "take no requests; by default at $XDG_RUNTIME_DIR/slipway/PID.sock",
  ),
  network: repeated(
    "--network <network>",
    "a network's name, with :ip=,mac=,alias=,ifname= behind it, repeatable; bridge; host; none; container:NAME|PID|PATH; or slirp, the default",
  ),
  name: new Option("--name <name>", "by which other members of its networks find it"),
  hostname: new Option("--hostname <name>", "hostname inside; on networks the name is, otherwise"),
  pid: new Option(
    "--pid <namespace>",
    "host: show COMMAND the host's processes, instead of its own alone",
  ),
  apiInside: new Option("--api-inside", "let COMMAND see Slipway's sockets, and ask for ports"),
  ip: repeated("--ip <address>", "its address on the first network, one of each family"),
  macAddress: new Option("--mac-address <mac>", "its Ethernet address on the first network"),
  alias: repeated("--alias <name>", "another name on the first network; several may share one"),
  publish: repeated(
    "-p, --publish <port>",
    "lead a port of the host to the namespace: [ADDRESS:][PORT]:PORT[/udp], or ranges; repeatable",
  ),
  publishAuto: new Option(
    "-P, --publish-auto",
    "publish what the namespace listens on, at the same port, as long as it does",
  ),
  publishExclude: new Option(
    "--publish-exclude <ports>",
    "what --publish-auto leaves out: 22,8000-8010,53/udp",
  ),
  publishToLoopback: new Option(
    "--publish-to-loopback",
    "let --publish lead to the namespace's 127.0.0.1 and ::1, and --publish-auto publish what listens there, too",
  ),
  netnsType: new Option(
    "--netns-type <type>",
    "what the first argument is: pid, path, or tapfd for an open TAP",
  ).default("pid", "pid"),
  targetType: new Option(
    "--target-type <type>",
    "what is connected: netns, or bess for a UNIX socket at PATH, a frame a message",
  ).default("netns", "netns"),
  usernsPath: new Option("--userns-path <path>", "user namespace to enter"),
  noSandbox: new Option("--no-sandbox", "keep the rights that the sandbox takes: to find faults"),
  exitWithNetns: new Option(
    "--exit-with-netns",
    "end when the file of the namespace is removed, where it is named by a path",
  ),
  shared: new Option("--shared", "have the user's daemon serve the network, if it runs and can"),
  macaddress: new Option("--macaddress <mac>", "Ethernet address of the TAP, with --configure"),
  enableSandbox: new Option("--enable-sandbox", "as by default; for callers of slirp4netns"),
  enableSeccomp: new Option("--enable-seccomp", "as by default; for callers of slirp4netns"),
} as const;

/** No more than the stack has numbers for. */
const LIMIT_MOST = 65_535;
const NEW_FLOWS_MOST = 1_000_000;
const LOG_LINES_MOST = 1_000_000;

/** A limit of a guest: what it counts, and the range of its option. */
interface LimitOption {
  readonly what: string;
  readonly least: number;
  readonly most: number;
}

/** In the order of `--help`. That of `halfOpen` is `--max-half-open`, and so on. */
const LIMITS: Readonly<Record<keyof Limits, LimitOption>> = {
  flows: { what: "TCP connections", least: 1, most: LIMIT_MOST },
  flowsPerDestination: {
    what: "TCP connections to one address and port",
    least: 1,
    most: LIMIT_MOST,
  },
  halfOpen: { what: "TCP connections that wait for an answer", least: 1, most: LIMIT_MOST },
  newFlows: {
    what: "TCP connections that begin in a second in vain",
    least: 1,
    most: NEW_FLOWS_MOST,
  },
  mappings: { what: "UDP and ping flows", least: 1, most: LIMIT_MOST },
  newMappings: {
    what: "UDP and ping flows, and DNS queries, that begin in a second in vain",
    least: 1,
    most: NEW_FLOWS_MOST,
  },
  reassemblies: { what: "datagrams that wait for fragments", least: 1, most: LIMIT_MOST },
  listeners: { what: "published ports", least: 0, most: LIMIT_MOST },
  dnsQueries: { what: "DNS queries under way", least: 1, most: LIMIT_MOST },
};
const LIMIT_KEYS = Object.keys(LIMITS) as readonly (keyof Limits)[];

/** As commander has an option of that name. */
type LimitEntries = {
  readonly [Key in keyof Limits as `max${Capitalize<Key>}`]: ReturnType<typeof wholeNumber>;
};

export const limitOptions: readonly Option[] = LIMIT_KEYS.map((key) => {
  const value = String(DEFAULT_LIMITS[key]);
  return new Option(`${limitFlag(key)} <number>`, LIMITS[key].what)
    .default(value, value)
    .helpGroup("Limits (what has been idle for longest ends first):");
});

// The keys are those of the type: an option's name and its key are made of the same words.
const limitEntries = Object.fromEntries(
  LIMIT_KEYS.map((key) => {
    const { least, most } = LIMITS[key];
    return [
      `max${key.charAt(0).toUpperCase()}${key.slice(1)}`,
      wholeNumber(limitFlag(key), least, most),
    ];
  }),
) as LimitEntries;

function limitFlag(key: keyof Limits): string {
  return `--max-${key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

const flag = v.optional(v.boolean(), false);

const mtu = wholeNumber("--mtu", MTU_RANGE.least, MTU_RANGE.most);

const domainName = v.pipe(
  v.string(),
  // RFC 1035 §2.3.4: 63 bytes a label; underscores occur in names that are not of hosts.
  v.regex(
    /^(?=.{1,253}\.?$)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_][a-z0-9_-]{0,62})*\.?$/i,
    ({ input }) => `"${input}" is not a domain name: write one like example.org`,
  ),
);

const hostRecord = v.pipe(
  v.string(),
  v.rawTransform<string, HostRecord>(({ dataset, addIssue, NEVER }) => {
    const [, name = "", text = ""] = /^([^=]+)=(.+)$/.exec(dataset.value) ?? [];
    const address = Address.parse(text);
    if (address !== null && v.is(domainName, name)) {
      return { name: name.toLowerCase().replace(/\.$/, ""), address };
    }
    addIssue({ message: `--add-host ${dataset.value}: write it like db.example=192.0.2.1` });
    return NEVER;
  }),
);

const timeout = v.pipe(
  v.string(),
  v.rawTransform<string, Partial<Timeouts>>(({ dataset, addIssue, NEVER }) => {
    const [, what = "", text = ""] = /^([a-z-]+)=(\d+)$/.exec(dataset.value) ?? [];
    const { least, most } = TIMEOUT_RANGE;
    const seconds = Number(text);
    const key = TIMEOUTS[what];
    if (key !== undefined && seconds >= least && seconds <= most) return { [key]: seconds * 1000 };
    const names = Object.keys(TIMEOUTS).join(", ");
    addIssue({
      message: `--timeout ${dataset.value}: write it like udp=${least} to udp=${most}, in seconds, or with ${names}`,
    });
    return NEVER;
  }),
);

/** A name that we answer ourselves. */
export interface HostRecord {
  /** In lower case, without a dot at its end. */
  readonly name: string;
  readonly address: Address;
}

const interfaceName = v.pipe(
  v.string(),
  v.check(
    (name) => name !== "lo",
    "TAP name lo is taken by the loopback interface: choose another, such as tap0",
  ),
  v.check(
    (name) => Buffer.byteLength(name) <= INTERFACE_NAME_BYTES,
    ({ input }) =>
      `TAP name ${input} is too long: an interface has at most ${INTERFACE_NAME_BYTES} bytes`,
  ),
  // dev_valid_name() of the kernel; % because TUNSETIFF would take it as a pattern.
  v.regex(
    /^(?!\.{1,2}$)[^\s/:%]+$/,
    ({ input }) =>
      `TAP name "${input}" is not an interface name: use letters and digits, such as tap0`,
  ),
);

const logEntries = {
  maxApiClients: wholeNumber("--max-api-clients", 1, API_CLIENTS_MOST),
  logFile: v.nullish(v.string(), null),
  logLevel: v.nullish(oneOf("--log-level", LOG_LEVELS), null),
  logFormat: oneOf("--log-format", ["text", "json"]),
  maxLogLines: wholeNumber("--max-log-lines", 1, LOG_LINES_MOST),
};
const networkEntries = {
  ...logEntries,
  ...limitEntries,
  mtu,
  memory: memorySize("--memory"),
  stats: flag,
  pcap: v.nullish(v.string(), null),
  sandbox: v.optional(v.boolean(), true),
  cidr: addressPlan("--cidr", 4),
  ipv6Cidr: v.nullish(addressPlan("--ipv6-cidr", 6), null),
  disableDns: flag,
  outboundAddr: v.nullish(v.string(), null),
  outboundAddr6: v.nullish(v.string(), null),
  udpFiltering: v.optional(v.picklist(["endpoint", "address"]), "endpoint"),
  timeout: v.optional(v.array(timeout), []),
};
const nameEntries = {
  ipv6: v.optional(v.boolean(), true),
  hostLoopback: flag,
  dns: v.optional(v.array(ipAddress("--dns")), []),
  dnsSearch: v.optional(v.array(domainName), []),
  addHost: v.optional(v.array(hostRecord), []),
};
const publishEntries = {
  publish: v.optional(
    v.array(
      v.pipe(
        v.string(),
        v.rawTransform<string, PublishOption>(({ dataset, addIssue, NEVER }) => {
          const parsed = parsePublish(dataset.value);
          if (parsed !== null) return parsed;
          addIssue({
            message: `--publish ${dataset.value}: write it like 8080:80, 127.0.0.1:8000-8010:8000-8010 or [::1]:53:53/udp`,
          });
          return NEVER;
        }),
      ),
    ),
    [],
  ),
  publishAuto: flag,
  publishToLoopback: flag,
  publishExclude: v.optional(
    v.pipe(
      v.string(),
      v.rawTransform<string, PortSet>(({ dataset, addIssue, NEVER }) => {
        const parsed = parsePortSet(dataset.value);
        if (parsed !== null) return parsed;
        addIssue({
          message: `--publish-exclude ${dataset.value}: write it like 22,8000-8010,53/udp`,
        });
        return NEVER;
      }),
    ),
  ),
};
const apiEntries = { apiSocket: v.optional(v.union([v.string(), v.boolean()]), true) };
const descriptorEntries = {
  readyFd: v.nullish(wholeNumber("--ready-fd", 0, FD_MOST), null),
  exitWithNetns: flag,
  exitFd: v.nullish(wholeNumber("--exit-fd", 0, FD_MOST), null),
};

const joinEntries = {
  network: v.optional(v.array(v.string()), []),
  name: v.nullish(v.string(), null),
  hostname: v.nullish(
    v.pipe(
      v.string(),
      v.regex(
        /^[a-z0-9]([a-z0-9.-]{0,62}[a-z0-9])?$/i,
        ({ input }) => `--hostname "${input}": use letters, digits, hyphens and dots, 64 at most`,
      ),
    ),
    null,
  ),
  ip: v.optional(v.array(v.string()), []),
  macAddress: v.nullish(v.string(), null),
  alias: v.optional(v.array(v.string()), []),
};

/** Options of `slipway run`. */
export const runOptions = v.object({
  ...networkEntries,
  ...nameEntries,
  ...publishEntries,
  ...apiEntries,
  ...joinEntries,
  dnsOption: v.optional(v.array(v.string()), []),
  keepId: flag,
  pid: v.nullish(oneOf("--pid", ["host"]), null),
  apiInside: flag,
  tap: interfaceName,
});

/** Options and arguments of `slipway attach`. */
export const attachOptions = v.object({
  ...networkEntries,
  ...nameEntries,
  ...publishEntries,
  ...descriptorEntries,
  ...apiEntries,
  tap: interfaceName,
});

/** Options and arguments of `slirp4netns`. */
export const slirp4netnsOptions = v.object({
  ...networkEntries,
  ...descriptorEntries,
  apiSocket: v.nullish(v.string(), null),
  enableIpv6: flag,
  configure: flag,
  disableHostLoopback: flag,
  netnsType: v.picklist(
    ["pid", "path", "tapfd"],
    ({ input }) => `--netns-type is ${input}: it must be pid, path or tapfd`,
  ),
  targetType: v.picklist(
    ["netns", "bess"],
    ({ input }) => `--target-type is ${input}: it must be netns or bess`,
  ),
  usernsPath: v.nullish(v.string(), null),
  macaddress: v.nullish(hostMac("--macaddress"), null),
  tap: interfaceName,
});

/** A process ID as an argument. */
export const pid = wholeNumber("PID", 1, HIGHEST_PID);

/** A descriptor of a TAP as an argument. */
export const tapFd = wholeNumber("FD", 0, FD_MOST);

/**
 * The checked form of raw options.
 * @throws UserError with the first sentence of the schema that does not hold
 */
export function check<Schema extends v.GenericSchema>(
  schema: Schema,
  raw: unknown,
): v.InferOutput<Schema> {
  const result = v.safeParse(schema, raw, { abortEarly: true });
  if (!result.success) throw new UserError(result.issues[0].message, 2);
  return result.output;
}

function oneOf<const Choice extends string>(name: string, choices: readonly Choice[]) {
  return v.picklist(
    choices,
    ({ input }) =>
      `${name} is "${input}": it must be ${choices.join(", ").replace(/, (?!.*, )/, " or ")}`,
  );
}

function wholeNumber(name: string, least: number, most: number) {
  const mend = `give a number from ${least} to ${most}`;
  return v.pipe(
    v.string(),
    v.regex(/^\d+$/, ({ input }) => `${name} is "${input}", not a number: ${mend}`),
    v.transform(Number),
    v.minValue(least, ({ input }) => `${name} ${input} is too small: ${mend}`),
    v.maxValue(most, ({ input }) => `${name} ${input} is too large: ${mend}`),
  );
}

/** In MiB with M behind it, or in KiB or bytes; gives bytes. */
function memorySize(name: string) {
  const { least, most } = MEMORY_RANGE;
  const mend = `give ${least}M to ${most}M`;
  return v.pipe(
    v.string(),
    v.regex(/^\d+[KM]?$/i, ({ input }) => `${name} is "${input}", not a size: ${mend}`),
    v.transform(bytesOf),
    v.minValue(least * MEBIBYTE, `${name} is too small: ${mend}`),
    v.maxValue(most * MEBIBYTE, `${name} is too large: ${mend}`),
  );
}

function bytesOf(size: string): number {
  const unit = UNITS[size.slice(-1).toUpperCase()] ?? 1;
  return Number.parseInt(size, 10) * unit;
}

function addressPlan(name: string, family: Family) {
  return v.pipe(
    v.string(),
    v.rawTransform<string, AddressPlan>(({ dataset, addIssue, NEVER }) => {
      try {
        return planOf(dataset.value, family);
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        addIssue({ message: `${name} ${error.message}` });
        return NEVER;
      }
    }),
  );
}

function planOf(text: string, family: Family): AddressPlan {
  const { address, prefix } = parseCidr(text);
  if (address.family !== family) {
    const example = DEFAULT_PREFIX[family];
    throw new RangeError(`"${text}": invalid CIDR; write an IPv${family} network like ${example}`);
  }
  const plan = planFor(prefix);
  requireNetworkAddress(address, prefix);
  return plan;
}

/** An Ethernet address that an interface can have: no group's, and not all zeros. */
function hostMac(name: string) {
  return v.pipe(
    v.string(),
    v.rawTransform<string, Mac>(({ dataset, addIssue, NEVER }) => {
      const mac = parseMac(dataset.value);
      if (mac !== null && mac !== 0 && !isMulticastMac(mac)) return mac;
      addIssue({
        message: `${name} ${dataset.value} is no interface's Ethernet address: write one like 02:00:5e:10:00:01`,
      });
      return NEVER;
    }),
  );
}

function ipAddress(name: string) {
  return v.pipe(
    v.string(),
    v.rawTransform<string, Address>(({ dataset, addIssue, NEVER }) => {
      const address = Address.parse(dataset.value);
      if (address !== null) return address;
      addIssue({
        message: `${name} ${dataset.value} is not an address: write one like 192.0.2.53`,
      });
      return NEVER;
    }),
  );
}

/** An option whose values add up. */
function repeated(flags: string, description: string): Option {
  return new Option(flags, description).argParser<string[]>((value, before) => [
    ...(before ?? []),
    value,
  ]);
}
