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
  ],
  none: [...EVERYWHERE, "keepId", "mapAuto", "hostname", "pid", "apiInside"],
  host: EVERYWHERE,
  container: EVERYWHERE,
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
  const where = mode === "networks" ? "on a network" : `with --network ${mode}`;
  const fix = mode === "networks" ? ", or give it to slipway network create" : "";
  throw wrong(`${options[found].long} has no effect ${where}: leave it out${fix}`);
}
