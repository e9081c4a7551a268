import type { Address } from "../base/address.js";
import { type DropCounters, DropReason } from "../base/drop.js";
import type { Mac } from "../base/mac.js";
import type { Stack } from "../stack/stack.js";
import { Errno } from "../sys/constants.js";
import { native } from "../sys/native.js";
import { PIECE_SPACE } from "../sys/sockets/message-table.js";
import { pseudoHeaderSum } from "../wire/checksum.js";
import { ETHERNET_HEADER_LENGTH, emitEthernet, etherTypeOf } from "../wire/ethernet.js";
import type { FragmentFields } from "../wire/fragment.js";
import { createAddressCaches, Frame, NO_PROTOCOL, parseFrame } from "../wire/frame.js";
import {
  emitIp,
  emitIpFragment,
  type IpFields,
  IpProtocol,
  ipFragmentHeaderLength,
  ipHeaderLength,
} from "../wire/ip.js";
import {
  emitUdp,
  UDP_CHECKSUM_OFFSET,
  UDP_HEADER_LENGTH,
  writeUdpChecksumApart,
} from "../wire/udp.js";
import {
  createVnetHeader,
  emitVnet,
  VNET_HEADER_LENGTH,
  VnetFlags,
  VnetGso,
  type VnetHeader,
} from "../wire/vnet.js";
import type { Capture } from "./capture.js";
import type { FrameStream } from "./frame-stream.js";

/** Most pieces of payload in one packet. */
export const MAX_PIECES = 64;

/** Room for the longest headers, in bytes: virtio, Ethernet, IPv6 with a fragment header, UDP. */
const HEADER_SPACE = 96;

/** Addresses and IP fields of a packet to the guest. Callers reuse one object for all packets. */
export interface Envelope extends IpFields {
  /** The guest's Ethernet address. */
  mac: Mac;
}

export interface GuestWriterOptions {
  readonly stack: Stack;
  /** Number of the stack's registered memory. */
  readonly memory: number;
  /** The TAP. */
  readonly fd: number;
  /** Takes the frames instead of the TAP; null: there is a TAP. */
  readonly stream: FrameStream | null;
  /** Whether a virtio header precedes each frame. */
  readonly offload: boolean;
  /** The TAP's MTU, in bytes of IP. */
  readonly mtu: number;
  /** The gateway's Ethernet address. */
  readonly mac: Mac;
  readonly drops: DropCounters;
  readonly capture: Capture | null;
}

/**
 * Writes packets to the guest's TAP: headers made here, payload from where it lies in the stack's memory.
 * A packet larger than the MTU is sent in fragments.
 */
export class GuestWriter {
  readonly #options: GuestWriterOptions;
  /** Where the I/O vector is: piece 0 is the headers, then the payload. */
  readonly #vector: number;
  readonly #pieces: Uint32Array;
  /** Headers are written to end here, whatever their length. */
  readonly #headersEnd: number;
  /** Where complete frames are copied. */
  readonly #finished: number;
  readonly #frame: Frame;
  readonly #caches = createAddressCaches();
  readonly #fragment: FragmentFields = {
    identification: Math.floor(Math.random() * 0x1_0000_0000),
    fragmentOffset: 0,
    moreFragments: false,
  };
  readonly #vnet: VnetHeader = {
    ...createVnetHeader(),
    vnetFlags: VnetFlags.NeedsChecksum,
    checksumOffset: UDP_CHECKSUM_OFFSET,
  };
  /** Whether the TAP takes UDP superframes: not without offload, nor before Linux 6.2. */
  #segments: boolean;

  constructor(options: GuestWriterOptions) {
    const { stack, offload } = options;
    this.#options = options;
    this.#segments = offload;
    this.#vector = stack.takeBuffer();
    this.#pieces = new Uint32Array(stack.memory, this.#vector, 2 * (1 + MAX_PIECES));
    this.#headersEnd = this.#vector + PIECE_SPACE * (1 + MAX_PIECES) + HEADER_SPACE;
    this.#finished = stack.takeBuffer() + stack.headroom;
    this.#frame = new Frame(stack.bytes);
  }

  /** Whether datagrams of `segmentSize` bytes may be written as one superframe. */
  takesSegments(source: Address, segmentSize: number): boolean {
    return this.#segments && this.#fits(source, UDP_HEADER_LENGTH + segmentSize);
  }

  /** Writes an Ethernet frame with complete checksums; one longer than the MTU goes in fragments. */
  writeFrame(frame: Uint8Array): void {
    const { stack, mtu } = this.#options;
    const at = this.#finished;
    stack.bytes.set(frame, at);
    if (frame.length - ETHERNET_HEADER_LENGTH > mtu) {
      this.#writeLongFrame(frame.length);
      return;
    }
    this.#setFrame(at, frame.length);
    this.#write(1);
  }

  /** Sets piece `index` of the payload, 0..MAX_PIECES - 1, for writeGathered(). */
  setPiece(index: number, offset: number, length: number): void {
    this.#pieces[2 * index + 2] = offset;
    this.#pieces[2 * index + 3] = length;
  }

  /**
   * Writes one datagram, or several.
   * @param payload offset of `length` bytes in the memory
   * @param segmentSize bytes of each datagram but the last; 0 for a single datagram
   */
  writeDatagram(
    envelope: Envelope,
    sourcePort: number,
    port: number,
    payload: number,
    length: number,
    segmentSize: number,
  ): void {
    if (segmentSize === 0 || segmentSize >= length) {
      this.#writeOne(envelope, sourcePort, port, payload, length);
      return;
    }
    this.setPiece(0, payload, length);
    if (this.writeGathered(envelope, sourcePort, port, 1, length, segmentSize)) return;
    for (let at = 0; at < length; at += segmentSize) {
      const part = Math.min(segmentSize, length - at);
      this.#writeOne(envelope, sourcePort, port, payload + at, part);
    }
  }

  /**
   * Writes the pieces set by setPiece() as datagrams of `segmentSize` bytes, in one superframe.
   * @param length bytes of all pieces
   * @returns false when the TAP takes no superframes: nothing was written
   */
  writeGathered(
    envelope: Envelope,
    sourcePort: number,
    port: number,
    pieces: number,
    length: number,
    segmentSize: number,
  ): boolean {
    if (!this.takesSegments(envelope.source, segmentSize)) return false;
    this.#setUdpHeaders(envelope, sourcePort, port, length);
    this.#offload(envelope.source, VnetGso.UdpL4, segmentSize);
    const written = this.#write(1 + pieces);
    if (written === -Errno.EINVAL) this.#segments = false;
    return written !== -Errno.EINVAL;
  }

  /** Writes an IP packet around the message at (offset, length), whose checksum is complete. */
  writeMessage(envelope: Envelope, offset: number, length: number): void {
    this.setPiece(0, offset, length);
    if (!this.#fits(envelope.source, length)) {
      this.#writeFragments(envelope, 0, offset, length);
      return;
    }
    this.#setIpHeaders(envelope, this.#headersEnd, length);
    this.#write(2);
  }

  #fits(source: Address, length: number): boolean {
    return ipHeaderLength(source.family) + length <= this.#options.mtu;
  }

  #writeOne(
    envelope: Envelope,
    sourcePort: number,
    port: number,
    payload: number,
    length: number,
  ): void {
    this.setPiece(0, payload, length);
    this.#setUdpHeaders(envelope, sourcePort, port, length);
    if (!this.#fits(envelope.source, UDP_HEADER_LENGTH + length)) {
      this.#completeChecksum(envelope, payload, length);
      this.#writeFragments(envelope, UDP_HEADER_LENGTH, payload, length);
      return;
    }
    if (this.#options.offload) this.#offload(envelope.source, VnetGso.None, 0);
    else this.#completeChecksum(envelope, payload, length);
    this.#write(2);
  }

  #completeChecksum(envelope: Envelope, payload: number, length: number): void {
    const { bytes } = this.#options.stack;
    const udp = this.#headersEnd - UDP_HEADER_LENGTH;
    const { source, destination } = envelope;
    bytes.fill(0, udp + UDP_CHECKSUM_OFFSET, udp + UDP_HEADER_LENGTH);
    writeUdpChecksumApart(bytes, udp, payload, length, source, destination);
  }

  /**
   * Writes a packet in fragments (RFC 791 §3.2, RFC 8200 §4.5).
   * @param headerLength bytes of the transport header, which stands in front of headersEnd
   */
  #writeFragments(envelope: Envelope, headerLength: number, payload: number, length: number): void {
    const { source } = envelope;
    const room = (this.#options.mtu - ipFragmentHeaderLength(source.family)) & ~7;
    const fragment = this.#fragment;
    fragment.identification = (fragment.identification + 1) >>> 0;
    let header = headerLength;
    let done = 0;
    while (done < length) {
      const part = Math.min(room - header, length - done);
      fragment.fragmentOffset = done === 0 ? 0 : headerLength + done;
      fragment.moreFragments = done + part < length;
      this.#setFragmentHeaders(envelope, header, part);
      this.setPiece(0, payload + done, part);
      this.#write(2);
      done += part;
      header = 0;
    }
  }

  /**
   * @param header bytes of the transport header in this fragment
   * @param part bytes of payload in it
   */
  #setFragmentHeaders(envelope: Envelope, header: number, part: number): void {
    const ip = this.#headersEnd - header - ipFragmentHeaderLength(envelope.source.family);
    emitIpFragment(this.#options.stack.bytes, ip, envelope, header + part, this.#fragment);
    this.#setEthernetHeader(envelope, ip);
  }

  /** Writes a frame above the MTU, such as the reply to an echo request that came in fragments. */
  #writeLongFrame(length: number): void {
    const frame = this.#frame;
    const reason = parseFrame(frame, this.#finished, length, this.#caches);
    if (reason !== 0 || frame.protocol === NO_PROTOCOL) {
      this.#options.drops.count(reason || DropReason.IpTruncated);
      return;
    }
    const { source, destination, protocol, hopLimit, trafficClass } = frame;
    const mac = frame.destinationMac;
    const envelope = { mac, source, destination, protocol, hopLimit, trafficClass };
    this.writeMessage(envelope, frame.transportOffset, frame.transportLength);
  }

  /** Makes piece 0 of the UDP header, with the pseudo-header's sum, and all headers in front of it. */
  #setUdpHeaders(
    envelope: Envelope,
    sourcePort: number,
    port: number,
    payloadLength: number,
  ): void {
    const length = UDP_HEADER_LENGTH + payloadLength;
    const udp = this.#headersEnd - UDP_HEADER_LENGTH;
    const { source, destination } = envelope;
    const sum = pseudoHeaderSum(source, destination, IpProtocol.Udp, length);
    emitUdp(this.#options.stack.bytes, udp, sourcePort, port, payloadLength, sum);
    this.#setIpHeaders(envelope, udp, length);
  }

  /** Writes the IP header that ends at `end`, and all headers in front of it. */
  #setIpHeaders(envelope: Envelope, end: number, payloadLength: number): void {
    const ip = end - ipHeaderLength(envelope.source.family);
    emitIp(this.#options.stack.bytes, ip, envelope, payloadLength);
    this.#setEthernetHeader(envelope, ip);
  }

  #setEthernetHeader(envelope: Envelope, ip: number): void {
    const frame = ip - ETHERNET_HEADER_LENGTH;
    const { stack, mac } = this.#options;
    emitEthernet(stack.bytes, frame, envelope.mac, mac, etherTypeOf(envelope.source.family));
    this.#setFrame(frame, this.#headersEnd - frame);
  }

  /** Makes piece 0 of the frame, with an empty virtio header in front. */
  #setFrame(frame: number, length: number): void {
    const { stack, offload } = this.#options;
    const header = offload ? VNET_HEADER_LENGTH : 0;
    stack.bytes.fill(0, frame - header, frame);
    this.#pieces[0] = frame - header;
    this.#pieces[1] = header + length;
  }

  /** Fills the virtio header: the kernel completes the UDP checksum and segments a superframe. */
  #offload(source: Address, gso: number, segmentSize: number): void {
    const vnet = this.#vnet;
    vnet.gsoType = gso;
    vnet.gsoSize = segmentSize;
    vnet.checksumStart = ETHERNET_HEADER_LENGTH + ipHeaderLength(source.family);
    vnet.headersLength = vnet.checksumStart + UDP_HEADER_LENGTH;
    emitVnet(this.#options.stack.bytes, this.#pieces[0], vnet);
  }

  #write(pieces: number): number {
    const { fd, memory, drops, capture, stream } = this.#options;
    const written =
      stream === null
        ? native.writev(fd, memory, this.#vector, pieces)
        : stream.send(this.#vector, pieces);
    capture?.sent(this.#vector, pieces, written, false);
    if (written < 0) drops.count(DropReason.TapQueueFull);
    return written;
  }
}
