import { Address, includesAddress, type Prefix } from "../base/address.js";
import { NEVER } from "../base/clock.js";
import { DropReason } from "../base/drop.js";
import { linkLocalOf, type Mac } from "../base/mac.js";
import { type AddressPlan, findPlan, hasDefaultRoute, networkOf } from "../config/address-plan.js";
import type { GuestConfig } from "../config/guest-config.js";
import type { Frame } from "../wire/frame.js";
import { icmpChecksumIsRight } from "../wire/icmp.js";
import { IpProtocol } from "../wire/ip.js";
import {
  composeNdpFrame,
  composeRouterAdvertisement,
  emitNeighbor,
  NDP_HOP_LIMIT,
  NdpType,
  NeighborFlags,
  type NeighborMessage,
  neighborLength,
  parseNeighbor,
  parseRouterSolicitation,
  type RouterAdvertisement,
} from "../wire/ndp.js";
import { DEFAULT_HOP_LIMIT } from "../wire/reply.js";
import { PREFERRED_LIFETIME, VALID_LIFETIME } from "./leases.js";
import { LinkAddresses } from "./link-addresses.js";
import { type Announcer, drop, type Verdict } from "./service.js";

/** Defaults of MaxRtrAdvInterval and MinRtrAdvInterval, in ms (RFC 4861 §6.2.1). */
const ADVERTISE_AT_MOST = 600_000;
const ADVERTISE_AT_LEAST = 200_000;

/** Three intervals, in seconds (RFC 4861 §6.2.1); RFC 8106 §5.1 recommends the same for DNS. */
const ROUTER_LIFETIME = 1800;

/** Most of each in one advertisement, which must fit the least MTU. */
const MOST_PREFIXES = 8;
const MOST_SERVERS = 8;

/** ff02::1, and the Ethernet address it maps to (RFC 2464 §7). */
const ALL_NODES = Address.ofWords(0xff02_0000, 0, 0, 1);
const ALL_NODES_MAC: Mac = 0x3333_0000_0001;

/**
 * The IPv6 router of a guest's link. It answers neighbour solicitations (for which addresses, link-addresses.ts says), and
 * advertises itself, the prefixes and the DNS servers.
 */
export class NdpService implements Announcer {
  readonly name = "ndp";
  readonly isLimited = false;
  readonly #plan: AddressPlan;
  readonly #config: GuestConfig;
  readonly #mac: Mac;
  /** Of advertisements, which must be link-local (RFC 4861 §4.2): where the user chose another router, one of our own. */
  readonly #source: Address;
  readonly #addresses: LinkAddresses;
  #announceAt = NEVER;

  constructor(plan: AddressPlan, config: GuestConfig) {
    this.#plan = plan;
    this.#config = config;
    this.#mac = config.gatewayMac;
    this.#source = plan.router.isLinkLocal ? plan.router : linkLocalOf(config.gatewayMac);
    this.#addresses = new LinkAddresses(plan, this.#source);
  }

  /** NEVER until the guest has solicited a router; from then on every 200 to 600 s. */
  get announceAt(): number {
    return this.#announceAt;
  }

  announceSoon(): void {
    if (this.#advertises) this.#announceAt = 0;
  }

  announcement(now: number): Uint8Array {
    this.#schedule(now);
    return this.#advertisement(ALL_NODES, ALL_NODES_MAC, this.#offer());
  }

  /** Takes back what the next plans do not have any more: the router, prefixes and DNS servers (RFC 4861 §6.2.5). */
  farewell(plans: readonly AddressPlan[]): Uint8Array | null {
    if (this.#announceAt === NEVER) return null;
    const next = findPlan(plans, 6);
    const { router, nameServers } = this.#plan;
    const routerStays = next?.router.equals(router) === true && hasDefaultRoute(next);
    const still = next === null ? [] : prefixesOf(next);
    const prefixes = prefixesOf(this.#plan)
      .filter((prefix) => !still.some((other) => other.equals(prefix)))
      .map((prefix) => ({ prefix, validLifetime: 0, preferredLifetime: 0 }));
    const dnsServers = nameServers.filter(
      (server) => next === null || !includesAddress(next.nameServers, server),
    );
    if (routerStays && prefixes.length === 0 && dnsServers.length === 0) return null;
    const routerLifetime = routerStays ? ROUTER_LIFETIME : 0;
    const contents = { routerLifetime, prefixes, dnsLifetime: 0, dnsServers, dnsSearch: [] };
    return this.#advertisement(ALL_NODES, ALL_NODES_MAC, contents);
  }

  claims(frame: Frame): boolean {
    const { protocol, icmpType } = frame;
    return (
      protocol === IpProtocol.Icmpv6 &&
      icmpType >= NdpType.RouterSolicitation &&
      icmpType <= NdpType.Redirect
    );
  }

  handle(frame: Frame, now: number): Verdict {
    if (frame.hopLimit !== NDP_HOP_LIMIT || !icmpChecksumIsRight(frame.bytes, frame)) {
      return drop(DropReason.NdpMalformed);
    }
    switch (frame.icmpType) {
      case NdpType.RouterSolicitation:
        return this.#onRouterSolicitation(frame, now);
      case NdpType.NeighborSolicitation:
        return this.#onNeighborSolicitation(frame);
      default:
        // Advertisements and redirects are of no use to a router.
        return drop(DropReason.NdpNotForUs);
    }
  }

  /** Answers at once: the random delay of RFC 4861 §6.2.6 is for links with several routers. */
  #onRouterSolicitation(frame: Frame, now: number): Verdict {
    const { bytes, transportOffset, transportLength, source } = frame;
    const message = parseRouterSolicitation(bytes, transportOffset, transportLength);
    if (message === null || (source.isUnspecified && message.mac !== null)) {
      return drop(DropReason.NdpMalformed);
    }
    if (!this.#advertises) return drop(DropReason.NdpNotForUs);
    this.#schedule(now);
    const reply = source.isUnspecified
      ? this.#advertisement(ALL_NODES, ALL_NODES_MAC, this.#offer())
      : this.#advertisement(source, frame.sourceMac, this.#offer());
    return { kind: "reply", frame: reply };
  }

  /** On a network of several guests, Slipway assigns the addresses: none may be made from the prefix. */
  get #advertises(): boolean {
    const { membership, services } = this.#config;
    return services.ra && membership === undefined;
  }

  #onNeighborSolicitation(frame: Frame): Verdict {
    const { bytes, transportOffset, transportLength, source, destination } = frame;
    const message = parseNeighbor(bytes, transportOffset, transportLength);
    // RFC 4861 §7.1.1: duplicate address detection has no source yet and solicits the multicast group.
    const detects = source.isUnspecified;
    if (message === null || (detects && (message.mac !== null || !destination.isMulticast))) {
      return drop(DropReason.NdpMalformed);
    }
    if (!this.#config.services.ndp || !this.#addresses.answersFor(message.target, detects)) {
      return drop(DropReason.NdpNotForUs);
    }
    const to = detects ? ALL_NODES : source;
    const toMac = detects ? ALL_NODES_MAC : frame.sourceMac;
    return { kind: "reply", frame: this.#answer(message.target, to, toMac, !detects) };
  }

  #answer(target: Address, to: Address, toMac: Mac, solicited: boolean): Uint8Array {
    const flags = NeighborFlags.Router + NeighborFlags.Override;
    const message: NeighborMessage = {
      type: NdpType.NeighborAdvertisement,
      flags: solicited ? flags + NeighborFlags.Solicited : flags,
      target,
      mac: this.#mac,
    };
    const bytes = new Uint8Array(neighborLength(message));
    emitNeighbor(bytes, 0, message);
    return composeNdpFrame(target, this.#mac, to, toMac, bytes);
  }

  #schedule(now: number): void {
    const spread = ADVERTISE_AT_MOST - ADVERTISE_AT_LEAST;
    this.#announceAt = now + ADVERTISE_AT_LEAST + Math.random() * spread;
  }

  #offer(): Contents {
    const { dns } = this.#config;
    return {
      routerLifetime: hasDefaultRoute(this.#plan) ? ROUTER_LIFETIME : 0,
      prefixes: prefixesOf(this.#plan).map((prefix) => ({
        prefix,
        validLifetime: VALID_LIFETIME,
        preferredLifetime: PREFERRED_LIFETIME,
      })),
      dnsLifetime: ROUTER_LIFETIME,
      dnsServers: dns === null ? [] : this.#plan.nameServers.slice(0, MOST_SERVERS),
      dnsSearch: dns?.upstream.search ?? [],
    };
  }

  /** The guest is to have the host's address: published ports lead to it, and not to one that the guest makes. */
  get #leases(): boolean {
    const { neighbors, guest } = this.#plan;
    return this.#config.services.dhcpv6 && neighbors !== "nobody" && !guest.isLinkLocal;
  }

  #advertisement(to: Address, toMac: Mac, contents: Contents): Uint8Array {
    const { mtu } = this.#config;
    const isLeased = this.#leases;
    const common = { mac: this.#mac, mtu, hopLimit: DEFAULT_HOP_LIMIT, isLeased };
    const message = composeRouterAdvertisement({ ...common, ...contents });
    return composeNdpFrame(this.#source, this.#mac, to, toMac, message);
  }
}

/** What an advertisement says that changes with the plan. */
type Contents = Omit<RouterAdvertisement, "mac" | "mtu" | "hopLimit" | "isLeased">;

/** The networks of the guest's addresses, each once. */
function prefixesOf({ prefix, others }: AddressPlan): readonly Prefix[] {
  // No host takes the link-local one (RFC 4861 §6.3.4).
  const all = [prefix, ...others.map(networkOf)].filter(({ address }) => !address.isLinkLocal);
  const different = all.filter((each, index) => all.findIndex((one) => one.equals(each)) === index);
  return different.slice(0, MOST_PREFIXES);
}
