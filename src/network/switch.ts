import { Address } from "../base/address.js";
import { DropCounters, DropReason, type DropReasonOrOk } from "../base/drop.js";
import { linkLocalOf, type Mac } from "../base/mac.js";
import { TokenBucket } from "../base/token-bucket.js";
import type { FrameCounters } from "../rpc/reports.js";
import { native } from "../sys/native.js";
import { ARP_LENGTH, ArpOperation } from "../wire/arp.js";
import { readU16 } from "../wire/bytes.js";
import { ETHERNET_HEADER_LENGTH, EtherType } from "../wire/ethernet.js";
import { IPV4_SOURCE, IPV6_HEADER_LENGTH, IPV6_NEXT_HEADER, IpProtocol } from "../wire/ip.js";
import { NdpType } from "../wire/ndp.js";
import { type AttachmentIdentity, Guard, signedWord } from "./guard.js";
import { answerNeighbor } from "./neighbor-answer.js";
import type { PortLink, Remote, Uplink } from "./uplink.js";

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

/** Where a frame to a MAC goes; null: nobody has it. */
type Destination = SwitchPort | Remote | "gateway" | null;

/** A frame, or superframe, that a tunnel brought: pieces in registered memory, virtio header first. */
export interface Delivery {
  /** Number of the memory, and its bytes. */
  readonly memory: number;
  readonly bytes: Uint8Array;
  /** Offset of the Ethernet header; all headers are in one piece. */
  at: number;
  /** Offset of the I/O vector, and how many pieces it has. */
  vector: number;
  pieces: number;
  /** From the Ethernet header on, and of that what is in one piece, in bytes. */
  length: number;
  headersLength: number;
}

/** The switch of one network. Each port has one MAC, so nothing is learnt. */
export class Switch {
  /** The way to other hosts' members; null: there are none. */
  readonly uplink: Uplink | null;
  readonly #gatewayMac: Mac;
  readonly #ports = new Map<Mac, SwitchPort>();
  readonly #owners = new Map<string, SwitchPort>();
  /** Counts changes of the table: they invalidate what ports have cached of it. */
  #generation = 0;

  /** @param gatewayMac frames to it go to the sender's own stack */
  constructor(gatewayMac: Mac, uplink: Uplink | null = null) {
    this.#gatewayMac = gatewayMac;
    this.uplink = uplink;
  }

  get generation(): number {
    return this.uplink === null ? this.#generation : this.#generation + this.uplink.generation;
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
  destinationAt(high: number, low: number): Destination {
    const mac = high * 0x1_0000_0000 + (low >>> 0);
    if (mac === this.#gatewayMac) return "gateway";
    return this.#ports.get(mac) ?? this.uplink?.remoteAt(mac) ?? null;
  }

  /** The port of the member that has an address; null when no member has. */
  ownerOf(address: Address): SwitchPort | null {
    return this.#owners.get(address.toString()) ?? null;
  }

  /** How often a group frame is sent, at most. */
  get copies(): number {
    return this.#ports.size + (this.uplink?.copies ?? 0);
  }

  /** Writes a frame to all ports but the one that it came from. */
  flood(from: SwitchPort, offset: number, length: number): void {
    for (const port of this.#ports.values()) if (port !== from) from.send(port, offset, length);
  }

  /**
   * Writes a frame that a tunnel brought to the ports that it is for. The caller has checked its source.
   * @returns 0, or why no port got it; a port whose TAP takes no more counts that itself
   */
  deliver(frame: Delivery): DropReasonOrOk {
    const { bytes, at } = frame;
    if ((bytes[at] & GROUP) !== 0) return this.#deliverGroup(frame);
    const mac = readU16(bytes, at) * 0x1_0000_0000 + (signedWord(bytes, at + 2) >>> 0);
    const port = this.#ports.get(mac);
    if (port === undefined) return DropReason.EthernetNotForUs;
    port.receive(frame);
    return 0;
  }

  #deliverGroup(frame: Delivery): DropReasonOrOk {
    const { bytes, at, headersLength } = frame;
    // The gateway is there on every host, for the members of that host.
    if (isForGatewayAlone(bytes, at)) return DropReason.EthernetNotForUs;
    const asked = addressAsked(bytes, at, at + headersLength);
    if (asked === null) {
      for (const port of this.#ports.values()) port.receive(frame);
      return 0;
    }
    const owner = this.ownerOf(asked);
    if (owner === null) return DropReason.EthernetNotForUs;
    owner.receive(frame);
    return 0;
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
  #last: Destination = null;
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
    const partner = this.#last;
    return partner instanceof SwitchPort ? partner.heavyAt : Number.NEGATIVE_INFINITY;
  }

  open(link: Omit<PortLink, "drops">): void {
    this.close();
    this.#link = { ...link, drops: this.drops };
  }

  /** From now on it forwards nothing, in either direction. */
  close(): void {
    if (this.#link !== null) this.#switch.uplink?.discard(this.#link);
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
    const { bytes } = link.stack;
    const { frameHeader } = link;
    const at = offset + frameHeader;
    const reason = this.#guard.check(bytes, at, length - frameHeader);
    if (reason !== 0) {
      this.drops.count(reason);
      return false;
    }
    this.#counters[0] += 1;
    this.#counters[1] += length - frameHeader;
    if ((bytes[at] & GROUP) !== 0) return this.#takeGroup(link, at, offset, length, now);
    const target = this.#destinationAt(readU16(bytes, at), signedWord(bytes, at + 2));
    if (target === "gateway") return !this.#route(link, at, offset, length);
    // A frame to its own sender would go back to where it came from.
    if (target === null || target === this) this.drops.count(DropReason.EthernetNotForUs);
    else if (target instanceof SwitchPort) this.send(target, offset, length);
    else this.#sendRemote(link, target, offset, length);
    return false;
  }

  /** @returns whether another host routes it; what has reached its last hop is for the gateway, which says so */
  #route(link: PortLink, at: number, offset: number, length: number): boolean {
    const { uplink } = this.#switch;
    const router = uplink === null ? null : uplink.routerOf(link.stack.bytes, at, offset + length);
    if (router === null) return false;
    const reason = router.send(link, offset, length);
    if (reason === DropReason.IpHopLimit) return false;
    if (reason !== 0) this.drops.count(reason);
    return true;
  }

  /** Sends what the uplink has kept of this port's frames. Called after each batch of the TAP. */
  flush(): void {
    if (this.#link !== null) this.#switch.uplink?.flush(this.#link);
  }

  /** Writes a frame that a tunnel brought to this port's TAP. */
  receive({ memory, vector, pieces, length }: Readonly<Delivery>): void {
    const link = this.#link;
    if (link === null) return;
    this.#countWritten(native.writev(link.fd, memory, vector, pieces), length);
  }

  /** Writes a frame of this port to another's TAP. */
  send(target: SwitchPort, offset: number, length: number): void {
    const link = this.#link;
    if (link === null || target.#link === null) return;
    const written = native.write(target.#link.fd, link.memory, offset, length);
    target.#countWritten(written, length - link.frameHeader);
  }

  /** @param written what the write to the TAP returned @param length of the frame, in bytes */
  #countWritten(written: number, length: number): void {
    if (written < 0) {
      this.drops.count(DropReason.TapQueueFull);
      return;
    }
    this.#counters[2] += 1;
    this.#counters[3] += length;
  }

  /** What asks whether the member is still there is answered here: some tunnels carry packets only. */
  #sendRemote(link: PortLink, remote: Remote, offset: number, length: number): void {
    const at = offset + link.frameHeader;
    const asked = addressAsked(link.stack.bytes, at, offset + length);
    if (asked !== null) {
      const owner = this.#switch.uplink?.ownerOf(asked) ?? null;
      if (owner === null) this.drops.count(DropReason.EthernetNotForUs);
      else this.#answer(link, owner, asked, offset);
      return;
    }
    const reason = remote.send(link, offset, length);
    if (reason !== 0) this.drops.count(reason);
  }

  /** Answers what a frame of this port asks for, in the place of a remote member. */
  #answer(link: PortLink, owner: Remote, asked: Address, offset: number): void {
    const { stack, frameHeader, fd, memory } = link;
    const at = offset + frameHeader;
    const length = answerNeighbor(stack.bytes, at, asked, owner.mac);
    stack.bytes.fill(0, offset, at);
    this.#countWritten(native.write(fd, memory, offset, frameHeader + length), length);
  }

  #destinationAt(high: number, low: number): Destination {
    const isKnown =
      low === this.#lastLow &&
      high === this.#lastHigh &&
      this.#generation === this.#switch.generation;
    if (isKnown) return this.#last;
    this.#lastHigh = high;
    this.#lastLow = low;
    this.#generation = this.#switch.generation;
    this.#last = this.#switch.destinationAt(high, low);
    return this.#last;
  }

  /**
   * ARP requests and neighbour solicitations go to the member that has the address, or are answered if it is on
   * another host; all others go to all members.
   */
  #takeGroup(link: PortLink, at: number, offset: number, length: number, now: number): boolean {
    const { bytes } = link.stack;
    const { uplink } = this.#switch;
    if (isForGatewayAlone(bytes, at)) return true;
    const end = offset + length;
    const asked = addressAsked(bytes, at, end);
    if (asked !== null) return !this.#resolve(link, asked, offset, length);
    if (this.#copies.takeMany(now, this.#switch.copies)) {
      this.#switch.flood(this, offset, length);
      uplink?.flood(link, offset, length);
    } else this.drops.count(DropReason.LimitRate);
    return true;
  }

  /** @returns whether a member has the address that a frame of this port asks for */
  #resolve(link: PortLink, asked: Address, offset: number, length: number): boolean {
    const owner = this.#switch.ownerOf(asked);
    if (owner !== null) {
      if (owner !== this) this.send(owner, offset, length);
      return true;
    }
    const remote = this.#switch.uplink?.ownerOf(asked) ?? null;
    if (remote !== null) this.#answer(link, remote, asked, offset);
    return remote !== null;
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
