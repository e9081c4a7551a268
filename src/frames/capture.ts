import { ftruncateSync } from "node:fs";
import { getSystemErrorName } from "node:util";
import { type DropCounters, DropReason, dropReasonName } from "../base/drop.js";
import { log } from "../base/log.js";
import type { Stack } from "../stack/stack.js";
import { native } from "../sys/native.js";
import { PIECE_SPACE } from "../sys/sockets/message-table.js";
import { writeU16 } from "../wire/bytes.js";
import { addToSum, complement } from "../wire/checksum.js";
import {
  emitPacketHeader,
  emitPacketTrailer,
  PACKET_HEADER_LENGTH,
  PacketFlag,
  packetTrailerLength,
} from "../wire/pcapng.js";
import {
  createVnetHeader,
  parseVnet,
  VNET_HEADER_LENGTH,
  VnetFlags,
  VnetGso,
} from "../wire/vnet.js";

/** A capture file whose pcapng headers have been written. */
export interface CaptureFile {
  /** A handle of the addon; the capture closes it. */
  readonly fd: number;
  readonly path: string;
  /** Bytes written so far. */
  readonly length: number;
}

export interface CaptureOptions {
  readonly stack: Stack;
  /** Number of the stack's registered memory. */
  readonly memory: number;
  /** Whether a virtio header precedes each frame; it is not captured. */
  readonly offload: boolean;
  readonly drops: DropCounters;
}

/** Most pieces of a captured frame; the block adds a header and a trailer, and a split head one more. */
const MAX_PIECES = 128;
const VECTOR_SPACE = PIECE_SPACE * (MAX_PIECES + 3);
/** PACKET_HEADER_LENGTH, rounded up. */
const HEADER_SPACE = 32;
/** Room for the headers of a frame, in bytes: Ethernet, IPv6 with a fragment header, TCP with all options. */
const HEAD_SPACE = 128;

const UDP_CHECKSUM = 6;

const NONE: readonly Uint8Array[] = [];

const SUPERFRAME: Readonly<Record<number, readonly [kind: string, unit: string]>> = {
  [VnetGso.TcpV4]: ["TSOv4", "segments"],
  [VnetGso.TcpV6]: ["TSOv6", "segments"],
  [VnetGso.UdpL4]: ["USO", "datagrams"],
};

/**
 * Writes a guest's frames, both ways, to a pcapng file. Payload to the guest is written from where it lies;
 * its headers are copied. Frames from the guest are copied whole, as lwIP alters them and only later is it
 * known whether they were dropped. Checksums left to offload are completed in the copy, as readers would
 * otherwise report them as wrong.
 *
 * When the file cannot be written any more, the capture ends with one warning, and traffic goes on.
 */
export class Capture {
  readonly #file: CaptureFile;
  readonly #options: CaptureOptions;
  readonly #view: DataView;
  readonly #words: Uint32Array;
  /** Where the I/O vector is; behind it the block's header, the copied headers and the trailer. */
  readonly #vector: number;
  readonly #header: number;
  readonly #trailer: number;
  /** Where the headers of a frame to the guest are copied. */
  readonly #head: number;
  /** Where a frame from the guest is kept until settle(). */
  readonly #copy: number;
  readonly #vnet = createVnetHeader();
  readonly #comments = new Map<string, Uint8Array>();
  #isOpen = true;
  /** Bytes of whole blocks in the file. */
  #written: number;
  /** Length of the kept frame in bytes; 0 when there is none. */
  #keptLength = 0;
  #keptTime = 0;
  #keptFlags = 0;
  #keptComments = NONE;

  constructor(file: CaptureFile, options: CaptureOptions) {
    const { stack } = options;
    this.#file = file;
    this.#options = options;
    this.#written = file.length;
    this.#view = new DataView(stack.memory);
    this.#words = new Uint32Array(stack.memory);
    this.#vector = stack.takeBuffer();
    this.#header = this.#vector + VECTOR_SPACE;
    this.#head = this.#header + HEADER_SPACE;
    this.#trailer = this.#head + HEAD_SPACE;
    this.#copy = stack.takeBuffer();
  }

  /** Keeps a copy of the frame that was read to (offset, length), virtio header included, until settle(). */
  received(offset: number, length: number): void {
    const { stack, drops, offload } = this.#options;
    const header = offload ? VNET_HEADER_LENGTH : 0;
    if (!this.#isOpen || length <= header) return;
    stack.bytes.copyWithin(this.#copy, offset + header, offset + length);
    this.#readOffload(offset);
    this.#setPiece(1, this.#copy, length - header);
    this.#completeChecksum(1);
    this.#keptLength = length - header;
    this.#keptTime = now();
    this.#keptFlags = PacketFlag.Inbound | this.#segmentation();
    this.#keptComments = this.#superframe();
    drops.last = 0;
  }

  /** Writes the kept frame, with the drop reason if it was dropped meanwhile. */
  settle(): void {
    const length = this.#keptLength;
    if (length === 0) return;
    this.#keptLength = 0;
    const { last } = this.#options.drops;
    const comments =
      last === 0
        ? this.#keptComments
        : [...this.#keptComments, this.#comment(`dropped: ${dropReasonName(last)}`)];
    this.#setPiece(1, this.#copy, length);
    this.#write(1, length, this.#keptTime, this.#keptFlags, comments);
  }

  /**
   * Writes a frame that was written to the TAP.
   * @param pieces offset of `count` pairs of u32 (offset, length)
   * @param result of that write, or a negative errno: the TAP did not take the frame
   * @param isKept whether a frame that was not taken is sent again later
   */
  sent(pieces: number, count: number, result: number, isKept: boolean): void {
    this.settle();
    if (!this.#isOpen || count > MAX_PIECES) return;
    const header = this.#options.offload ? VNET_HEADER_LENGTH : 0;
    const from = pieces / Uint32Array.BYTES_PER_ELEMENT;
    const first = this.#words[from] + header;
    let length = this.#words[from + 1] - header;
    this.#setHead(first, length);
    for (let index = 1; index < count; index += 1) {
      const size = this.#words[from + 2 * index + 1];
      this.#setPiece(index + 2, this.#words[from + 2 * index], size);
      length += size;
    }
    this.#readOffload(first - header);
    this.#completeChecksum(count + 1);
    const comments = this.#superframe();
    const said = result >= 0 ? comments : [...comments, this.#lossOf(isKept)];
    this.#write(count + 1, length, now(), PacketFlag.Outbound | this.#segmentation(), said);
  }

  /** The file for the capture of a new stack to continue; null when the capture has ended. */
  rest(): CaptureFile | null {
    return this.#isOpen ? { ...this.#file, length: this.#written } : null;
  }

  close(): void {
    this.settle();
    if (this.#isOpen) native.close(this.#file.fd);
    this.#isOpen = false;
  }

  #lossOf(isKept: boolean): Uint8Array {
    if (isKept) return this.#comment("not taken by the TAP: sent again later");
    return this.#comment(`dropped: ${dropReasonName(DropReason.TapQueueFull)}`);
  }

  #readOffload(offset: number): void {
    if (this.#options.offload) parseVnet(this.#options.stack.bytes, offset, this.#vnet);
  }

  /** Copies the headers in a frame's first piece, as piece 1; the rest of that piece becomes piece 2. */
  #setHead(offset: number, length: number): void {
    const { bytes } = this.#options.stack;
    const copied = Math.min(length, HEAD_SPACE);
    bytes.copyWithin(this.#head, offset, offset + copied);
    this.#setPiece(1, this.#head, copied);
    this.#setPiece(2, offset + copied, length - copied);
  }

  /** Completes the checksum that the virtio header leaves open, in piece 1; its field holds a partial sum. */
  #completeChecksum(pieces: number): void {
    const { bytes } = this.#options.stack;
    const { vnetFlags, checksumStart, checksumOffset } = this.#vnet;
    if ((vnetFlags & VnetFlags.NeedsChecksum) === 0) return;
    const [head, headLength] = this.#pieceAt(1);
    const field = checksumStart + checksumOffset;
    if (field + 2 > headLength) return;
    let sum = addToSum(0, bytes, head + checksumStart, headLength - checksumStart);
    let summed = headLength - checksumStart;
    for (let index = 2; index <= pieces; index += 1) {
      const [offset, length] = this.#pieceAt(index);
      sum = addToSum(sum, bytes, offset, length, (summed & 1) as 0 | 1);
      summed += length;
    }
    const checksum = complement(sum);
    // RFC 768: zero means no checksum.
    const isNone = checksum === 0 && checksumOffset === UDP_CHECKSUM;
    writeU16(bytes, head + field, isNone ? 0xffff : checksum);
  }

  #segmentation(): number {
    const { gsoType } = this.#vnet;
    const isTcp = gsoType === VnetGso.TcpV4 || gsoType === VnetGso.TcpV6;
    return isTcp ? PacketFlag.SegmentationOffloaded : 0;
  }

  #superframe(): readonly Uint8Array[] {
    const { gsoType, gsoSize } = this.#vnet;
    const known = SUPERFRAME[gsoType];
    if (known === undefined) return NONE;
    const [kind, unit] = known;
    return [this.#comment(`superframe: ${kind}, ${gsoSize}-byte ${unit}`)];
  }

  /** Comments are cached, as there are only a few. */
  #comment(text: string): Uint8Array {
    let bytes = this.#comments.get(text);
    if (bytes === undefined) {
      bytes = Buffer.from(text);
      if (this.#comments.size < MAX_PIECES) this.#comments.set(text, bytes);
    }
    return bytes;
  }

  #setPiece(index: number, offset: number, length: number): void {
    const at = (this.#vector + PIECE_SPACE * index) / Uint32Array.BYTES_PER_ELEMENT;
    this.#words[at] = offset;
    this.#words[at + 1] = length;
  }

  #pieceAt(index: number): [offset: number, length: number] {
    const at = (this.#vector + PIECE_SPACE * index) / Uint32Array.BYTES_PER_ELEMENT;
    return [this.#words[at], this.#words[at + 1]];
  }

  /** Writes the frame in pieces 1..`pieces` as a packet block. */
  #write(
    pieces: number,
    length: number,
    time: number,
    flags: number,
    comments: readonly Uint8Array[],
  ): void {
    if (!this.#isOpen) return;
    const trailer = packetTrailerLength(length, comments);
    emitPacketHeader(this.#view, this.#header, time, length, trailer);
    emitPacketTrailer(this.#view, this.#trailer, length, flags, comments);
    this.#setPiece(0, this.#header, PACKET_HEADER_LENGTH);
    this.#setPiece(pieces + 1, this.#trailer, trailer);
    const { fd } = this.#file;
    const written = native.writev(fd, this.#options.memory, this.#vector, pieces + 2);
    if (written === PACKET_HEADER_LENGTH + length + trailer) this.#written += written;
    else this.#end(written);
  }

  /** Ends the capture after a failed write; cuts an incomplete block off, so that the file can be read. */
  #end(written: number): void {
    // #syscalls node: ftruncate
    const { fd, path } = this.#file;
    // A short write has no errno; the next write has.
    const errno = written < 0 ? written : native.writeBytes(fd, Uint8Array.of(0));
    this.#isOpen = false;
    try {
      ftruncateSync(fd, this.#written);
    } catch {
      // A pipe, or not permitted: the last block stays incomplete.
    }
    native.close(fd);
    const why = errno < 0 ? getSystemErrorName(errno) : "a short write";
    log.warn(`capture to ${path} ended: it cannot be written (${why}); traffic goes on`);
  }
}

/** µs since 1970; never goes back. */
function now(): number {
  return Math.floor((performance.timeOrigin + performance.now()) * 1000);
}
