import {
  Address,
  FAMILIES,
  type Family,
  includesAddress,
  LOOPBACK,
  otherFamily,
} from "../../base/address.js";
import { UserError } from "../../base/errors.js";
import { linkLocalOf, type Mac } from "../../base/mac.js";
import type { Addressing, PastaConfig, PastaDns } from "../../commandline/pasta/config.js";
import {
  type AddressPlan,
  defaultRoute,
  type GuestAddress,
  hostRoute,
  type MappedAddress,
  networkOf,
  type Route,
} from "../../config/address-plan.js";
import { IPV6_LEAST_MTU } from "../../config/constants.js";
import type { Upstream } from "../../config/dns-config.js";
import type { LinkRoute, RouteTables } from "../../wire/rtnetlink-dump.js";
import { copiedRoutes, isOnLink } from "./routes.js";
import { linkNamed, type Template, templateOf } from "./template.js";

/** What of a command line the plans depend on. */
export type PlanOptions = Pick<PastaConfig, "addressing" | "mapping" | "dns">;

/** The interfaces that a guest copies, by family; null: none. */
export type Templates = Readonly<Record<Family, Template | null>>;

/** Where there is nothing to copy (RFC 3927 §2.1): pasta's addresses, which its users know. */
const LOCAL_GUEST: GuestAddress = { address: Address.ofIpv4Word(0xa9fe_0201), length: 16 };
const LOCAL_ROUTER: Readonly<Record<Family, Address>> = {
  4: Address.ofIpv4Word(0xa9fe_0202),
  6: Address.ofWords(0xfe80_0000, 0, 0, 1),
};
/** Of an IPv6 network (RFC 4291 §2.5.4). */
const IPV6_LENGTH = 64;

/** Of what a guest copies, in each family. */
export const MOST_ADDRESSES = 64;
export const MOST_ROUTES = 256;

/** @throws UserError for an interface that the host does not have */
export function requireInterfaces(tables: RouteTables, { template }: Addressing): void {
  for (const family of FAMILIES) {
    const name = template[family];
    if (name !== null && linkNamed(tables, name) === null) {
      throw new UserError(`the host has no interface ${name}: see ip link`);
    }
  }
}

export function templatesOf(tables: RouteTables, { template }: Addressing): Templates {
  return {
    4: templateOf(tables, 4, template[4]),
    6: templateOf(tables, 6, template[6]),
  };
}

/**
 * The guest's addresses and routes: one plan for each family that the host has, or that the user gives an address of;
 * without any, plans of the link's own.
 * @param mac of the guest's interface
 * @throws UserError when the options contradict each other, or the host
 */
export function plansOf(
  options: PlanOptions,
  templates: Templates,
  host: Upstream,
  mac: Mac,
): readonly AddressPlan[] {
  const families = wantedFamilies(options.addressing);
  requireFamilies(options.addressing, families);
  const given = families.filter(
    (family) => templates[family] !== null || givenAddress(options.addressing, family) !== null,
  );
  requireHost(options.addressing, given, templates);
  return (given.length > 0 ? given : families).map((family) => {
    const template = templates[family];
    return planOf({ options, family, template, host, mac });
  });
}

/** IPv6 needs 1280 bytes (RFC 8200 §5): below, the kernel has none on that link. */
function wantedFamilies({ families, mtu }: Addressing): readonly Family[] {
  if (mtu === null || mtu >= IPV6_LEAST_MTU) return families;
  if (families.includes(4)) return [4];
  throw new UserError(`IPv6 needs an MTU of ${IPV6_LEAST_MTU} at least: leave --mtu ${mtu} out`);
}

function requireFamilies({ addresses, gateways }: Addressing, families: readonly Family[]): void {
  const given = [...addresses.map(({ address }) => address), ...gateways];
  const stray = given.find(({ family }) => !families.includes(family));
  if (stray === undefined) return;
  throw new UserError(
    `${stray} is of IPv${stray.family}, which the guest does not have: leave it out`,
  );
}

/** With -4 or -6, the host needs that family, unless it has no network at all. */
function requireHost(
  { families }: Addressing,
  given: readonly Family[],
  templates: Templates,
): void {
  const [asked, ...others] = families;
  if (others.length > 0 || given.length > 0) return;
  const present = otherFamily(asked);
  const other = templates[present];
  if (other === null) return;
  throw new UserError(
    `the host has IPv${present} (${other.link.name}) and no IPv${asked}: leave --ipv${asked}-only out, or give --address`,
  );
}

/** What one plan is made of. */
interface Subject {
  readonly options: PlanOptions;
  readonly family: Family;
  readonly template: Template | null;
  readonly host: Upstream;
  readonly mac: Mac;
}

function planOf(subject: Subject): AddressPlan {
  const { options, family, template, host } = subject;
  const addresses = addressesOf(subject);
  const [guest, ...others] = addresses;
  const router = routerOf(subject, addresses);
  const routes = routesOf(subject, addresses, router);
  const mapping = mappingOf(subject, guest.address, router);
  const dns = dnsOf(options.dns, family, host, mapping.loopback);
  requireDistinct(addresses, [router, dns, mapping.loopback, mapping.shadowed]);
  return {
    prefix: networkOf(guest),
    gateway: router,
    router,
    dns,
    // They follow the host's resolv.conf.
    get nameServers() {
      return nameServersOf(options.dns, family, host, dns);
    },
    guest: guest.address,
    others,
    routes,
    dhcpBegin: guest.address,
    dhcpEnd: guest.address,
    mapped: mapping.mapped,
    neighbors: template === null ? "nobody" : "host",
  };
}

type Addresses = readonly [GuestAddress, ...GuestAddress[]];

function addressesOf({ options, family, template, mac }: Subject): Addresses {
  const { addressing } = options;
  const given = givenAddress(addressing, family);
  if (given !== null) {
    const { address, length } = given;
    return [{ address, length: length ?? lengthOf(address, addressing, template) }];
  }
  if (template === null) {
    return [family === 4 ? LOCAL_GUEST : { address: linkLocalOf(mac), length: IPV6_LENGTH }];
  }
  const [first, ...others] = template.addresses;
  const length = family === 4 ? (addressing.netmask ?? first.length) : first.length;
  const more = addressing.copiesAll.addresses ? others.slice(0, MOST_ADDRESSES - 1) : [];
  return [{ address: first.address, length }, ...more];
}

function givenAddress(
  { addresses }: Addressing,
  family: Family,
): Addressing["addresses"][0] | null {
  return addresses.find(({ address }) => address.family === family) ?? null;
}

/** As the host has it, or as its class says, as users of pasta expect (RFC 791 §3.2). */
function lengthOf(address: Address, { netmask }: Addressing, template: Template | null): number {
  if (address.family === 4 && netmask !== null) return netmask;
  const own = template?.addresses.find((each) => each.address.equals(address));
  if (own !== undefined) return own.length;
  if (address.family === 6) return IPV6_LENGTH;
  const firstByte = address.w3 >>> 24;
  if (firstByte < 128) return 8;
  return firstByte < 192 ? 16 : 24;
}

function givenGateway({ gateways }: Addressing, family: Family): Address | null {
  return gateways.find((gateway) => gateway.family === family) ?? null;
}

function routerOf(
  { options, family, template }: Subject,
  addresses: readonly GuestAddress[],
): Address {
  const given = givenGateway(options.addressing, family);
  if (given !== null) return given;
  const via = defaultOf(template)?.via ?? null;
  const isOwn = addresses.some(({ address }) => via?.equals(address) === true);
  return via === null || isOwn ? LOCAL_ROUTER[family] : via;
}

/** The default route that the host prefers on its interface. */
function defaultOf(template: Template | null): LinkRoute | null {
  const found = template?.routes.filter(({ destination }) => destination.length === 0) ?? [];
  return found.toSorted((one, other) => one.metric - other.metric)[0] ?? null;
}

function routesOf(
  { options, family, template }: Subject,
  addresses: readonly GuestAddress[],
  router: Address,
): readonly Route[] {
  const routes = wantedRoutes(options.addressing, family, template, addresses, router);
  const isReached =
    isOnLink(router, addresses) ||
    routes.some(({ destination, via }) => via === null && destination.contains(router));
  return isReached ? routes : [hostRoute(router), ...routes];
}

function wantedRoutes(
  addressing: Addressing,
  family: Family,
  template: Template | null,
  addresses: readonly GuestAddress[],
  router: Address,
): readonly Route[] {
  const isGiven = givenGateway(addressing, family) !== null;
  if (template !== null && !isGiven && addressing.copiesAll.routes) {
    return copiedRoutes(firstRoutes(template), addresses, router);
  }
  const isWanted = template === null || isGiven || defaultOf(template) !== null;
  return isWanted ? [defaultRoute(router)] : [];
}

/** No more than MOST_ROUTES, the default routes among them. */
function firstRoutes({ routes }: Template): readonly LinkRoute[] {
  const byLength = routes.toSorted(
    (one, other) => Math.sign(one.destination.length) - Math.sign(other.destination.length),
  );
  return byLength.slice(0, MOST_ROUTES);
}

interface Mapping {
  readonly mapped: readonly MappedAddress[];
  /** What leads to the host's loopback. */
  readonly loopback: Address | null;
  readonly shadowed: Address | null;
}

function mappingOf(
  { options, family, template }: Subject,
  guest: Address,
  router: Address,
): Mapping {
  const wanted = options.mapping.toLoopback[family];
  const loopback = wanted === "gateway" ? router : wanted;
  const shadowed = options.mapping.toShadowed[family];
  const mapped: MappedAddress[] = [];
  if (loopback !== null) mapped.push({ at: loopback, to: LOOPBACK[family] });
  if (shadowed !== null) mapped.push({ at: shadowed, to: shadowedBy(guest, template) });
  return { mapped, loopback, shadowed };
}

/** The host's address that the guest has, too; if the user gave it another, the first of the interface. */
function shadowedBy(guest: Address, template: Template | null): Address {
  const addresses = template?.addresses.map(({ address }) => address) ?? [];
  return includesAddress(addresses, guest) ? guest : (addresses[0] ?? guest);
}

/** A resolver on the host's loopback is asked at the address that leads there, if the user names no other. */
function dnsOf(
  { forward, host: given }: PastaDns,
  family: Family,
  host: Upstream,
  loopback: Address | null,
): Address | null {
  if (forward.length > 0) return forward.find((address) => address.family === family) ?? null;
  const servers = given.length > 0 ? given : host.servers;
  return servers.some(({ isLoopback }) => isLoopback) ? loopback : null;
}

/** The guest reaches a resolver on the host's loopback only where Slipway answers. */
function nameServersOf(
  { announced }: PastaDns,
  family: Family,
  host: Upstream,
  dns: Address | null,
): readonly Address[] {
  const servers = announced ?? host.servers;
  const reached = servers.map((server) => (server.isLoopback ? dns : server));
  const found = reached.filter((server) => server?.family === family);
  return [...new Map(found.flatMap((server) => (server ? [[`${server}`, server]] : []))).values()];
}

function requireDistinct(guest: Addresses, others: readonly (Address | null)[]): void {
  const own = guest.map(({ address }) => address);
  const twin = others.find((address) => address !== null && includesAddress(own, address));
  if (twin === undefined || twin === null) return;
  throw new UserError(`${twin} is the guest's own address: choose another for Slipway`);
}
