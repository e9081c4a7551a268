import type { NetworkMode } from "../network-mode.js";
import type { Options } from "../parsing/option.js";
import { wrong } from "../parsing/values.js";
import { runAnyway } from "./docker.js";

const EVERYWHERE = [
  "network",
  "env",
  "envFile",
  "workdir",
  "logFile",
  "logLevel",
  "logFormat",
  "maxLogLines",
  ...Object.keys(runAnyway),
];

/** Options of `network create` that do for a network what these of `run` do for a run of its own, by key. */
const OF_NETWORKS: Readonly<Record<string, string>> = {
  mtu: "--mtu",
  cidr: "--subnet",
  ipv6Cidr: "--subnet",
};

/** Keys of the options of `run` that have an effect with each mode but slirp. */
const EFFECTIVE: Readonly<Record<Exclude<NetworkMode["kind"], "slirp">, readonly string[]>> = {
  networks: [
    ...EVERYWHERE,
    "name",
    "hostname",
    "ip",
    "macAddress",
    "alias",
    "keepId",
    "mapAuto",
    "pid",
    "apiInside",
    "hostLoopback",
    "dns",
    "dnsSearch",
    "dnsOption",
    "addHost",
    "publish",
    "publishAuto",
    "publishExclude",
    "hostAddress",
  ],
  none: [...EVERYWHERE, "keepId", "mapAuto", "name", "hostname", "pid", "apiInside"],
  host: EVERYWHERE,
  container: EVERYWHERE,
};

/** Where an option has no effect, and why. */
const WHERE: Readonly<Record<keyof typeof EFFECTIVE, string>> = {
  networks: "on a network",
  none: "with --network none, where there is only lo",
  host: "with --network host, where COMMAND has the network, ports and names of this machine",
  container: "with --network container, where COMMAND has all that the target has",
};

/**
 * Refuses options that have no effect with the chosen --network, so that no user relies on them.
 * @param given keys of the options that were given
 * @throws UserError with exit status 2
 */
export function refuseIneffective(
  mode: NetworkMode["kind"],
  options: Options,
  given: ReadonlySet<string>,
): void {
  if (mode === "slirp") return;
  const isEffective = (key: string): boolean => EFFECTIVE[mode].includes(key);
  const found = [...given].find((key) => !isEffective(key));
  if (found === undefined) return;
  const instead = mode === "networks" ? OF_NETWORKS[found] : undefined;
  const fix = instead === undefined ? "" : `, or give ${instead} to slipway network create`;
  throw wrong(`${options[found].long} has no effect ${WHERE[mode]}: leave it out${fix}`);
}
