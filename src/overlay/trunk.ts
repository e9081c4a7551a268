import type { Address } from "../base/address.js";
import { DropReason, type DropReasonOrOk } from "../base/drop.js";
import { isMulticastMac, type Mac } from "../base/mac.js";
import { Guard, linkLocalOf } from "../network/guard.js";
import { networkMac } from "../network/plans.js";
import type { Delivery, Switch } from "../network/switch.js";
import type { PortLink, Remote, Uplink } from "../network/uplink.js";
import type {
  Destination,
  Location,
  OverlayNetwork,
  Place,
  RemoteIdentity,
  Tunnel,
} from "./tunnel.js";

/** A host or peer with members of one network. */
export class Site {
  /** Such as `host ID`: the same for all members there. */
  readonly key: string;
  readonly location: Location;
  /** Where that is now; null: the host is not known (any more). */
  place: Place | null = null;
  /** null: no tunnel leads there, or not yet. */
  destination: Destination | null = null;
  members = 0;

  constructor(key: string, location: Location) {
    this.key = key;
    this.location = location;
  }
}

/** A member of the network that is on another host. */
export class RemoteMember implements Remote {
  readonly mac: Mac;
  readonly addresses: readonly Address[];
  readonly site: Site;
  /** Decides which frames are from it. */
  readonly guard: Guard;

  constructor(identity: RemoteIdentity, site: Site) {
    this.mac = identity.mac;
    this.addresses = identity.addresses;
    this.site = site;
    this.guard = new Guard(identity);
  }

  send(link: PortLink, offset: number, length: number): DropReasonOrOk {
    const { destination } = this.site;
    if (destination === null) return DropReason.TunnelUnknownHost;
    return destination.send(link, offset, length);
  }
}

/** What a trunk needs to find its way. */
export interface TrunkContext {
  /** null: its host is not known */
  placeOf(location: Location): Place | null;
  /** null: not open yet */
  tunnelOf(network: OverlayNetwork): Tunnel | null;
}

/**
 * What one overlay network knows of its members on other hosts, and how it reaches them. All of it is said by the
 * store, and nothing is learnt from frames.
 */
export class Trunk implements Uplink {
  readonly network: OverlayNetwork;
  /** The members on this host; null: there are none. */
  localSwitch: Switch | null = null;
  readonly #context: TrunkContext;
  readonly #gatewayMac: Mac;
  readonly #byMac = new Map<Mac, RemoteMember>();
  readonly #byAddress = new Map<string, RemoteMember>();
  readonly #sites = new Map<string, Site>();
  #generation = 0;

  constructor(network: OverlayNetwork, context: TrunkContext) {
    this.network = network;
    this.#context = context;
    this.#gatewayMac = networkMac(network.subnets);
  }

  get generation(): number {
    return this.#generation;
  }

  get copies(): number {
    return this.#sites.size;
  }

  /** The hosts and peers that have members. */
  get sites(): Iterable<Site> {
    return this.#sites.values();
  }

  remoteAt(mac: Mac): RemoteMember | null {
    return this.#byMac.get(mac) ?? null;
  }

  ownerOf(address: Address): RemoteMember | null {
    return this.#byAddress.get(address.toString()) ?? null;
  }

  /**
   * Adds a member. What the store says of it is not trusted: a MAC or address that is another's, or the gateway's, is
   * not taken from its owner.
   * @returns removes it; null: it was refused
   */
  add(identity: RemoteIdentity): (() => void) | null {
    const { mac, location } = identity;
    if (mac === this.#gatewayMac || isMulticastMac(mac) || this.#byMac.has(mac)) return null;
    const addresses = identity.addresses.filter((address) => this.#isFree(address));
    const site = this.#siteOf(location);
    site.members += 1;
    const member = new RemoteMember({ ...identity, addresses }, site);
    this.#byMac.set(mac, member);
    for (const address of addressesOf(member)) this.#byAddress.set(`${address}`, member);
    this.#generation += 1;
    return () => this.#remove(member);
  }

  /** Looks anew where its places are, and which tunnel leads there. */
  refresh(): void {
    for (const site of this.#sites.values()) this.#locate(site);
  }

  flood(link: PortLink, offset: number, length: number): void {
    for (const { destination } of this.#sites.values()) {
      const reason = destination?.send(link, offset, length) ?? DropReason.TunnelUnknownHost;
      if (reason !== 0) link.drops.count(reason);
    }
  }

  flush(link: PortLink): void {
    this.#context.tunnelOf(this.network)?.flush(link);
  }

  discard(link: PortLink): void {
    this.#context.tunnelOf(this.network)?.discard(link);
  }

  /**
   * Writes a frame that a tunnel brought to the members of this host that it is for, if it is from that member: checks
   * its MACs, its addresses, and what it says by ARP and neighbour discovery.
   * @returns 0, or why it was dropped
   */
  deliver(from: RemoteMember, frame: Delivery): DropReasonOrOk {
    if (this.localSwitch === null) return DropReason.EthernetNotForUs;
    const reason = from.guard.check(frame.bytes, frame.at, frame.headersLength);
    if (reason === DropReason.PolicySpoofed) return DropReason.TunnelSpoofed;
    if (reason === DropReason.EthernetUnknownType) return reason;
    if (reason !== 0) return DropReason.TunnelMalformed;
    return this.localSwitch.deliver(frame);
  }

  #isFree(address: Address): boolean {
    const isInside = this.network.subnets.some(
      ({ prefix, gateway }) => prefix.contains(address) && !gateway.equals(address),
    );
    return isInside && !this.#byAddress.has(`${address}`);
  }

  #remove(member: RemoteMember): void {
    const { mac, site } = member;
    this.#byMac.delete(mac);
    for (const address of addressesOf(member)) this.#byAddress.delete(`${address}`);
    site.members -= 1;
    if (site.members === 0) this.#sites.delete(site.key);
    this.#generation += 1;
  }

  #siteOf(location: Location): Site {
    const key = keyOf(location);
    const known = this.#sites.get(key);
    if (known !== undefined) return known;
    const made = new Site(key, location);
    this.#locate(made);
    this.#sites.set(key, made);
    return made;
  }

  #locate(site: Site): void {
    site.place = this.#context.placeOf(site.location);
    const tunnel = this.#context.tunnelOf(this.network);
    site.destination =
      site.place === null ? null : (tunnel?.destinationOf(this.network, site.place) ?? null);
  }
}

function addressesOf({ mac, addresses }: RemoteMember): readonly Address[] {
  return [...addresses, linkLocalOf(mac)];
}

function keyOf(location: Location): string {
  switch (location.kind) {
    case "host":
      return `host ${location.host}`;
    case "vtep":
      return `vtep ${location.address} ${location.port}`;
    case "wireguard":
      return `wireguard ${Buffer.from(location.publicKey).toString("base64")}`;
  }
}
