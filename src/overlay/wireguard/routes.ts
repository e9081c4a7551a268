import type { Address } from "../../base/address.js";
import { BROADCAST_MAC, type Mac } from "../../base/mac.js";
import type { Overlay } from "../overlay.js";
import type { RemoteMember, Trunk } from "../trunk.js";

/** A member that sent a packet, and its network. */
export interface Origin {
  readonly trunk: Trunk;
  readonly member: RemoteMember;
}

/** IPv4 multicast (RFC 1112 §6.4), IPv6 multicast (RFC 2464 §7). */
const IPV4_GROUPS: Mac = 0x0100_5e00_0000;
const IPV6_GROUPS: Mac = 0x3333_0000_0000;

/**
 * Whose addresses are in a packet without Ethernet, as the store says. It remembers the last answers, which mostly are
 * the next ones, too: addresses are compared as objects, which an AddressCache makes.
 */
export class Routes {
  readonly #overlay: Overlay;
  #source: Address | null = null;
  #key = "";
  #origin: Origin | null = null;
  #originGeneration = -1;
  #destination: Address | null = null;
  #destinationTrunk: Trunk | null = null;
  #destinationMac: Mac | null = null;
  #switchGeneration = -1;

  constructor(overlay: Overlay) {
    this.#overlay = overlay;
  }

  /** The member that has an address, if it is at that site; null: no such member may have sent it. @param key of the site */
  originOf(source: Address, key: string): Origin | null {
    const known = this.#origin;
    const isKnown =
      source === this.#source && key === this.#key && known !== null && this.#isFresh(known.trunk);
    if (isKnown) return known;
    this.#source = source;
    this.#key = key;
    this.#origin = this.#search(source, key);
    this.#originGeneration = this.#origin === null ? -1 : this.#stampOf(this.#origin.trunk);
    return this.#origin;
  }

  /** The MAC that a packet goes to on this host; null: no member here has the address. */
  macOf(trunk: Trunk, destination: Address): Mac | null {
    const generation = trunk.localSwitch?.generation ?? -1;
    const isKnown =
      destination === this.#destination &&
      trunk === this.#destinationTrunk &&
      generation === this.#switchGeneration;
    if (isKnown) return this.#destinationMac;
    this.#destination = destination;
    this.#destinationTrunk = trunk;
    this.#switchGeneration = generation;
    this.#destinationMac = searchMac(trunk, destination);
    return this.#destinationMac;
  }

  #isFresh(trunk: Trunk): boolean {
    return this.#originGeneration === this.#stampOf(trunk);
  }

  /** Both only grow, so their sum changes with either. */
  #stampOf(trunk: Trunk): number {
    return trunk.generation + this.#overlay.generation;
  }

  #search(source: Address, key: string): Origin | null {
    for (const trunk of this.#overlay.trunks) {
      const { carrier, subnets } = trunk.network;
      if (carrier.kind !== "wireguard") continue;
      const isOfIt = source.isLinkLocal || subnets.some(({ prefix }) => prefix.contains(source));
      const member = isOfIt ? trunk.ownerOf(source) : null;
      if (member !== null && member.site.key === key) return { trunk, member };
    }
    return null;
  }
}

function searchMac({ network, localSwitch }: Trunk, destination: Address): Mac | null {
  if (destination.isMulticast) return groupMac(destination);
  const isBroadcast =
    destination.isBroadcast ||
    (destination.family === 4 &&
      network.subnets.some(({ prefix }) => prefix.last.equals(destination)));
  if (isBroadcast) return BROADCAST_MAC;
  return localSwitch?.ownerOf(destination)?.identity.mac ?? null;
}

function groupMac({ family, w3 }: Address): Mac {
  return family === 4 ? IPV4_GROUPS + (w3 & 0x7f_ffff) : IPV6_GROUPS + w3;
}
