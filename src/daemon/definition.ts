import { readFileSync } from "node:fs";
import { Address, type Family, Prefix } from "../base/address.js";
import { UserError } from "../base/errors.js";
import { IPV6_LEAST_MTU, MTU_RANGE } from "../config/constants.js";
import { freeSubnet, overlaps, parseRoutes, uniqueLocalSubnet } from "../network/subnets.js";
import type { Params } from "../rpc/messages.js";
import { randomBytes, randomId } from "../sys/random.js";
import type { Network, NetworkDefinition, Subnet } from "./network.js";

/** A network needs addresses for itself, the gateway, a member, and in IPv4 for broadcast. */
const LONGEST_PREFIX: Readonly<Record<Family, number>> = { 4: 30, 6: 126 };

const ROUTE_TABLES: Readonly<Record<Family, string>> = {
  4: "/proc/net/route",
  6: "/proc/net/ipv6_route",
};

/** Names of the MTU in `--opt`: podman's and Docker's. */
const MTU_OPTIONS: readonly string[] = ["mtu", "com.docker.network.driver.mtu"];
const ISOLATE_OPTION = "isolate";

type Spec = Params<"network.create">;

/**
 * Checks the definition of a new network and chooses what it leaves open.
 * @param others existing networks, which it must not overlap
 * @throws UserError for the first thing that is wrong
 */
export function defineNetwork(spec: Spec, others: readonly Network[]): NetworkDefinition {
  const subnets = subnetsOf(spec, others);
  const mtu = mtuOf(spec);
  if (mtu < IPV6_LEAST_MTU && subnets.some(({ prefix }) => prefix.address.family === 6)) {
    throw new UserError(`MTU ${mtu} is too small for IPv6: give ${IPV6_LEAST_MTU} or more`);
  }
  const { name, internal, labels, options } = spec;
  return { id: randomId(), name, created: Date.now(), subnets, internal, mtu, labels, options };
}

function subnetsOf(spec: Spec, others: readonly Network[]): readonly Subnet[] {
  const routes = hostRoutes();
  const taken = [...prefixesOf(others).map(({ prefix }) => prefix), ...routes];
  const given = spec.subnets.map((text) => givenSubnet(text, others, routes));
  const ipv4 = given.find(({ address }) => address.family === 4) ?? freeSubnet(taken);
  if (ipv4 === null) {
    throw new UserError("no IPv4 subnet is free on this host: choose one with --subnet");
  }
  const wantsIpv6 = spec.ipv6 || given.some(({ address }) => address.family === 6);
  const ipv6 = wantsIpv6
    ? (given.find(({ address }) => address.family === 6) ?? randomSubnet())
    : null;
  if (given.length > new Set(given.map(({ address }) => address.family)).size) {
    throw new UserError("--subnet: a network has at most one subnet of each family");
  }
  const prefixes = ipv6 === null ? [ipv4] : [ipv4, ipv6];
  const gateways = spec.gateways.map((text) => addressWithin("--gateway", text, prefixes));
  const ranges = spec.ranges.map((text) => rangeWithin(text, prefixes));
  return prefixes.map((prefix) => {
    const gateway = gateways.find((each) => prefix.contains(each)) ?? prefix.address.plus(1);
    const range = ranges.find((each) => prefix.contains(each.address)) ?? prefix;
    return { prefix, gateway, range };
  });
}

function prefixesOf(
  networks: readonly Network[],
): readonly { readonly prefix: Prefix; readonly name: string }[] {
  return networks.flatMap(({ name, definition }) =>
    definition.subnets.map(({ prefix }) => ({ prefix, name })),
  );
}

function givenSubnet(text: string, others: readonly Network[], routes: readonly Prefix[]): Prefix {
  const prefix = parsePrefixOption("--subnet", text);
  const longest = LONGEST_PREFIX[prefix.address.family];
  if (prefix.length > longest) {
    throw new UserError(
      `--subnet ${prefix} is too small: the prefix length must be ${longest} or less`,
    );
  }
  if (!isForHosts(prefix)) {
    throw new UserError(
      `--subnet ${prefix} is not a network for hosts: take a private one, such as 10.89.7.0/24`,
    );
  }
  const other = prefixesOf(others).find((each) => overlaps(each.prefix, prefix));
  if (other !== undefined) {
    throw new UserError(
      `--subnet ${prefix} overlaps network ${other.name} (${other.prefix}): choose another`,
    );
  }
  const route = routes.find((each) => overlaps(each, prefix));
  if (route === undefined) return prefix;
  throw new UserError(
    `--subnet ${prefix} overlaps the host's route to ${route}: choose another (ip route)`,
  );
}

function isForHosts({ address, last }: Prefix): boolean {
  const isSpecial = (each: Address): boolean =>
    each.isLoopback || each.isMulticast || each.isUnspecified || each.isLinkLocal;
  return !isSpecial(address) && !isSpecial(last);
}

function randomSubnet(): Prefix {
  return uniqueLocalSubnet(new Uint32Array(randomBytes(8).buffer));
}

function hostRoutes(): readonly Prefix[] {
  const families: readonly Family[] = [4, 6];
  return families.flatMap((family) => {
    try {
      return parseRoutes(readFileSync(ROUTE_TABLES[family], "utf8"), family);
    } catch {
      // The kernel lacks that family.
      return [];
    }
  });
}

function parsePrefixOption(option: string, text: string): Prefix {
  try {
    return Prefix.parse(text);
  } catch (error) {
    if (error instanceof RangeError) throw new UserError(`${option} ${error.message}`);
    throw error;
  }
}

function addressWithin(option: string, text: string, prefixes: readonly Prefix[]): Address {
  const address = parseAddressOption(option, text);
  const prefix = prefixes.find((each) => each.contains(address));
  const isEdge =
    prefix !== undefined &&
    (address.equals(prefix.address) || (address.family === 4 && address.equals(prefix.last)));
  if (prefix !== undefined && !isEdge) return address;
  throw new UserError(
    `${option} ${address} is not an address in ${prefixes.join(" or ")}: choose one inside`,
  );
}

function rangeWithin(text: string, prefixes: readonly Prefix[]): Prefix {
  const range = parsePrefixOption("--ip-range", text);
  if (prefixes.some((prefix) => prefix.covers(range))) return range;
  throw new UserError(
    `--ip-range ${range} is outside of ${prefixes.join(" and ")}: choose one inside`,
  );
}

/** @throws UserError */
export function parseAddressOption(option: string, text: string): Address {
  const address = Address.parse(text);
  if (address !== null) return address;
  throw new UserError(`${option} ${text} is not an address: write one like 10.89.1.50`);
}

/** @throws UserError for an unknown option */
function mtuOf({ mtu, options }: Spec): number {
  let chosen = mtu;
  for (const [name, value] of Object.entries(options)) {
    if (MTU_OPTIONS.includes(name)) chosen = checkedMtu(name, value);
    else if (name !== ISOLATE_OPTION || value !== "true") {
      throw new UserError(
        `--opt ${name}=${value} is unknown: there are mtu=BYTES and isolate=true, which is always on`,
      );
    }
  }
  return chosen;
}

function checkedMtu(option: string, text: string): number {
  const { least, most } = MTU_RANGE;
  const mtu = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (mtu >= least && mtu <= most) return mtu;
  throw new UserError(`--opt ${option}=${text}: give a number from ${least} to ${most}`);
}
