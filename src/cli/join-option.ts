import { UserError } from "../base/errors.js";
import type { PortSpec } from "../protocol/messages.js";

/** Where `run` puts its command. */
export type NetworkMode =
  /** A guest of its own, served by this process. */
  { readonly kind: "slirp" } | { readonly kind: "networks"; readonly ports: readonly PortSpec[] };

/** What belongs to the first network of several. */
export interface FirstPort {
  readonly ip: readonly string[];
  readonly macAddress: string | null;
  readonly alias: readonly string[];
}

const KEYS = ["ip", "ip6", "mac", "alias", "ifname"] as const;
type Key = (typeof KEYS)[number];

/**
 * Reads `--network`, given any number of times.
 * @throws UserError
 */
export function parseNetworkMode(texts: readonly string[], first: FirstPort): NetworkMode {
  const isSlirp = texts.length === 0 || (texts.length === 1 && texts[0] === "slirp");
  if (isSlirp) {
    const isAsked = first.ip.length > 0 || first.alias.length > 0 || first.macAddress !== null;
    if (!isAsked) return { kind: "slirp" };
    throw new UserError(
      "--ip, --mac-address and --alias are for a place on a network: give --network NAME, too",
      2,
    );
  }
  const ports = texts.map(parsePort);
  const [{ addresses = [], aliases = [], mac = null, ...rest }, ...others] = ports;
  const both = {
    ...rest,
    addresses: [...addresses, ...first.ip],
    aliases: [...aliases, ...first.alias],
    mac: first.macAddress ?? mac,
  };
  return { kind: "networks", ports: [both, ...others] };
}

function parsePort(text: string): PortSpec {
  const [, network = "", list = ""] = /^([^:]+)(?::(.+))?$/.exec(text) ?? [];
  if (network === "" || network === "slirp") {
    throw new UserError(`--network ${text}: write it like web or web:ip=10.89.1.5,alias=db`, 2);
  }
  if (network === "host" || network === "none" || network === "container") {
    throw new UserError(
      `--network ${network} is not there yet: give a network's name, bridge or slirp`,
      2,
    );
  }
  const pairs = list === "" ? [] : list.split(",").map((pair) => parsePair(text, pair));
  const values = (key: Key): string[] =>
    pairs.filter(([name]) => name === key).map(([, value]) => value);
  return {
    network,
    addresses: [...values("ip"), ...values("ip6")],
    aliases: values("alias"),
    mac: values("mac").at(-1) ?? null,
    ifname: values("ifname").at(-1) ?? null,
  };
}

function parsePair(text: string, pair: string): readonly [Key, string] {
  const [, name = "", value = ""] = /^([a-z0-9]+)=(.+)$/.exec(pair) ?? [];
  const key = KEYS.find((each) => each === name);
  if (key !== undefined) return [key, value];
  throw new UserError(`--network ${text}: "${pair}" is none of ${KEYS.join("=, ")}=`, 2);
}
