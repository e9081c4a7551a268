import type { Address } from "../../base/address.js";
import { type GuestAddress, hostRoute, networkOf, type Route } from "../../config/address-plan.js";
import type { LinkRoute } from "../../wire/rtnetlink-dump.js";

/**
 * The routes of a guest, in an order in which the kernel takes them: what is on the link, then what is behind a next hop,
 * then the default.
 * @param addresses of the guest: the kernel makes the routes of their networks itself
 * @param router takes the place of a next hop that the default route does not need, that is of the other family, or that is the
 *   guest itself: nobody on its link could be asked for the Ethernet address of each destination
 */
export function copiedRoutes(
  routes: readonly LinkRoute[],
  addresses: readonly GuestAddress[],
  router: Address,
): readonly Route[] {
  const copied = routes
    .filter((route) => !isMadeByKernel(route, addresses))
    .flatMap((route) => copyOf(route, addresses, router) ?? []);
  return inOrder(withoutTwins(copied), addresses);
}

/** Whether an address is on the guest's link by one of its own networks. */
export function isOnLink(address: Address, addresses: readonly GuestAddress[]): boolean {
  if (address.family === 6 && address.isLinkLocal) return true;
  return addresses.some((own) => networkOf(own).contains(address));
}

function isMadeByKernel(
  { destination, isOfKernel }: LinkRoute,
  addresses: readonly GuestAddress[],
): boolean {
  return isOfKernel && addresses.some((own) => networkOf(own).equals(destination));
}

/** @returns null when the guest cannot have it */
function copyOf(
  { destination, via, isViaOtherFamily, metric }: LinkRoute,
  addresses: readonly GuestAddress[],
  router: Address,
): Route | null {
  const isDefault = destination.length === 0;
  if (isViaOtherFamily && !isDefault) return null;
  const isOwn = addresses.some(({ address }) => via?.equals(address) === true);
  const next = isOwn || (isDefault && via === null) ? router : via;
  return { destination, via: next, metric: metric === 0 ? null : metric };
}

/** The kernel has one route for a destination and metric; that of several next hops is copied with the first. */
function withoutTwins(routes: readonly Route[]): readonly Route[] {
  const seen = new Set<string>();
  return routes.filter(({ destination, metric }) => {
    const key = `${destination} ${metric ?? 0}`;
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

function inOrder(routes: readonly Route[], addresses: readonly GuestAddress[]): readonly Route[] {
  const onLink = routes.filter(({ via }) => via === null);
  const behind = routes.filter(({ via }) => via !== null);
  const isReached = (router: Address): boolean =>
    isOnLink(router, addresses) || onLink.some(({ destination }) => destination.contains(router));
  const routers = new Map(
    behind.flatMap(({ via }) => (via === null || isReached(via) ? [] : [[`${via}`, via]])),
  );
  return [
    ...onLink,
    ...[...routers.values()].map(hostRoute),
    ...behind.filter(({ destination }) => destination.length > 0),
    ...behind.filter(({ destination }) => destination.length === 0),
  ];
}
