import { readFileSync } from "node:fs";
import { FAMILIES, type Family, type Prefix } from "../base/address.js";
import { UserError } from "../base/errors.js";
import { type CheckedNetwork, checkNetwork } from "../commandline/network-spec.js";
import { freeSubnet, overlaps, parseRoutes, uniqueLocalSubnet } from "../network/subnets.js";
import type { Params } from "../rpc/messages.js";
import { randomBytes, randomId } from "../sys/random.js";
import type { NetworkDefinition, Subnet } from "./network.js";

const ROUTE_TABLES: Readonly<Record<Family, string>> = {
  4: "/proc/net/route",
  6: "/proc/net/ipv6_route",
};

type Spec = Params<"network.create">;

/** A network whose subnets others must not overlap. */
type Other = Pick<NetworkDefinition, "name" | "subnets">;

/**
 * Checks the definition of a new network of this host and chooses what it leaves open.
 * @param others existing networks, which it must not overlap
 * @throws UserError for the first thing that is wrong
 */
export function defineNetwork(spec: Spec, others: readonly Other[]): NetworkDefinition {
  const checked = checkNetwork(spec);
  const { name, internal, labels, options } = spec;
  const subnets = chooseSubnets(checked, others);
  const { mtu } = checked;
  const own = { name, subnets, internal, mtu, labels, options };
  return { id: randomId(), created: Date.now(), ...own, carriage: null };
}

/**
 * Checks the subnets of a new network, and chooses those that it leaves open.
 * @param others existing networks, which it must not overlap
 * @throws UserError for the first thing that is wrong
 */
export function chooseSubnets(
  checked: CheckedNetwork,
  others: readonly Other[],
): readonly Subnet[] {
  const routes = hostRoutes();
  const taken = [...prefixesOf(others).map(({ prefix }) => prefix), ...routes];
  for (const subnet of checked.subnets) requireFree(subnet, others, routes);
  const isOverlay = checked.carriage.kind !== "local";
  return checked.families.map((family) => {
    const given = checked.subnets.find(({ address }) => address.family === family);
    const prefix = given ?? chosen(family, taken, isOverlay);
    const gateway =
      checked.gateways.find((each) => prefix.contains(each)) ?? prefix.address.plus(1);
    const range = checked.ranges.find((each) => prefix.contains(each.address)) ?? prefix;
    return { prefix, gateway, range };
  });
}

/** What the subnets of an overlay meet on this host, for a message; null: nothing. @param others its other networks */
export function conflictOf({ subnets }: Other, others: readonly Other[]): string | null {
  const routes = hostRoutes();
  for (const { prefix } of subnets) {
    const conflict = overlapOf(prefix, others, routes);
    if (conflict !== null) return `${prefix} overlaps ${conflict}`;
  }
  return null;
}

function chosen(family: Family, taken: readonly Prefix[], isOverlay: boolean): Prefix {
  const subnet = family === 4 ? freeSubnet(taken, isOverlay) : randomSubnet();
  if (subnet !== null) return subnet;
  throw new UserError("no IPv4 subnet is free on this host: choose one with --subnet");
}

function prefixesOf(
  networks: readonly Other[],
): readonly { readonly prefix: Prefix; readonly name: string }[] {
  return networks.flatMap(({ name, subnets }) => subnets.map(({ prefix }) => ({ prefix, name })));
}

function requireFree(prefix: Prefix, others: readonly Other[], routes: readonly Prefix[]): void {
  const conflict = overlapOf(prefix, others, routes);
  if (conflict === null) return;
  throw new UserError(`--subnet ${prefix} overlaps ${conflict}: choose another`);
}

/** What a prefix overlaps, and how to see it; null: nothing. */
function overlapOf(
  prefix: Prefix,
  others: readonly Other[],
  routes: readonly Prefix[],
): string | null {
  const other = prefixesOf(others).find((each) => overlaps(each.prefix, prefix));
  if (other !== undefined) return `network ${other.name} (${other.prefix})`;
  const route = routes.find((each) => overlaps(each, prefix));
  return route === undefined ? null : `the host's route to ${route} (ip route)`;
}

function randomSubnet(): Prefix {
  return uniqueLocalSubnet(new Uint32Array(randomBytes(8).buffer));
}

function hostRoutes(): readonly Prefix[] {
  return FAMILIES.flatMap((family) => {
    try {
      return parseRoutes(readFileSync(ROUTE_TABLES[family], "utf8"), family);
    } catch {
      // The kernel lacks that family.
      return [];
    }
  });
}
