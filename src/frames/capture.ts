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
  parseVnet,
  VNET_HEADER_LENGTH,
  VnetFlags,
  VnetGso,
  type VnetHeader,
} from "../wire/vnet.js";

/** A capture file, with what stands before the first packet. */
export interface CaptureFile {
  /** A handle of the addon, the capture's from now on. */
  readonly fd: number;
  readonly path: string;
  /** Bytes written so far. */
  readonly length: number;
}

export interface CaptureOptions {
  readonly stack: Stack;
  /** Number of the registered memory of the stack. */
  readonly memory: number;
  /** Whether each frame is preceded by a virtio header; it is not captured. */
  readonly offload: boolean;
  readonly drops: DropCounters;
}

/** Pieces of one frame, with a header before and a trailer behind them. */
const MAX_PIECES = 128;
const VECTOR_SPACE = PIECE_SPACE * (MAX_PIECES + 3);
/** PACKET_HEADER_LENGTH, rounded up. */
const HEADER_SPACE = 32;
/** Room for the headers of a frame: Ethernet, IPv6 with a fragment header, TCP with all options. */
const HEAD_SPACE = 128;

const UDP_CHECKSUM = 6;

const NONE: readonly Uint8Array[] = [];

const SUPERFRAME: Readonly<Record<number, readonly [kind: string, unit: string]>> = {
  [VnetGso.TcpV4]: ["TSOv4", "segments"],
  [VnetGso.TcpV6]: ["TSOv6", "segments"],
  [VnetGso.UdpL4]: ["USO", "datagrams"],
};

/**
 * Writes a guest's frames to a file, both ways, as pcapng: those to the guest straight from where
 * they lie, but for their headers, those of the guest from a copy, as it is known only afterwards
 * whether they were dropped, and lwIP alters them. Checksums that were left to the other side are
 * completed in the copy, as readers take them for wrong otherwise.
 *
 * A file that cannot be written any more ends the capture, with one warning, and nothing else.
 */
export class Capture {
  readonly #file: CaptureFile;
  readonly #options: CaptureOptions;
  readonly #view: DataView;
  readonly #words: Uint32Array;
  /** The I/O vector, behind it a packet block's header and trailer. */
  readonly #vector: number;
  readonly #header: number;
  readonly #trailer: number;
  /** Where the headers of a frame to the guest are copied to. */
  readonly #head: number;
  /** Where the frame of the guest is kept until settle(). */
  readonly #copy: number;
  readonly #vnet: VnetHeader = {
    vnetFlags: 0,
    gsoType: VnetGso.None,
    headersLength: 0,
    gsoSize: 0,
    checksumStart: 0,
    checksumOffset: 0,
  };
  readonly #comments = new Map<string, Uint8Array>();
  #isOpen = true;
  /** Bytes of whole blocks in the file. */
  #written: number;
  /** Of the frame that is kept; 0: there is none. */
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

  /** Keeps what was read from the TAP at (offset, length), virtio header included, until settle(). */
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

  /** Writes the frame that is kept, with the reason if it was dropped meanwhile. */
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
   * Writes a frame that went to the TAP: `count` pieces, pairs of u32 (offset, length), at `pieces`.
   * @param result of the TAP: a negative errno says that it was not taken
   * @param isKept whether what was not taken is sent again later
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

  /** The file as it is to be written on by another, of a stack that was made anew. */
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

  /** The headers at the start of a frame's first piece become piece 1, the rest piece 2. */
  #setHead(offset: number, length: number): void {
    const { bytes } = this.#options.stack;
    const copied = Math.min(length, HEAD_SPACE);
    bytes.copyWithin(this.#head, offset, offset + copied);
    this.#setPiece(1, this.#head, copied);
    this.#setPiece(2, offset + copied, length - copied);
  }

  /** Completes the checksum in piece 1 that the virtio header asks for; the field is part of the sum. */
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
    // RFC 768: zero says that there is none.
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

  /** Few are different. */
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

  /** Writes a block around the frame in pieces 1..`pieces`. */
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

  /** A part of a block is taken back, so that what is there can be read. */
  #end(written: number): void {
    // #syscalls node: ftruncate
    const { fd, path } = this.#file;
    // A short write does not say why; the next one does.
    const errno = written < 0 ? written : native.writeBytes(fd, Uint8Array.of(0));
    this.#isOpen = false;
    try {
      ftruncateSync(fd, this.#written);
    } catch {
      // A pipe, or forbidden: the last block is cut short then.
    }
    native.close(fd);
    const why = errno < 0 ? getSystemErrorName(errno) : "a short write";
    log.warn(`the capture in ${path} ends here, its file takes no more (${why}); traffic goes on`);
  }
}

/** µs since 1970, never going back. */
function now(): number {
  return Math.floor((performance.timeOrigin + performance.now()) * 1000);
}
