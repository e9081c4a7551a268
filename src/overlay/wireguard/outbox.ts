import { monotonicMs } from "../../base/clock.js";
import { DropReason, type DropReasonOrOk } from "../../base/drop.js";
import type { PortLink } from "../../network/uplink.js";
import { MOST_SEGMENT_BYTES, MOST_SEGMENTS, type Splitter } from "../../stack/splitter.js";
import { Errno } from "../../sys/constants.js";
import { PIECE_SPACE } from "../../sys/sockets/message-table.js";
import { readU16 } from "../../wire/bytes.js";
import { ETHERNET_HEADER_LENGTH, EtherType } from "../../wire/ethernet.js";
import { IPV6_SOURCE } from "../../wire/ip.js";
import { Data } from "../../wire/tunnel/wireguard.js";
import type { Device } from "../../wireguard/device.js";
import { isAboutSegments, reasonOf } from "../send-errors.js";
import { mayBeTold } from "../too-big.js";
import type { TunnelCounts } from "../tunnel.js";
import { Sealer, type Sockets, sealedLength } from "./sealer.js";
import type { WireguardDestination } from "./wireguard-destination.js";

/** Bytes of an entry of the splitter's vector: headers, and payload. */
const SEGMENT_VECTOR = 2 * PIECE_SPACE;

/**
 * Seals and sends the frames of one port. The segments of a superframe are sealed by one call and leave by one send.
 * Single packets of one size to one peer are gathered, and leave likewise: flush().
 */
export class Outbox {
  readonly #link: PortLink;
  readonly #counts: TunnelCounts;
  readonly #device: Device;
  readonly #splitter: Splitter;
  readonly #sealer: Sealer;
  /** Where the packets go that are gathered; null: there are none. */
  #to: WireguardDestination | null = null;
  /** Bytes of each of them but the last, of the last, and how many there are. */
  #size = 0;
  #lastSize = 0;
  #count = 0;
  #trafficClass = 0;

  constructor(link: PortLink, counts: TunnelCounts, device: Device, sockets: Sockets) {
    const { stack, memory } = link;
    const { splitter } = stack;
    const { tableOffset } = splitter;
    this.#link = link;
    this.#counts = counts;
    this.#device = device;
    this.#splitter = splitter;
    const most = MOST_SEGMENTS;
    this.#sealer = new Sealer(stack.memory, memory, tableOffset, most, most, sockets);
  }

  /** Parameters and result as of Destination.send(). */
  send(to: WireguardDestination, offset: number, length: number): DropReasonOrOk {
    const { frameHeader } = this.#link;
    const splitter = this.#splitter;
    const ethernet = offset + frameHeader;
    const segments = splitter.split(ethernet, length - frameHeader, to.encapsulation);
    // The splitter returns no other negative numbers.
    if (segments < 0) return segments as DropReason;
    if (this.#isFromNobody(ethernet)) return 0;
    if (to.isNarrow && this.#isTooBig(to, segments, ethernet)) return DropReason.TunnelTooBig;
    const { counters } = this.#counts;
    counters[2] += 1;
    counters[3] += length - frameHeader;
    if (splitter.isSuperframe) return this.#sendSuperframe(to, segments);
    this.#gather(to);
    return 0;
  }

  /** Sends what was gathered. */
  flush(): void {
    const to = this.#to;
    if (to === null) return;
    this.#to = null;
    const count = this.#count;
    const errno = this.#sendGathered(to, count);
    if (errno === 0) return;
    for (let left = count; left > 0; left -= 1) this.#link.drops.count(reasonOf(errno));
  }

  /**
   * The unspecified address as a source is for duplicate address detection (RFC 4862 §5.4.2): the store gives addresses
   * once, and in a tunnel without Ethernet nobody would know who asks.
   */
  #isFromNobody(ethernet: number): boolean {
    const { bytes } = this.#link.stack;
    if (readU16(bytes, ethernet + 12) !== EtherType.Ipv6) return false;
    const source = ethernet + ETHERNET_HEADER_LENGTH + IPV6_SOURCE;
    for (let at = source; at < source + 16; at += 1) if (bytes[at] !== 0) return false;
    return true;
  }

  #isTooBig(to: WireguardDestination, segments: number, ethernet: number): boolean {
    const { size, lastSize } = this.#splitter;
    return (segments > 1 ? size : lastSize) > to.mtu && mayBeTold(this.#link.stack.bytes, ethernet);
  }

  #sendSuperframe(to: WireguardDestination, segments: number): DropReasonOrOk {
    // The member's frames stay in order.
    this.flush();
    const splitter = this.#splitter;
    for (let left = segments; left > 0; left = splitter.next()) {
      const reason = this.#sendSegments(to, left);
      if (reason !== 0) return reason;
    }
    return 0;
  }

  /** Seals and sends a batch of the splitter. */
  #sendSegments(to: WireguardDestination, count: number): DropReasonOrOk {
    const now = monotonicMs();
    const session = this.#device.sessionFor(to.peer, now);
    if (session === null) return this.#enqueueSegments(to, count, now);
    const { size, lastSize, iovOffset, batchOffset, trafficClass } = this.#splitter;
    const { mtu } = to.encapsulation;
    const counter = session.reserve(count, now);
    let at = batchOffset;
    for (let index = 0; index < count; index += 1) {
      const length = index === count - 1 ? lastSize : size;
      const vector = iovOffset + index * SEGMENT_VECTOR;
      at = this.#sealer.add(index, session, counter + index, at, length, mtu, vector, 2);
    }
    if (!this.#sealer.seal(count)) return DropReason.TunnelUnreachable;
    const step = count > 1 ? sealedLength(size, mtu) : 0;
    const errno = this.#post(to, at - batchOffset, step, trafficClass);
    return errno === 0 ? 0 : reasonOf(errno);
  }

  /** There is no session: they wait for one. */
  #enqueueSegments(to: WireguardDestination, count: number, now: number): DropReasonOrOk {
    const { size, lastSize, iov, batchOffset } = this.#splitter;
    const { bytes } = this.#link.stack;
    for (let index = 0; index < count; index += 1) {
      const length = index === count - 1 ? lastSize : size;
      this.#assemble(batchOffset, iov.subarray(4 * index, 4 * index + 4));
      const { peer, encapsulation } = to;
      const { mtu } = encapsulation;
      const reason = this.#device.enqueue(peer, bytes, batchOffset, length, mtu, now);
      if (reason !== 0) this.#link.drops.count(reason);
    }
    return 0;
  }

  /** Puts the splitter's one packet behind those that wait, or sends these first. */
  #gather(to: WireguardDestination): void {
    const { iov, lastSize, trafficClass, batchOffset } = this.#splitter;
    const step = sealedLength(this.#size, to.encapsulation.mtu);
    const joins =
      this.#to === to &&
      this.#trafficClass === trafficClass &&
      lastSize <= this.#size &&
      // Only the last one may be shorter.
      this.#lastSize === this.#size &&
      this.#count < MOST_SEGMENTS &&
      (this.#count + 1) * step <= MOST_SEGMENT_BYTES;
    if (!joins) {
      this.flush();
      this.#to = to;
      this.#trafficClass = trafficClass;
      this.#size = lastSize;
      this.#count = 0;
    }
    const at = batchOffset + this.#count * sealedLength(this.#size, to.encapsulation.mtu);
    this.#assemble(at + Data.Packet, iov);
    this.#lastSize = lastSize;
    this.#count += 1;
  }

  /** Copies the two pieces of a packet to one place. */
  #assemble(at: number, pieces: Uint32Array): void {
    const { bytes } = this.#link.stack;
    const [headers, headersLength, payload, payloadLength] = pieces;
    bytes.copyWithin(at, headers, headers + headersLength);
    bytes.copyWithin(at + headersLength, payload, payload + payloadLength);
  }

  /** @returns 0 or a positive errno */
  #sendGathered(to: WireguardDestination, count: number): number {
    const now = monotonicMs();
    const { batchOffset } = this.#splitter;
    const { mtu } = to.encapsulation;
    const session = this.#device.sessionFor(to.peer, now);
    const step = sealedLength(this.#size, mtu);
    if (session === null) {
      this.#enqueueGathered(to, count, step, now);
      return 0;
    }
    const counter = session.reserve(count, now);
    let end = batchOffset;
    for (let index = 0; index < count; index += 1) {
      const at = batchOffset + index * step;
      const length = index === count - 1 ? this.#lastSize : this.#size;
      end = this.#sealer.addInPlace(index, session, counter + index, at, length, mtu);
    }
    if (!this.#sealer.seal(count)) return Errno.EIO;
    return this.#post(to, end - batchOffset, count > 1 ? step : 0, this.#trafficClass);
  }

  #enqueueGathered(to: WireguardDestination, count: number, step: number, now: number): void {
    const { bytes } = this.#link.stack;
    const { peer, encapsulation } = to;
    for (let index = 0; index < count; index += 1) {
      const at = this.#splitter.batchOffset + index * step + Data.Packet;
      const length = index === count - 1 ? this.#lastSize : this.#size;
      const reason = this.#device.enqueue(peer, bytes, at, length, encapsulation.mtu, now);
      if (reason !== 0) this.#link.drops.count(reason);
    }
  }

  /**
   * Sends sealed messages. Where the kernel does not take them together, as the path is narrower than the network's MTU, they
   * leave one by one, and later packets are TunnelTooBig.
   * @returns 0 or a positive errno
   */
  #post(to: WireguardDestination, length: number, step: number, trafficClass: number): number {
    const { peer } = to;
    const { batchOffset } = this.#splitter;
    const errno = this.#sealer.post(peer, batchOffset, length, step, trafficClass);
    if (errno === 0 || step === 0 || !isAboutSegments(errno)) return errno;
    to.learnMtu();
    for (let at = 0; at < length; at += step) {
      const one = Math.min(step, length - at);
      const single = this.#sealer.post(peer, batchOffset + at, one, 0, trafficClass);
      if (single !== 0) return single;
    }
    return 0;
  }
}
