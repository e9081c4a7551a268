import type { Address, Family } from "../base/address.js";
import { NEVER } from "../base/clock.js";
import { type DropCounters, DropReason } from "../base/drop.js";
import type { Mac } from "../base/mac.js";
import type { Stack } from "../stack/stack.js";
import { ETHERNET_HEADER_LENGTH, EtherType, emitEthernet } from "../wire/ethernet.js";
import type { Frame } from "../wire/frame.js";
import { emitIpFragment, ipFragmentHeaderLength, ipHeaderLength } from "../wire/ip.js";

/** RFC 8200 §4.5; RFC 1122 §3.3.2 wants 60 to 120 s for IPv4. */
const REASSEMBLY_TIMEOUT = 60_000;

/** What one that waits for fragments holds of the memory, in bytes: a block of wasm/src/heap.h. */
const BUFFER_COST = 66 * 1024;

/** So that fragments, of which nothing may ever come, do not take the memory from what moves. */
const SHARE_OF_MEMORY = 1 / 8;

/** A path cuts a datagram into one run; many islands are an attack on our memory. */
const MAX_RANGES = 64;

/** The longest payload whose length the header of a whole datagram can hold. */
const LONGEST: Readonly<Record<Family, number>> = {
  4: 0xffff - ipHeaderLength(4),
  6: 0xffff - (ipFragmentHeaderLength(6) - ipHeaderLength(6)),
};

/** A datagram some of whose fragments have come. */
class Incomplete {
  readonly source: Address;
  readonly destination: Address;
  readonly protocol: number;
  readonly identification: number;
  readonly expires: number;
  readonly mac: Mac;
  readonly gatewayMac: Mac;
  readonly hopLimit: number;
  readonly trafficClass: number;
  /** Where the payload is collected, with room for the headers in front; 0: all is discarded. */
  buffer: number;
  /** Parts that have come, as pairs of start and end, in order and apart. */
  readonly ranges: number[] = [];
  /** Of the payload; -1 until the last fragment has come. */
  length = -1;

  constructor(frame: Frame, buffer: number, now: number) {
    this.source = frame.source;
    this.destination = frame.destination;
    this.protocol = frame.protocol;
    this.identification = frame.identification;
    this.mac = frame.sourceMac;
    this.gatewayMac = frame.destinationMac;
    this.hopLimit = frame.hopLimit;
    this.trafficClass = frame.trafficClass;
    this.expires = now + REASSEMBLY_TIMEOUT;
    this.buffer = buffer;
  }

  owns(frame: Frame): boolean {
    return (
      this.identification === frame.identification &&
      this.protocol === frame.protocol &&
      this.source.equals(frame.source) &&
      this.destination.equals(frame.destination)
    );
  }

  get family(): Family {
    return this.source.family;
  }

  /** Bytes from the start without a gap. */
  get contiguous(): number {
    return this.ranges[0] === 0 ? this.ranges[1] : 0;
  }

  get isComplete(): boolean {
    return this.length >= 0 && this.contiguous === this.length;
  }
}

/** A whole frame that stands in a buffer of the stack, to be given back by who gets it. */
export interface Reassembled {
  readonly buffer: number;
  /** Of the Ethernet header in the memory. */
  readonly offset: number;
  readonly length: number;
}

/**
 * Puts the guest's fragments together (RFC 791 §3.2, RFC 8200 §4.5). A datagram whose fragments
 * overlap is discarded with all that still comes of it (RFC 5722); exact duplicates are ignored.
 */
export class Reassembly {
  readonly #stack: Stack;
  readonly #drops: DropCounters;
  /** The one whose last fragment came first, first. */
  readonly #incomplete: Incomplete[] = [];
  readonly #most: number;
  #nextAt = NEVER;

  /**
   * @param limit datagrams that may wait for fragments
   * @param memoryBudget of the guest, in bytes
   */
  constructor(stack: Stack, drops: DropCounters, limit: number, memoryBudget: number) {
    this.#stack = stack;
    this.#drops = drops;
    const share = Math.floor((memoryBudget * SHARE_OF_MEMORY) / BUFFER_COST);
    this.#most = Math.min(limit, Math.max(1, share));
  }

  /** When expire() may have something to do; NEVER while nothing waits for fragments. */
  get nextAt(): number {
    return this.#nextAt;
  }

  /**
   * Takes the fragment in `frame`, which stands in the stack's current buffer.
   * @returns the datagram when it was the last that was missing
   */
  add(frame: Frame, now: number): Reassembled | null {
    const incomplete = this.#find(frame) ?? this.#begin(frame, now);
    if (incomplete === null) return null;
    if (incomplete.buffer === 0) {
      this.#drops.count(DropReason.IpFragmentOverlap);
      return null;
    }
    const placed = placeFragment(incomplete, frame);
    if (placed < 0) {
      this.#discard(incomplete, placed as DropReason);
      return null;
    }
    if (placed === Placed.New) this.#copy(incomplete, frame);
    return incomplete.isComplete ? this.#finish(incomplete) : null;
  }

  /**
   * Ends what has waited too long.
   * @param report is told of each whose first fragment has come: a frame with as much as there is
   */
  expire(now: number, report: (first: Reassembled, family: Family) => void): void {
    const expired = this.#incomplete.filter(({ expires }) => expires <= now);
    for (const incomplete of expired) this.#expireOne(incomplete, report);
    this.#nextAt = Math.min(...this.#incomplete.map(({ expires }) => expires));
  }

  #expireOne(incomplete: Incomplete, report: (first: Reassembled, family: Family) => void): void {
    this.#remove(incomplete);
    if (incomplete.buffer === 0) return;
    this.#drops.count(DropReason.IpFragmentTimeout);
    const { contiguous, family } = incomplete;
    if (contiguous > 0) report(this.#frameOf(incomplete, contiguous, true), family);
    this.#stack.giveBuffer(incomplete.buffer);
  }

  /** That which owns the fragment, from now on the one used last. */
  #find(frame: Frame): Incomplete | null {
    const index = this.#incomplete.findLastIndex((other) => other.owns(frame));
    if (index < 0) return null;
    const found = this.#incomplete[index];
    if (index < this.#incomplete.length - 1) {
      this.#incomplete.splice(index, 1);
      this.#incomplete.push(found);
    }
    return found;
  }

  /** At the limit that which has been idle for longest goes. */
  #begin(frame: Frame, now: number): Incomplete | null {
    if (this.#incomplete.length >= this.#most) this.#endOldest();
    const buffer = this.#stack.takeBuffer();
    if (buffer === 0) {
      this.#drops.count(DropReason.LimitMemory);
      return null;
    }
    const incomplete = new Incomplete(frame, buffer, now);
    this.#incomplete.push(incomplete);
    this.#nextAt = Math.min(this.#nextAt, incomplete.expires);
    return incomplete;
  }

  #endOldest(): void {
    const [oldest] = this.#incomplete.splice(0, 1);
    this.#drops.count(DropReason.LimitFragments);
    if (oldest.buffer !== 0) this.#stack.giveBuffer(oldest.buffer);
  }

  /** The buffer of the first fragment that came is the datagram's: there it moves within. */
  #copy(incomplete: Incomplete, frame: Frame): void {
    const start = frame.transportOffset;
    const to = this.#payloadAt(incomplete) + frame.fragmentOffset;
    this.#stack.bytes.copyWithin(to, start, start + frame.transportLength);
  }

  #discard(incomplete: Incomplete, reason: DropReason): void {
    this.#drops.count(reason);
    this.#stack.giveBuffer(incomplete.buffer);
    incomplete.buffer = 0;
  }

  #finish(incomplete: Incomplete): Reassembled {
    this.#remove(incomplete);
    return this.#frameOf(incomplete, incomplete.length, false);
  }

  #remove(incomplete: Incomplete): void {
    this.#incomplete.splice(this.#incomplete.indexOf(incomplete), 1);
  }

  #payloadAt(incomplete: Incomplete): number {
    const headers = ETHERNET_HEADER_LENGTH + ipFragmentHeaderLength(incomplete.family);
    return incomplete.buffer + this.#stack.headroom + headers;
  }

  /** Headers in front of the first `length` bytes. @param isPart whether there should be more */
  #frameOf(incomplete: Incomplete, length: number, isPart: boolean): Reassembled {
    const { bytes, headroom } = this.#stack;
    const { buffer, family, mac, gatewayMac } = incomplete;
    const offset = buffer + headroom;
    // The virtio header was that of a fragment.
    bytes.fill(0, buffer, offset);
    const etherType = family === 4 ? EtherType.Ipv4 : EtherType.Ipv6;
    emitEthernet(bytes, offset, gatewayMac, mac, etherType);
    const part = {
      identification: incomplete.identification,
      fragmentOffset: 0,
      moreFragments: isPart,
    };
    const ip = offset + ETHERNET_HEADER_LENGTH;
    const headers = emitIpFragment(bytes, ip, incomplete, length, part);
    return { buffer, offset, length: ETHERNET_HEADER_LENGTH + headers + length };
  }
}

/** What became of a fragment that is no reason to discard the datagram. */
const Placed = { New: 0, Duplicate: 1 } as const;
type Placed = (typeof Placed)[keyof typeof Placed];

/** Notes the fragment's range. @returns what it is, or why the datagram must be discarded */
function placeFragment(incomplete: Incomplete, frame: Frame): Placed | DropReason {
  const { fragmentOffset: start, transportLength, moreFragments } = frame;
  const { ranges } = incomplete;
  const end = start + transportLength;
  if (end > LONGEST[incomplete.family]) return DropReason.IpBadFragment;
  if (!moreFragments) {
    if (incomplete.length >= 0 && incomplete.length !== end) return DropReason.IpFragmentOverlap;
    incomplete.length = end;
  }
  const placed = insertRange(ranges, start, end);
  if (ranges.length > 2 * MAX_RANGES) return DropReason.LimitFragments;
  const isBeyond = incomplete.length >= 0 && ranges[ranges.length - 1] > incomplete.length;
  return isBeyond ? DropReason.IpFragmentOverlap : placed;
}

/** Adds a range to pairs of start and end in order, joining those that touch. */
function insertRange(
  ranges: number[],
  start: number,
  end: number,
): Placed | typeof DropReason.IpFragmentOverlap {
  let at = 0;
  while (at < ranges.length && ranges[at + 1] < start) at += 2;
  if (at < ranges.length && ranges[at] <= start && end <= ranges[at + 1]) return Placed.Duplicate;
  const follows = ranges[at + 1] === start;
  const next = follows ? at + 2 : at;
  if (next < ranges.length && ranges[next] < end) return DropReason.IpFragmentOverlap;
  const precedes = ranges[next] === end;
  const from = follows ? ranges[at] : start;
  const to = precedes ? ranges[next + 1] : end;
  ranges.splice(at, (follows ? 2 : 0) + (precedes ? 2 : 0), from, to);
  return Placed.New;
}
