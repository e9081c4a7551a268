import type { Address } from "../base/address.js";
import { monotonicMs } from "../base/clock.js";
import { DropReason, type DropReasonOrOk } from "../base/drop.js";
import { isMulticastMac, linkLocalOf, type Mac } from "../base/mac.js";
import { TokenBucket } from "../base/token-bucket.js";
import { Guard } from "../network/guard.js";
import { networkMac } from "../network/plans.js";
import type { Delivery, Switch } from "../network/switch.js";
import type { PortLink, Remote, Uplink } from "../network/uplink.js";
import { answerTooBig } from "./too-big.js";
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
  members = 0;
  #place: Place | null = null;
  #address: Address | null = null;
  #destination: Destination | null = null;

  constructor(key: string, location: Location) {
    this.key = key;
    this.location = location;
  }

  /** Where that is now; null: the host is not known (any more). */
  get place(): Place | null {
    return this.#place;
  }

  /** From where its datagrams come; null: unknown, or it has no fixed one. */
  get address(): Address | null {
    return this.#address;
  }

  /** null: no tunnel leads there, or not yet. */
  get destination(): Destination | null {
    return this.#destination;
  }

  /** @param destination the way there */
  locate(place: Place | null, destination: Destination | null): void {
    this.#place = place;
    this.#address = place === null ? null : addressOf(place);
    this.#destination = destination;
  }
}

function addressOf(place: Place): Address | null {
  switch (place.kind) {
    case "host":
      return place.host.address;
    case "vtep":
      return place.address;
    case "wireguard":
      return null;
  }
}

/** Tells the sender of a frame that it was too big. Parameters as of answerTooBig(). */
type TellTooBig = (link: PortLink, offset: number, length: number, mtu: number) => void;

/** A member of the network that is on another host. */
export class RemoteMember implements Remote {
  readonly mac: Mac;
  readonly addresses: readonly Address[];
  readonly site: Site;
  /** Decides which frames are from it. */
  readonly guard: Guard;
  readonly #tellTooBig: TellTooBig;

  constructor(identity: RemoteIdentity, site: Site, tellTooBig: TellTooBig) {
    this.mac = identity.mac;
    this.addresses = identity.addresses;
    this.site = site;
    this.guard = new Guard(identity);
    this.#tellTooBig = tellTooBig;
  }

  send(link: PortLink, offset: number, length: number): DropReasonOrOk {
    const { destination } = this.site;
    if (destination === null) return DropReason.TunnelUnknownHost;
    const reason = destination.send(link, offset, length);
    if (reason === DropReason.TunnelTooBig) this.#tellTooBig(link, offset, length, destination.mtu);
    return reason;
  }
}

/** What the store says of a member, and what the trunk has made of it. */
interface Claim {
  readonly identity: RemoteIdentity;
  /** null: its MAC is another's. */
  member: RemoteMember | null;
  /** Whether the MAC and all addresses are its own. */
  isWhole: boolean;
}

/** What a trunk needs to find its way. */
export interface TrunkContext {
  /** null: its host is not known */
  placeOf(location: Location): Place | null;
  /** null: not open yet */
  tunnelOf(network: OverlayNetwork): Tunnel | null;
  /** A site came or went. */
  onSites(): void;
}

/** Most errors that a network sends to its members, per second and at once. */
const ERROR_RATE = 100;
const ERROR_BURST = 20;

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
  readonly #claims = new Set<Claim>();
  /** How many claims are not whole. */
  #contested = 0;
  readonly #byMac = new Map<Mac, RemoteMember>();
  readonly #byAddress = new Map<string, RemoteMember>();
  readonly #sites = new Map<string, Site>();
  readonly #gateways: readonly Address[];
  readonly #errors = new TokenBucket(ERROR_RATE, ERROR_BURST);
  #generation = 0;

  constructor(network: OverlayNetwork, context: TrunkContext) {
    this.network = network;
    this.#context = context;
    this.#gatewayMac = networkMac(network.subnets);
    this.#gateways = network.subnets.map(({ gateway }) => gateway);
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

  /** No overlay has subnets elsewhere. */
  routerOf(): null {
    return null;
  }

  ownerOf(address: Address): RemoteMember | null {
    return this.#byAddress.get(address.toString()) ?? null;
  }

  /**
   * Adds a member. What the store says of it is not trusted: a MAC or address that is another's, or the gateway's, is
   * not taken from its owner. It gets what is another's when that one is gone: of a member that moves to another host,
   * the new place may be heard of before the old one is withdrawn.
   * @returns removes it
   */
  add(identity: RemoteIdentity): () => void {
    const claim: Claim = { identity, member: null, isWhole: true };
    this.#claims.add(claim);
    this.#enter(claim);
    return () => this.#withdraw(claim);
  }

  /** Looks anew where its places are, and which tunnel leads there. */
  refresh(): void {
    for (const site of this.#sites.values()) this.#locate(site);
  }

  /** The same for one host, of which something has changed. */
  refreshHost(id: string): void {
    const site = this.#sites.get(hostKey(id));
    if (site !== undefined) this.#locate(site);
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
    const { bytes, at, length, headersLength } = frame;
    const reason = from.guard.check(bytes, at, length, headersLength);
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

  /** Makes a member of a claim, as far as nobody else has what it says. */
  #enter(claim: Claim): void {
    const { identity } = claim;
    const { mac } = identity;
    const addresses = identity.addresses.filter((address) => this.#isFree(address));
    const hasMac = mac !== this.#gatewayMac && !isMulticastMac(mac) && !this.#byMac.has(mac);
    claim.isWhole = hasMac && addresses.length === identity.addresses.length;
    if (!claim.isWhole) this.#contested += 1;
    this.#generation += 1;
    if (!hasMac) return;
    const site = this.#siteOf(identity.location);
    site.members += 1;
    const member = new RemoteMember({ ...identity, addresses }, site, this.#tellTooBig);
    claim.member = member;
    this.#byMac.set(mac, member);
    for (const address of addressesOf(member)) this.#byAddress.set(`${address}`, member);
  }

  #withdraw(claim: Claim): void {
    this.#claims.delete(claim);
    this.#leave(claim);
    if (this.#contested === 0) return;
    for (const other of this.#claims) {
      if (other.isWhole) continue;
      this.#leave(other);
      this.#enter(other);
    }
  }

  #leave(claim: Claim): void {
    if (!claim.isWhole) this.#contested -= 1;
    if (claim.member !== null) this.#remove(claim.member);
    claim.member = null;
  }

  #remove(member: RemoteMember): void {
    const { mac, site } = member;
    this.#byMac.delete(mac);
    for (const address of addressesOf(member)) this.#byAddress.delete(`${address}`);
    site.members -= 1;
    this.#generation += 1;
    if (site.members > 0) return;
    this.#sites.delete(site.key);
    this.#context.onSites();
  }

  #siteOf(location: Location): Site {
    const key = keyOf(location);
    const known = this.#sites.get(key);
    if (known !== undefined) return known;
    const made = new Site(key, location);
    this.#locate(made);
    this.#sites.set(key, made);
    this.#context.onSites();
    return made;
  }

  #locate(site: Site): void {
    const place = this.#context.placeOf(site.location);
    const tunnel = this.#context.tunnelOf(this.network);
    const destination =
      place === null ? null : (tunnel?.destinationOf(this.network, place) ?? null);
    site.locate(place, destination);
  }

  readonly #tellTooBig: TellTooBig = (link, offset, length, mtu) => {
    if (this.#errors.take(monotonicMs())) answerTooBig(link, offset, length, mtu, this.#gateways);
    else link.drops.count(DropReason.LimitIcmpErrors);
  };
}

function addressesOf({ mac, addresses }: RemoteMember): readonly Address[] {
  return [...addresses, linkLocalOf(mac)];
}

function keyOf(location: Location): string {
  switch (location.kind) {
    case "host":
      return hostKey(location.host);
    case "vtep":
      return `vtep ${location.address} ${location.port}`;
    case "wireguard":
      return clientKey(location.publicKey);
  }
}

/** Key of the site that a host is. */
export function hostKey(id: string): string {
  return `host ${id}`;
}

/** Key of the site that a WireGuard client is. @param publicKey 32 bytes */
export function clientKey(publicKey: Uint8Array): string {
  return `wireguard ${Buffer.from(publicKey).toString("base64")}`;
}
