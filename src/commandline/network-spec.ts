import { type Address, FAMILIES, type Family, type Prefix } from "../base/address.js";
import { quoted } from "../base/printable.js";
import { IPV6_LEAST_MTU, MTU_RANGE } from "../config/constants.js";
import { requireValidName } from "../config/names.js";
import { predefinedNamed } from "../config/predefined.js";
import type { Params } from "../rpc/messages.js";
import { memberAddress, network, requireOnePerFamily } from "./parsing/addresses.js";
import type { Reader } from "./parsing/option.js";
import { wholeNumber, wrong } from "./parsing/values.js";

/** What a new network is asked to have, checked as far as that does not depend on the host and other networks. */
export interface CheckedNetwork {
  /** At most one of each family. */
  readonly subnets: readonly Prefix[];
  /** Each in one of the subnets. */
  readonly gateways: readonly Address[];
  readonly ranges: readonly Prefix[];
  /** Which it has, IPv4 first. */
  readonly families: readonly Family[];
  readonly mtu: number;
}

/** Names that `--network` gives another meaning. */
const RESERVED_NAMES: readonly string[] = ["slirp", "container", "default"];

/** A network needs addresses for itself, the gateway, a member, and in IPv4 for broadcast. */
const LONGEST_PREFIX: Readonly<Record<Family, number>> = { 4: 30, 6: 126 };

/** Names of the MTU in `--opt`: podman's and Docker's. */
const MTU_OPTIONS: readonly string[] = ["mtu", "com.docker.network.driver.mtu"];
const ISOLATE_OPTION = "isolate";

/**
 * Checks the definition of a new network, all but its name. The command line is checked by it, and the daemon checks every client's.
 * @throws UserError for the first thing that is wrong
 */
export function checkNetwork(spec: Params<"network.create">): CheckedNetwork {
  const subnets = spec.subnets.map((text) => subnet(text, "--subnet"));
  const gateways = spec.gateways.map((text) => memberAddress(text, "--gateway"));
  const ranges = spec.ranges.map((text) => network(text, "--ip-range"));
  requireOnePerFamily(addressesOf(subnets), "--subnet");
  requireOnePerFamily(gateways, "--gateway");
  requireOnePerFamily(addressesOf(ranges), "--ip-range");
  for (const gateway of gateways) requireWithin("--gateway", gateway, subnets);
  for (const range of ranges) requireCovered("--ip-range", range, subnets);
  const families = FAMILIES.filter((family) => hasFamily(spec, family, subnets));
  if (families.length === 0) throw wrong("--ipv4=false leaves no addresses: give --ipv6, too");
  const mtu = mtuOf(spec);
  if (mtu < IPV6_LEAST_MTU && families.includes(6)) {
    throw wrong(`MTU ${mtu} is too small for IPv6: give ${IPV6_LEAST_MTU} or more`);
  }
  return { subnets, gateways, ranges, families, mtu };
}

/** As docker: only --ipv4=false leaves IPv4 out, not subnets that are all of IPv6. */
function hasFamily(
  spec: Params<"network.create">,
  family: Family,
  subnets: readonly Prefix[],
): boolean {
  const wanted = family === 4 ? spec.ipv4 : spec.ipv6;
  const subnet = subnets.find(({ address }) => address.family === family);
  if (wanted === false && subnet !== undefined) {
    throw wrong(`--subnet ${subnet} and --ipv${family}=false: leave one of them out`);
  }
  return wanted ?? (family === 4 || subnet !== undefined);
}

function addressesOf(prefixes: readonly Prefix[]): readonly Address[] {
  return prefixes.map(({ address }) => address);
}

/** What a new network may be called, other networks aside. @throws UserError */
export function requireNetworkName(name: string): void {
  requireValidName("name", "a network's name", name);
  const predefined = predefinedNamed(name);
  if (predefined !== undefined) {
    throw wrong(`network ${predefined.name} is always there: choose another name`);
  }
  if (!RESERVED_NAMES.includes(name)) return;
  throw wrong(
    `${quoted(name)} cannot be a network's name: choose one other than ${RESERVED_NAMES.join(", ")}`,
  );
}

const subnet: Reader<Prefix> = (text, name) => {
  const prefix = network(text, name);
  const longest = LONGEST_PREFIX[prefix.address.family];
  if (prefix.length > longest) {
    throw wrong(`${name} ${prefix} is too small: the prefix length must be ${longest} or less`);
  }
  if (isForHosts(prefix)) return prefix;
  const example = prefix.address.family === 4 ? "10.89.7.0/24" : "fd00:7::/64";
  throw wrong(
    `${name} ${prefix} is not a network for hosts: take a private one, such as ${example}`,
  );
};

function isForHosts({ address, last }: Prefix): boolean {
  const isSpecial = (each: Address): boolean =>
    each.isLoopback || each.isMulticast || each.isUnspecified || each.isLinkLocal;
  return !isSpecial(address) && !isSpecial(last);
}

function requireWithin(option: string, address: Address, subnets: readonly Prefix[]): void {
  const subnet = subnetFor(option, address, subnets);
  const { address: first, last } = subnet;
  const isEdge = address.equals(first) || (address.family === 4 && address.equals(last));
  if (subnet.contains(address) && !isEdge) return;
  throw wrong(`${option} ${address} is not an address in ${subnet}: choose one inside`);
}

function requireCovered(option: string, range: Prefix, subnets: readonly Prefix[]): void {
  const subnet = subnetFor(option, range.address, subnets);
  if (subnet.covers(range)) return;
  throw wrong(`${option} ${range} is outside of ${subnet}: choose one inside`);
}

/** The subnet of an address's family. As with docker: what is chosen in a subnet needs one that is chosen, too. */
function subnetFor(option: string, { family }: Address, subnets: readonly Prefix[]): Prefix {
  const found = subnets.find(({ address }) => address.family === family);
  if (found !== undefined) return found;
  throw wrong(`${option} needs an IPv${family} subnet: give that by --subnet, too`);
}

/**
 * The MTU as the command line gives it.
 * @param mtu of `--mtu`, or null
 * @param pairs of `--opt`
 * @throws UserError when they ask for several
 */
export function requireOneMtu(
  mtu: number | null,
  pairs: readonly (readonly [name: string, value: string])[],
): void {
  const given = [
    ...(mtu === null ? [] : [["--mtu", `${mtu}`] as const]),
    ...pairs
      .filter(([name]) => MTU_OPTIONS.includes(name))
      .map(([name, value]) => [`--opt ${name}`, value] as const),
  ];
  const other = given.find(([, value]) => Number(value) !== Number(given[0]?.[1]));
  if (other === undefined) return;
  throw wrong(
    `${given[0]?.join("=")} and ${other[0]}=${quoted(other[1])} are two MTUs: give one of them`,
  );
}

/** @throws UserError for an unknown option */
function mtuOf({ mtu, options }: Params<"network.create">): number {
  const readMtu = wholeNumber(MTU_RANGE.least, MTU_RANGE.most);
  let chosen = mtu;
  for (const [name, value] of Object.entries(options)) {
    if (MTU_OPTIONS.includes(name)) chosen = readMtu(value, `--opt ${name}`);
    else if (name !== ISOLATE_OPTION || value !== "true") {
      throw wrong(
        `--opt ${quoted(`${name}=${value}`)} is unknown: there are mtu=BYTES and isolate=true, which is always on`,
      );
    }
  }
  return chosen;
}
