import type { Address, Family } from "../base/address.js";
import { NEVER } from "../base/clock.js";
import { type DropCounters, DropReason } from "../base/drop.js";
import type { Mac } from "../base/mac.js";
import type { Stack } from "../stack/stack.js";
import { ETHERNET_HEADER_LENGTH, emitEthernet, etherTypeOf } from "../wire/ethernet.js";
import type { Frame } from "../wire/frame.js";
import { emitIpFragment, ipFragmentHeaderLength, ipHeaderLength } from "../wire/ip.js";

/** In ms (RFC 8200 §4.5); RFC 1122 §3.3.2 wants 60 to 120 s for IPv4. */
const REASSEMBLY_TIMEOUT = 60_000;

/** Memory that an incomplete datagram holds, in bytes: a block of wasm/src/heap.h. */
const BUFFER_COST = 66 * 1024;

/** At most this part of the memory holds incomplete datagrams, so that they take none from live flows. */
const SHARE_OF_MEMORY = 1 / 8;

/** Most disjoint ranges of a datagram: fragments come roughly in order, and many gaps are an attack. */
const MAX_RANGES = 64;

/** The longest payload, in bytes, that fits the length field of a whole datagram. */
const LONGEST: Readonly<Record<Family, number>> = {
  4: 0xffff - ipHeaderLength(4),
  6: 0xffff - (ipFragmentHeaderLength(6) - ipHeaderLength(6)),
};

/** A datagram of which some fragments are missing. */
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
  /** Where the payload is collected, behind room for the headers; 0: the datagram is discarded. */
  buffer: number;
  /** Received ranges of the payload: pairs of start and end, ascending and disjoint. */
  readonly ranges: number[] = [];
  /** Length of the payload in bytes; -1 until the last fragment has come. */
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

  /** Bytes from the start up to the first gap. */
  get contiguous(): number {
    return this.ranges[0] === 0 ? this.ranges[1] : 0;
  }

  get isComplete(): boolean {
    return this.length >= 0 && this.contiguous === this.length;
  }
}

/** A whole frame in a buffer of the stack; the receiver gives the buffer back. */
export interface Reassembled {
  readonly buffer: number;
  /** Where the Ethernet header is in the memory. */
  readonly offset: number;
  readonly length: number;
}

/**
 * Reassembles the guest's fragments (RFC 791 §3.2, RFC 8200 §4.5). When fragments overlap, the datagram is
 * discarded with all its later fragments (RFC 5722); exact duplicates are ignored.
 */
export class Reassembly {
  readonly #stack: Stack;
  readonly #drops: DropCounters;
  /** Least recently used first. */
  readonly #incomplete: Incomplete[] = [];
  readonly #most: number;
  #nextAt = NEVER;

  /**
   * @param limit most incomplete datagrams
   * @param memoryBudget the guest's, in bytes
   */
  constructor(stack: Stack, drops: DropCounters, limit: number, memoryBudget: number) {
    this.#stack = stack;
    this.#drops = drops;
    const share = Math.floor((memoryBudget * SHARE_OF_MEMORY) / BUFFER_COST);
    this.#most = Math.min(limit, Math.max(1, share));
  }

  /** When expire() may have something to do, in ms; NEVER while no datagram is incomplete. */
  get nextAt(): number {
    return this.#nextAt;
  }

  /**
   * Adds the fragment in `frame`, which is in the stack's current buffer.
   * @returns the whole datagram when this was the last missing fragment, otherwise null
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
   * Discards datagrams that have been incomplete for too long.
   * @param report called for each whose first fragment has come, with a frame of what has come; the buffer
   * is given back afterwards
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

  /** The datagram that the fragment belongs to, now the most recently used; null when it is a new one. */
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

  /** Begins a datagram; at the limit the least recently used is discarded. */
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

  /** Copies the payload to its place. The datagram's buffer is that of its first fragment, so areas may overlap. */
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

  /**
   * Writes headers in front of the first `length` bytes.
   * @param isPart whether the headers say that more fragments follow
   */
  #frameOf(incomplete: Incomplete, length: number, isPart: boolean): Reassembled {
    const { bytes, headroom } = this.#stack;
    const { buffer, family, mac, gatewayMac } = incomplete;
    const offset = buffer + headroom;
    // The buffer has the virtio header of a fragment.
    bytes.fill(0, buffer, offset);
    emitEthernet(bytes, offset, gatewayMac, mac, etherTypeOf(family));
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

/** Result of placing a fragment that does not discard the datagram. */
const Placed = { New: 0, Duplicate: 1 } as const;
type Placed = (typeof Placed)[keyof typeof Placed];

/** Adds the fragment's range. @returns whether it is new, or why the datagram must be discarded */
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

/** Adds a range to ascending pairs of start and end, and joins those that touch. */
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
