import { type Address, FAMILIES, type Family, type Prefix } from "../base/address.js";
import { quoted } from "../base/printable.js";
import { IPV6_LEAST_MTU } from "../config/constants.js";
import { requireValidName } from "../config/names.js";
import { predefinedNamed } from "../config/predefined.js";
import type { Params } from "../rpc/messages.js";
import { type CheckedDriver, checkDriver } from "./network-driver.js";
import { memberAddress, network, requireOnePerFamily } from "./parsing/addresses.js";
import type { Reader } from "./parsing/option.js";
import { wrong } from "./parsing/values.js";

/** What a new network is asked to have, checked as far as that does not depend on the host and other networks. */
export interface CheckedNetwork extends CheckedDriver {
  /** At most one of each family; none for flannel. */
  readonly subnets: readonly Prefix[];
  /** Each in one of the subnets. */
  readonly gateways: readonly Address[];
  readonly ranges: readonly Prefix[];
  /** Which it has, IPv4 first; for flannel IPv4 alone. */
  readonly families: readonly Family[];
}

/** Names that `--network` gives another meaning. */
const RESERVED_NAMES: readonly string[] = ["slirp", "container", "default"];

/** A network needs addresses for itself, the gateway, a member, and in IPv4 for broadcast. */
const LONGEST_PREFIX: Readonly<Record<Family, number>> = { 4: 30, 6: 126 };

/**
 * Checks the definition of a new network, all but its name. The command line is checked by it, and the daemon checks every client's.
 * @throws UserError for the first thing that is wrong
 */
export function checkNetwork(spec: Params<"network.create">): CheckedNetwork {
  const { carriage, mtu } = checkDriver(spec);
  if (carriage.kind === "flannel") requireNoAddresses(spec);
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
  if (mtu < IPV6_LEAST_MTU && families.includes(6)) {
    throw wrong(`MTU ${mtu} is too small for IPv6: give ${IPV6_LEAST_MTU} or more`);
  }
  return { subnets, gateways, ranges, families, carriage, mtu };
}

/** The lease gives a host its subnet, and the network's configuration in etcd has the rest. */
function requireNoAddresses({ subnets, gateways, ranges, ipv4, ipv6 }: Params<"network.create">) {
  const given = Object.entries({
    "--subnet": subnets.length > 0,
    "--gateway": gateways.length > 0,
    "--ip-range": ranges.length > 0,
    "--ipv4=false": ipv4 === false,
    "--ipv6": ipv6 === true,
  }).find(([, isGiven]) => isGiven);
  if (given === undefined) return;
  throw wrong(
    `${given[0]} is not for flannel, whose lease gives this host an IPv4 subnet: leave it out`,
  );
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
