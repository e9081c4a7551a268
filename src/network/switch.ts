import { Address } from "../base/address.js";
import { DropCounters, DropReason } from "../base/drop.js";
import type { Mac } from "../base/mac.js";
import { TokenBucket } from "../base/token-bucket.js";
import type { FrameCounters } from "../rpc/reports.js";
import { native } from "../sys/native.js";
import { ARP_LENGTH, ArpOperation } from "../wire/arp.js";
import { readU16 } from "../wire/bytes.js";
import { ETHERNET_HEADER_LENGTH, EtherType } from "../wire/ethernet.js";
import { IPV4_SOURCE, IPV6_HEADER_LENGTH, IPV6_NEXT_HEADER, IpProtocol } from "../wire/ip.js";
import { NdpType } from "../wire/ndp.js";
import { type AttachmentIdentity, Guard, linkLocalOf, signedWord } from "./guard.js";

/**
 * Limit of a port's group frames (broadcast and multicast), in copies per second and at once. It counts copies, as a
 * frame costs one write for each member. Each port has its own bucket: a member that floods takes nothing from others.
 */
const FLOOD_BURST = 4_096;
const FLOOD_RATE = 20_000;

/** The group bit of the first byte of a MAC (IEEE 802-2014 §8.2.2). */
const GROUP = 0x01;

/**
 * MACs of the groups of routers and DHCP servers, ff02::2 and ff02::1:2 (RFC 2464 §7). Only the gateway gets these
 * frames, so that no member can answer instead of it.
 */
const IPV6_GROUP = 0x3333;
const ALL_ROUTERS = 0x0000_0002;
const ALL_DHCP_AGENTS = 0x0001_0002;

/** Offsets in an ARP packet (RFC 826), a neighbour solicitation (RFC 4861 §4.3), and IP headers. */
const ARP_OPERATION = 6;
const ARP_SENDER = 14;
const ARP_TARGET = 24;
const NDP_TARGET = 8;
const NDP_LENGTH = 24;

/** The two ends of a port: the memory that its frames are in, and the TAP that frames for it are written to. */
export interface PortLink {
  /** The TAP: a handle of the addon. */
  readonly fd: number;
  /** The memory that its frames are read into: its number in the addon, and its bytes. */
  readonly memory: number;
  readonly bytes: Uint8Array;
  /** Length of the virtio header before each frame, in bytes; the same at all ports of a switch. */
  readonly frameHeader: number;
}

/** The switch of one network. Each port has one MAC, so nothing is learnt. */
export class Switch {
  readonly #gatewayMac: Mac;
  readonly #ports = new Map<Mac, SwitchPort>();
  readonly #owners = new Map<string, SwitchPort>();
  /** Counts changes of the table: they invalidate what ports have cached of it. */
  #generation = 0;

  /** @param gatewayMac frames to it go to the sender's own stack */
  constructor(gatewayMac: Mac) {
    this.#gatewayMac = gatewayMac;
  }

  get generation(): number {
    return this.#generation;
  }

  get isEmpty(): boolean {
    return this.#ports.size === 0;
  }

  /** @throws RangeError when the MAC is taken, which the caller prevents */
  addPort(identity: AttachmentIdentity): SwitchPort {
    const { mac, addresses } = identity;
    if (mac === this.#gatewayMac || this.#ports.has(mac))
      throw new RangeError(`MAC ${mac} is taken`);
    const port = new SwitchPort(this, identity);
    this.#ports.set(mac, port);
    for (const address of [...addresses, linkLocalOf(mac)]) this.#owners.set(`${address}`, port);
    this.#generation += 1;
    return port;
  }

  removePort(port: SwitchPort): void {
    const { mac, addresses } = port.identity;
    this.#ports.delete(mac);
    for (const address of [...addresses, linkLocalOf(mac)]) this.#owners.delete(`${address}`);
    this.#generation += 1;
  }

  /** @param high the first 16 bits of the MAC @param low its other 32 bits, signed or not */
  portAt(high: number, low: number): SwitchPort | "gateway" | null {
    const mac = high * 0x1_0000_0000 + (low >>> 0);
    return mac === this.#gatewayMac ? "gateway" : (this.#ports.get(mac) ?? null);
  }

  /** The port of the member that has an address; null when no member has. */
  ownerOf(address: Address): SwitchPort | null {
    return this.#owners.get(address.toString()) ?? null;
  }

  /** How many ports it has. */
  get size(): number {
    return this.#ports.size;
  }

  /** Writes a frame to all ports but the one that it came from. */
  flood(from: SwitchPort, offset: number, length: number): void {
    for (const port of this.#ports.values()) if (port !== from) from.send(port, offset, length);
  }
}

/** A port of a switch (IEEE 802.1D): where one attachment's guest and TAP are connected. */
export class SwitchPort {
  readonly identity: AttachmentIdentity;
  readonly drops = new DropCounters();
  /** When it last sent more than one wake-up reads, in ms. */
  heavyAt = Number.NEGATIVE_INFINITY;
  readonly #switch: Switch;
  readonly #guard: Guard;
  readonly #copies = new TokenBucket(FLOOD_RATE, FLOOD_BURST);
  #link: PortLink | null = null;
  // Doubles count without allocating, exactly up to 2^53.
  readonly #counters = new Float64Array(4);
  /** Cache: MAC and port of the last frame's destination, which mostly is the next frame's, too. */
  #lastHigh = -1;
  #lastLow = 0;
  #lastPort: SwitchPort | "gateway" | null = null;
  #generation = -1;

  constructor(owner: Switch, identity: AttachmentIdentity) {
    this.#switch = owner;
    this.identity = identity;
    this.#guard = new Guard(identity);
  }

  get counters(): FrameCounters {
    const [framesIn, bytesIn, framesOut, bytesOut] = this.#counters;
    return { framesIn, bytesIn, framesOut, bytesOut };
  }

  /** `heavyAt` of the port that its last frame went to. */
  get partnerHeavyAt(): number {
    const partner = this.#lastPort;
    return partner instanceof SwitchPort ? partner.heavyAt : Number.NEGATIVE_INFINITY;
  }

  open(link: PortLink): void {
    this.#link = link;
  }

  /** From now on it forwards nothing, in either direction. */
  close(): void {
    this.#link = null;
  }

  /**
   * Forwards a frame that was read from this port's TAP.
   * @param offset of its virtio header
   * @param length of the frame, with the virtio header
   * @param now in ms
   * @returns whether the gateway, the sender's own stack, gets it, too
   */
  take(offset: number, length: number, now: number): boolean {
    const link = this.#link;
    if (link === null) return false;
    const { bytes, frameHeader } = link;
    const at = offset + frameHeader;
    const reason = this.#guard.check(bytes, at, length - frameHeader);
    if (reason !== 0) {
      this.drops.count(reason);
      return false;
    }
    this.#counters[0] += 1;
    this.#counters[1] += length - frameHeader;
    if ((bytes[at] & GROUP) !== 0) return this.#takeGroup(bytes, at, offset, length, now);
    const target = this.#portAt(readU16(bytes, at), signedWord(bytes, at + 2));
    if (target === "gateway") return true;
    // A frame to its own sender would go back to where it came from.
    if (target === null || target === this) this.drops.count(DropReason.EthernetNotForUs);
    else this.send(target, offset, length);
    return false;
  }

  /** Writes a frame of this port to another's TAP. */
  send(target: SwitchPort, offset: number, length: number): void {
    const link = this.#link;
    if (link === null || target.#link === null) return;
    const written = native.write(target.#link.fd, link.memory, offset, length);
    if (written < 0) {
      target.drops.count(DropReason.TapQueueFull);
      return;
    }
    target.#counters[2] += 1;
    target.#counters[3] += length - link.frameHeader;
  }

  #portAt(high: number, low: number): SwitchPort | "gateway" | null {
    const isKnown =
      low === this.#lastLow &&
      high === this.#lastHigh &&
      this.#generation === this.#switch.generation;
    if (isKnown) return this.#lastPort;
    this.#lastHigh = high;
    this.#lastLow = low;
    this.#generation = this.#switch.generation;
    this.#lastPort = this.#switch.portAt(high, low);
    return this.#lastPort;
  }

  /** ARP requests and neighbour solicitations go to the member that has the address; all others to all members. */
  #takeGroup(bytes: Uint8Array, at: number, offset: number, length: number, now: number): boolean {
    if (isForGatewayAlone(bytes, at)) return true;
    const end = offset + length;
    const asked = addressAsked(bytes, at, end);
    if (asked !== null) {
      const owner = this.#switch.ownerOf(asked);
      if (owner !== null && owner !== this) this.send(owner, offset, length);
      return owner === null;
    }
    if (this.#copies.takeMany(now, this.#switch.size)) this.#switch.flood(this, offset, length);
    else this.drops.count(DropReason.LimitRate);
    return true;
  }
}

/** A DHCP client without an address, and frames to the groups of routers and DHCP servers. */
function isForGatewayAlone(bytes: Uint8Array, at: number): boolean {
  const start = at + ETHERNET_HEADER_LENGTH;
  if (readU16(bytes, at + 12) === EtherType.Ipv4)
    return signedWord(bytes, start + IPV4_SOURCE) === 0;
  if (readU16(bytes, at) !== IPV6_GROUP) return false;
  const group = signedWord(bytes, at + 2);
  return group === ALL_ROUTERS || group === ALL_DHCP_AGENTS;
}

/** The address that an ARP request or neighbour solicitation asks for; null for other frames. */
function addressAsked(bytes: Uint8Array, at: number, end: number): Address | null {
  const start = at + ETHERNET_HEADER_LENGTH;
  if (readU16(bytes, at + 12) === EtherType.Arp) return addressOfArp(bytes, start, end);
  const icmp = start + IPV6_HEADER_LENGTH;
  const isSolicitation =
    readU16(bytes, at + 12) === EtherType.Ipv6 &&
    bytes[start + IPV6_NEXT_HEADER] === IpProtocol.Icmpv6 &&
    end - icmp >= NDP_LENGTH &&
    bytes[icmp] === NdpType.NeighborSolicitation;
  return isSolicitation ? Address.read(bytes, icmp + NDP_TARGET, 6) : null;
}

/** @returns null for an announcement, which asks for the sender's own address (RFC 5227 §2.3): it is for all members */
function addressOfArp(bytes: Uint8Array, start: number, end: number): Address | null {
  if (end - start < ARP_LENGTH) return null;
  if (readU16(bytes, start + ARP_OPERATION) !== ArpOperation.Request) return null;
  const target = Address.read(bytes, start + ARP_TARGET, 4);
  return target.equals(Address.read(bytes, start + ARP_SENDER, 4)) ? null : target;
}
