import { readFileSync } from "node:fs";
import { FAMILIES, type Family, type Prefix } from "../base/address.js";
import { UserError } from "../base/errors.js";
import { type CheckedNetwork, checkNetwork } from "../commandline/network-spec.js";
import { freeSubnet, overlaps, parseRoutes, uniqueLocalSubnet } from "../network/subnets.js";
import type { Params } from "../rpc/messages.js";
import { randomBytes, randomId } from "../sys/random.js";
import { noStore } from "./handlers.js";
import type { Network, NetworkDefinition, Subnet } from "./network.js";

const ROUTE_TABLES: Readonly<Record<Family, string>> = {
  4: "/proc/net/route",
  6: "/proc/net/ipv6_route",
};

type Spec = Params<"network.create">;

/**
 * Checks the definition of a new network and chooses what it leaves open.
 * @param others existing networks, which it must not overlap
 * @throws UserError for the first thing that is wrong
 */
export function defineNetwork(spec: Spec, others: readonly Network[]): NetworkDefinition {
  const checked = checkNetwork(spec);
  if (checked.carriage.kind !== "local") throw noStore();
  const subnets = subnetsOf(checked, others);
  const { name, internal, labels, options } = spec;
  const { mtu } = checked;
  return { id: randomId(), name, created: Date.now(), subnets, internal, mtu, labels, options };
}

function subnetsOf(checked: CheckedNetwork, others: readonly Network[]): readonly Subnet[] {
  const routes = hostRoutes();
  const taken = [...prefixesOf(others).map(({ prefix }) => prefix), ...routes];
  for (const subnet of checked.subnets) requireFree(subnet, others, routes);
  return checked.families.map((family) => {
    const given = checked.subnets.find(({ address }) => address.family === family);
    const prefix = given ?? chosen(family, taken);
    const gateway =
      checked.gateways.find((each) => prefix.contains(each)) ?? prefix.address.plus(1);
    const range = checked.ranges.find((each) => prefix.contains(each.address)) ?? prefix;
    return { prefix, gateway, range };
  });
}

function chosen(family: Family, taken: readonly Prefix[]): Prefix {
  const subnet = family === 4 ? freeSubnet(taken) : randomSubnet();
  if (subnet !== null) return subnet;
  throw new UserError("no IPv4 subnet is free on this host: choose one with --subnet");
}

function prefixesOf(
  networks: readonly Network[],
): readonly { readonly prefix: Prefix; readonly name: string }[] {
  return networks.flatMap(({ name, definition }) =>
    definition.subnets.map(({ prefix }) => ({ prefix, name })),
  );
}

function requireFree(prefix: Prefix, others: readonly Network[], routes: readonly Prefix[]): void {
  const other = prefixesOf(others).find((each) => overlaps(each.prefix, prefix));
  if (other !== undefined) {
    throw new UserError(
      `--subnet ${prefix} overlaps network ${other.name} (${other.prefix}): choose another`,
    );
  }
  const route = routes.find((each) => overlaps(each, prefix));
  if (route === undefined) return;
  throw new UserError(
    `--subnet ${prefix} overlaps the host's route to ${route}: choose another (ip route)`,
  );
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
