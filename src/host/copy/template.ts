import type { Family } from "../../base/address.js";
import type { GuestAddress } from "../../config/address-plan.js";
import type { Link, LinkAddress, LinkRoute, RouteTables } from "../../wire/rtnetlink-dump.js";

/** What a guest copies of the host in one family: an interface, its addresses and its routes. */
export interface Template {
  readonly link: Link;
  /** One at least. */
  readonly addresses: readonly GuestAddress[];
  readonly routes: readonly LinkRoute[];
}

/**
 * The interface that a guest copies: the named one, or that of the default route with the lowest metric, or the only one
 * with addresses.
 * @returns null when there is none, or it has no address of the family
 */
export function templateOf(
  tables: RouteTables,
  family: Family,
  named: string | null,
): Template | null {
  const link = named === null ? chosenLink(tables, family) : linkNamed(tables, named);
  if (link === null) return null;
  const addresses = addressesOf(tables, link, family);
  if (addresses.length === 0) return null;
  const routes = tables.routes.filter((route) => isOf(route, link, family));
  return { link, addresses, routes };
}

export function linkNamed({ links }: RouteTables, name: string): Link | null {
  return links.find((link) => link.name === name) ?? null;
}

function chosenLink(tables: RouteTables, family: Family): Link | null {
  return defaultLink(tables, family) ?? onlyLink(tables, family);
}

/** That of the default route which the kernel prefers. Of several with one metric it is the first. */
function defaultLink({ links, routes }: RouteTables, family: Family): Link | null {
  let best: { readonly link: Link; readonly metric: number } | null = null;
  for (const route of routes) {
    if (route.destination.length > 0 || route.destination.address.family !== family) continue;
    if (best !== null && route.metric >= best.metric) continue;
    const link = links.find(({ index }) => index === route.link);
    if (link?.isUp && !link.isLoopback) best = { link, metric: route.metric };
  }
  return best?.link ?? null;
}

/** Without a default route; a bridge without ports does not count, as it has no carrier. */
function onlyLink(tables: RouteTables, family: Family): Link | null {
  const [only = null, ...others] = tables.links.filter(
    (link) =>
      link.isUp &&
      link.isRunning &&
      !link.isLoopback &&
      addressesOf(tables, link, family).length > 0,
  );
  return others.length === 0 ? only : null;
}

/**
 * The addresses that somebody may be reached at for longer. Temporary ones are left out: the host sends from them in any
 * case, and a guest that had them would change them daily. A host may have no others.
 */
function addressesOf(
  { addresses }: RouteTables,
  { index }: Link,
  family: Family,
): readonly GuestAddress[] {
  const usable = addresses.filter((each) => each.link === index && isUsable(each, family));
  const lasting = usable.filter(({ isTemporary }) => !isTemporary);
  const chosen = lasting.length > 0 ? lasting : usable;
  return chosen.map(({ address, length }) => ({ address, length }));
}

function isUsable({ address, isGlobal, isPreferred }: LinkAddress, family: Family): boolean {
  // 169.254.0.0/16 counts where it is given the scope of a global address, as in some clouds.
  const isLinkLocal = family === 6 && address.isLinkLocal;
  return (
    address.family === family && isGlobal && isPreferred && !isLinkLocal && !address.isLoopback
  );
}

function isOf({ link, destination }: LinkRoute, { index }: Link, family: Family): boolean {
  const { address } = destination;
  if (link !== index || address.family !== family || address.isMulticast) return false;
  return family === 4 || !address.isLinkLocal;
}
