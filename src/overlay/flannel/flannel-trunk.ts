import type { Address, Prefix } from "../../base/address.js";
import { monotonicMs } from "../../base/clock.js";
import { DropReason, type DropReasonOrOk } from "../../base/drop.js";
import type { Mac } from "../../base/mac.js";
import { TokenBucket } from "../../base/token-bucket.js";
import { signedWord } from "../../network/guard.js";
import type { MemberSubnet } from "../../network/plans.js";
import type { Switch } from "../../network/switch.js";
import type { PortLink, Remote, Uplink } from "../../network/uplink.js";
import { readU16 } from "../../wire/bytes.js";
import { ETHERNET_HEADER_LENGTH, EtherType } from "../../wire/ethernet.js";
import { IPV4_DESTINATION, IPV4_HEADER_LENGTH } from "../../wire/ip.js";
import { answerTooBig } from "../too-big.js";
import type { Destination } from "../tunnel.js";

/** This host's part of a flannel network. */
export interface FlannelNetwork {
  readonly id: string;
  /** Of this host: one, of IPv4. */
  readonly subnets: readonly MemberSubnet[];
  readonly mtu: number;
  readonly vni: number;
  readonly port: number;
  /** MAC by which other hosts route to this one. */
  readonly vtepMac: Mac;
}

/** The subnet of another host. */
export interface FlannelSubnet {
  readonly subnet: Prefix;
  /** Of the host, on the underlay. */
  readonly address: Address;
  readonly vtepMac: Mac;
}

/** Most errors that a network sends to its members, per second and at once. */
const ERROR_RATE = 100;
const ERROR_BURST = 20;

/** Tells the sender of a frame that it was too big. Parameters as of answerTooBig(). */
type TellTooBig = (link: PortLink, offset: number, length: number, mtu: number) => void;

/** Another host, as the router to its subnet. */
export class FlannelRoute implements Remote {
  readonly subnet: Prefix;
  readonly address: Address;
  readonly mac: Mac;
  /** null: no tunnel is open. */
  destination: Destination | null = null;
  readonly #tellTooBig: TellTooBig;

  constructor({ subnet, address, vtepMac }: FlannelSubnet, tellTooBig: TellTooBig) {
    this.subnet = subnet;
    this.address = address;
    this.mac = vtepMac;
    this.#tellTooBig = tellTooBig;
  }

  send(link: PortLink, offset: number, length: number): DropReasonOrOk {
    const { destination } = this;
    if (destination === null) return DropReason.TunnelUnknownHost;
    const reason = destination.send(link, offset, length);
    if (reason === DropReason.TunnelTooBig) this.#tellTooBig(link, offset, length, destination.mtu);
    return reason;
  }
}

/** What carries the frames of a flannel network. */
export interface FlannelCarrier {
  destinationOf(route: FlannelRoute): Destination;
  flush(link: PortLink): void;
  discard(link: PortLink): void;
}

/**
 * A flannel network's subnets on other hosts. Each host is a router to its own subnet: members send what is for
 * another one to their gateway, and it leaves for the host that has it. Nothing else leaves: no ARP, no group frames.
 */
export class FlannelTrunk implements Uplink {
  readonly network: FlannelNetwork;
  /** The members on this host; null: there are none. */
  localSwitch: Switch | null = null;
  readonly copies = 0;
  readonly #routes = new Map<string, FlannelRoute>();
  /** By the first address, for each length of subnets, which mostly is one. */
  readonly #byLength = new Map<number, Map<number, FlannelRoute>>();
  readonly #errors = new TokenBucket(ERROR_RATE, ERROR_BURST);
  #carrier: FlannelCarrier | null = null;
  #generation = 0;
  /** The destination that was asked for last, which mostly is the next, too. */
  #last: FlannelRoute | null = null;
  #lastWord = 0;
  #lastGeneration = -1;

  constructor(network: FlannelNetwork) {
    this.network = network;
  }

  get generation(): number {
    return this.#generation;
  }

  /** @param carrier null: it is closed */
  use(carrier: FlannelCarrier | null): void {
    this.#carrier = carrier;
    for (const route of this.#routes.values()) {
      route.destination = carrier?.destinationOf(route) ?? null;
    }
  }

  /** @returns removes it; null: it is a part of this host's own subnet, or known already */
  add(subnet: FlannelSubnet): (() => void) | null {
    const key = `${subnet.subnet}`;
    const isOwn = this.network.subnets.some(
      ({ prefix }) => prefix.covers(subnet.subnet) || subnet.subnet.covers(prefix),
    );
    if (isOwn || this.#routes.has(key)) return null;
    const route = new FlannelRoute(subnet, this.#tellTooBig);
    route.destination = this.#carrier?.destinationOf(route) ?? null;
    this.#routes.set(key, route);
    this.#index();
    return () => {
      this.#routes.delete(key);
      this.#index();
    };
  }

  remoteAt(): null {
    return null;
  }

  ownerOf(): null {
    return null;
  }

  routerOf(bytes: Uint8Array, at: number, end: number): FlannelRoute | null {
    const ip = at + ETHERNET_HEADER_LENGTH;
    if (readU16(bytes, at + 12) !== EtherType.Ipv4 || end - ip < IPV4_HEADER_LENGTH) return null;
    return this.routeTo(signedWord(bytes, ip + IPV4_DESTINATION));
  }

  /** The route that an address is in. @param word of an IPv4 address, signed or not */
  routeTo(word: number): FlannelRoute | null {
    if (word === this.#lastWord && this.#lastGeneration === this.#generation) return this.#last;
    this.#lastWord = word;
    this.#lastGeneration = this.#generation;
    this.#last = this.#search(word);
    return this.#last;
  }

  /** Whether it is the address of another host. */
  isHost(address: Address): boolean {
    for (const route of this.#routes.values()) if (route.address.equals(address)) return true;
    return false;
  }

  flood(): void {}

  flush(link: PortLink): void {
    this.#carrier?.flush(link);
  }

  discard(link: PortLink): void {
    this.#carrier?.discard(link);
  }

  #search(word: number): FlannelRoute | null {
    for (const [length, routes] of this.#byLength) {
      const found = routes.get(networkWord(word, length));
      if (found !== undefined) return found;
    }
    return null;
  }

  #index(): void {
    this.#generation += 1;
    this.#byLength.clear();
    for (const route of this.#routes.values()) {
      const { address, length } = route.subnet;
      const routes = this.#byLength.get(length) ?? new Map<number, FlannelRoute>();
      routes.set(networkWord(address.w3, length), route);
      this.#byLength.set(length, routes);
    }
  }

  readonly #tellTooBig: TellTooBig = (link, offset, length, mtu) => {
    const gateways = this.network.subnets.map(({ gateway }) => gateway);
    if (this.#errors.take(monotonicMs())) answerTooBig(link, offset, length, mtu, gateways);
    else link.drops.count(DropReason.LimitIcmpErrors);
  };
}

/** The first `length` bits of a word. @param length 1..32 */
function networkWord(word: number, length: number): number {
  return (word & (0xffff_ffff << (32 - length))) >>> 0;
}
