import { DropReason, type DropReasonOrOk } from "../../base/drop.js";
import type { PortLink } from "../../network/uplink.js";
import {
  MOST_SEGMENT_BYTES,
  MOST_SEGMENTS,
  SEGMENT_PIECES,
  type Splitter,
} from "../../stack/splitter.js";
import {
  CLASS_SPACE,
  emitSegmentSize,
  emitTrafficClass,
  SEGMENT_SPACE,
} from "../../sys/sockets/control-data.js";
import { MessageTable, PIECE_SPACE } from "../../sys/sockets/message-table.js";
import { ETHERNET_HEADER_LENGTH } from "../../wire/ethernet.js";
import { VXLAN_HEADER_LENGTH } from "../../wire/tunnel/vxlan.js";
import { isAboutSegments, reasonOf } from "../send-errors.js";
import { mayBeTold } from "../too-big.js";
import type { TunnelCounts } from "../tunnel.js";
import type { VxlanDestination } from "./vxlan-destination.js";

const LAYOUT = { messages: 1, pieces: 1, control: SEGMENT_SPACE + CLASS_SPACE } as const;

/** Bytes of a datagram around an inner IP packet. */
const AROUND = VXLAN_HEADER_LENGTH + ETHERNET_HEADER_LENGTH;

/**
 * Sends the frames of one port. The segments of a superframe leave at once, up to 64 by one send. Single datagrams of
 * one size to one VTEP are gathered and leave together: flush().
 */
export class Outbox {
  readonly #link: PortLink;
  readonly #counts: TunnelCounts;
  readonly #splitter: Splitter;
  readonly #table: MessageTable;
  /** Where the datagrams go that are gathered; null: there are none. */
  #to: VxlanDestination | null = null;
  /** Bytes of each of them but the last, of all together, and how many there are. */
  #size = 0;
  #bytes = 0;
  #count = 0;
  #trafficClass = 0;

  constructor(link: PortLink, counts: TunnelCounts) {
    const { stack, memory } = link;
    this.#link = link;
    this.#counts = counts;
    this.#splitter = stack.splitter;
    this.#table = new MessageTable(stack.memory, memory, this.#splitter.tableOffset, LAYOUT);
  }

  /** Parameters and result as of Destination.send(). */
  send(to: VxlanDestination, offset: number, length: number): DropReasonOrOk {
    const { frameHeader } = this.#link;
    const splitter = this.#splitter;
    const ethernet = offset + frameHeader;
    const segments = splitter.split(ethernet, length - frameHeader, to.encapsulation);
    // The splitter returns no other negative numbers.
    if (segments < 0) return segments as DropReason;
    if (to.isNarrow && this.#isTooBig(to, segments, ethernet)) return DropReason.TunnelTooBig;
    const { counters } = this.#counts;
    counters[2] += 1;
    counters[3] += length - frameHeader;
    if (splitter.isSuperframe) return this.#sendSuperframe(to, segments, ethernet);
    this.#gather(to);
    return 0;
  }

  /** Sends what was gathered. */
  flush(): void {
    const to = this.#to;
    if (to === null) return;
    this.#to = null;
    const count = this.#count;
    const errno = this.#postGathered(to, 0, this.#bytes, count > 1 ? this.#size : 0);
    if (errno === 0) return;
    if (count > 1 && isAboutSegments(errno)) this.#sendGatheredSingly(to);
    else this.#drop(errno, count);
  }

  #sendSuperframe(to: VxlanDestination, segments: number, ethernet: number): DropReasonOrOk {
    // The member's frames stay in order.
    this.flush();
    const splitter = this.#splitter;
    for (let left = segments; left > 0; left = splitter.next()) {
      const errno = this.#postSegments(to, 0, left, left > 1 ? splitter.size : 0);
      const reason = errno === 0 ? 0 : this.#onRefused(to, left, ethernet, errno);
      if (reason !== 0) return reason;
    }
    return 0;
  }

  /** A send with UDP_SEGMENT failed. Above the MTU of the link or path it always does: EMSGSIZE or EINVAL (m). */
  #onRefused(
    to: VxlanDestination,
    segments: number,
    ethernet: number,
    errno: number,
  ): DropReasonOrOk {
    if (!isAboutSegments(errno)) return reasonOf(errno);
    to.learnMtu();
    if (to.isNarrow && this.#isTooBig(to, segments, ethernet)) return DropReason.TunnelTooBig;
    for (let segment = 0; segment < segments; segment += 1) {
      const single = this.#postSegments(to, segment, 1, 0);
      if (single !== 0) return reasonOf(single);
    }
    return 0;
  }

  /** Whether the frame's packets do not fit, and its sender may be told. */
  #isTooBig(to: VxlanDestination, segments: number, ethernet: number): boolean {
    const { size, lastSize } = this.#splitter;
    const longest = segments > 1 ? size : lastSize;
    return longest - AROUND > to.mtu && mayBeTold(this.#link.stack.bytes, ethernet);
  }

  /** Puts the splitter's one segment behind those that wait, or sends these first. */
  #gather(to: VxlanDestination): void {
    const { iov, lastSize, trafficClass, batchOffset } = this.#splitter;
    const { bytes } = this.#link.stack;
    const joins =
      this.#to === to &&
      this.#trafficClass === trafficClass &&
      lastSize <= this.#size &&
      // Only the last datagram may be shorter.
      this.#bytes === this.#count * this.#size &&
      this.#count < MOST_SEGMENTS &&
      this.#bytes + lastSize <= MOST_SEGMENT_BYTES;
    if (!joins) {
      this.flush();
      this.#to = to;
      this.#trafficClass = trafficClass;
      this.#size = lastSize;
      this.#bytes = 0;
      this.#count = 0;
    }
    const target = batchOffset + this.#bytes;
    bytes.copyWithin(target, iov[0], iov[0] + iov[1]);
    bytes.copyWithin(target + iov[1], iov[2], iov[2] + iov[3]);
    this.#bytes += lastSize;
    this.#count += 1;
  }

  #sendGatheredSingly(to: VxlanDestination): void {
    for (let at = 0; at < this.#bytes; at += this.#size) {
      const errno = this.#postGathered(to, at, Math.min(this.#size, this.#bytes - at), 0);
      if (errno !== 0) this.#drop(errno, 1);
    }
  }

  #drop(errno: number, datagrams: number): void {
    for (let left = datagrams; left > 0; left -= 1) this.#link.drops.count(reasonOf(errno));
  }

  #postSegments(to: VxlanDestination, first: number, count: number, segmentSize: number): number {
    const { iovOffset, trafficClass } = this.#splitter;
    const vector = iovOffset + first * SEGMENT_PIECES * PIECE_SPACE;
    return this.#post(to, vector, count * SEGMENT_PIECES, segmentSize, trafficClass);
  }

  #postGathered(to: VxlanDestination, at: number, length: number, segmentSize: number): number {
    this.#table.setPiece(0, this.#splitter.batchOffset + at, length);
    return this.#post(to, this.#table.pieceAt(0), 1, segmentSize, this.#trafficClass);
  }

  /**
   * Sends one message.
   * @param vector offset of its `pieces` pairs of offset and length
   * @param segmentSize bytes of each datagram but the last; 0: it is one
   * @returns 0 or a positive errno
   */
  #post(
    to: VxlanDestination,
    vector: number,
    pieces: number,
    segmentSize: number,
    trafficClass: number,
  ): number {
    const table = this.#table;
    const { bytes } = this.#link.stack;
    const control = table.controlAt(0);
    let length = 0;
    if (segmentSize > 0) length = emitSegmentSize(bytes, control, segmentSize);
    if (trafficClass !== 0)
      length += emitTrafficClass(bytes, control + length, to.address.family, trafficClass);
    table.describeVector(0, to.writeName(bytes, table.nameAt(0)), vector, pieces);
    table.setControlLength(0, length);
    const sent = table.send(to.fd, 0, 1);
    return sent > 0 ? 0 : -sent;
  }
}
