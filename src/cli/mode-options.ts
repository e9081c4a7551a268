import type { Command, Option } from "commander";
import { UserError } from "../base/errors.js";
import type { NetworkMode } from "./join-option.js";

const EVERYWHERE = ["network", "logFile", "logLevel", "logFormat", "maxLogLines"] as const;

/** What `run` takes where the daemon, or nobody, serves the network; by commander's names. */
const TAKEN: Readonly<Record<Exclude<NetworkMode["kind"], "slirp">, readonly string[]>> = {
  networks: [
    ...EVERYWHERE,
    ...[
      "name",
      "hostname",
      "ip",
      "macAddress",
      "alias",
      "keepId",
      "pid",
      "apiInside",
      "hostLoopback",
    ],
    ...["dns", "dnsSearch", "dnsOption", "addHost", "publish", "publishAuto", "publishExclude"],
  ],
  none: [...EVERYWHERE, "keepId", "hostname", "pid", "apiInside"],
  host: EVERYWHERE,
  container: EVERYWHERE,
};

/**
 * Refuses options that mean nothing for the network that was chosen: nobody shall believe that they hold.
 * @param command after its arguments were read
 * @throws UserError with exit status 2
 */
export function refuseIneffective(mode: NetworkMode["kind"], command: Command): void {
  const isTaken = (name: string): boolean =>
    mode === "slirp" ? name !== "name" : TAKEN[mode].includes(name);
  const found = command.options.find(
    (option) => wasGiven(option, command) && !isTaken(option.attributeName()),
  );
  if (found === undefined) return;
  const where = mode === "networks" ? "on a network" : `with --network ${mode}`;
  const mend = mode === "networks" ? ", or see slipway network create" : "";
  throw new UserError(`${found.long} has no effect ${where}: leave it out${mend}`, 2);
}

/** --x and --no-x are one name with two values. */
function wasGiven(option: Option, command: Command): boolean {
  const name = option.attributeName();
  const isNegated = command.getOptionValue(name) === false;
  return command.getOptionValueSource(name) === "cli" && option.negate === isNegated;
}
