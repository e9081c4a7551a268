import { isOutOfMemory } from "../admission/admission.js";
import type { Address } from "../base/address.js";
import type { Stack } from "../stack/stack.js";
import { Errno } from "../sys/constants.js";
import { emitSegmentSize, SEGMENT_SPACE } from "../sys/sockets/control-data.js";
import { MessageTable } from "../sys/sockets/message-table.js";
import { writeSockaddr } from "../sys/sockets/sockaddr.js";
import type { Frame } from "../wire/frame.js";
import type { HeaderFields, Mapping } from "./mapping.js";

/** Most frames that wait: a batch of the TAP. */
const CAPACITY = 64;

/** Most segments of one message: UDP_MAX_SEGMENTS before Linux 6.9. */
const MAX_SEGMENTS = 64;
/** Most bytes of one message, or superframe: what an IP packet takes beside its headers. */
export const MAX_GATHERED = 65_000;

/** Most bytes that wait, so that the buffers are still in the cache when they are sent. */
const MAX_QUEUED = 128 * 1024;

/** One more message and piece than the queue holds, for what is sent alone. */
const LAYOUT = { messages: CAPACITY + 1, pieces: CAPACITY + 1, control: SEGMENT_SPACE } as const;
const ALONE = CAPACITY;

/** Handles what could not be sent. */
export interface SendObserver {
  /** An error is pending, possibly of an earlier datagram: empties the error queue of the mapping's socket. */
  readErrors(mapping: Mapping): void;
  /** The datagram in the frame at (offset, length) of the stack's memory is lost. @param errno positive */
  onSendFailure(mapping: Mapping, offset: number, length: number, errno: number): void;
}

/** Where a datagram of the guest goes, and with which header fields; refilled for each. */
export interface Outgoing {
  to: Address;
  port: number;
  fields: HeaderFields;
  /** Bytes of each datagram that the payload is to be cut into; 0: it is one. */
  segmentSize: number;
}

/** A message of sendmmsg: one datagram, or several of one size that leave as one. */
class Message {
  mapping: Mapping | null = null;
  to: Address | null = null;
  port = 0;
  fields: HeaderFields = 0;
  nameLength = 0;
  /** Its pieces, one for each frame. */
  firstPiece = 0;
  pieces = 0;
  segmentSize = 0;
  segments = 0;
  length = 0;
  /** Whether it may grow: all its segments are full. */
  isOpen = false;
}

/**
 * Collects the datagrams of one batch of the TAP, in the buffers that they were read into, and sends them in
 * order with few system calls: neighbours of one size to one destination leave as one UDP_SEGMENT message,
 * neighbours of one socket by one sendmmsg.
 */
export class SendQueue {
  readonly #stack: Stack;
  readonly #observer: SendObserver;
  readonly #table: MessageTable;
  readonly #messages: readonly Message[] = Array.from({ length: CAPACITY }, () => new Message());
  /** Of each piece: the frame that it is of, for an ICMP error about it. */
  readonly #frameOffsets = new Uint32Array(CAPACITY);
  readonly #frameLengths = new Uint32Array(CAPACITY);
  readonly #buffers: number[] = [];
  #count = 0;
  #pieces = 0;
  #bytes = 0;

  /** @param memory number of the stack's registered memory */
  constructor(stack: Stack, memory: number, observer: SendObserver) {
    this.#stack = stack;
    this.#observer = observer;
    this.#table = new MessageTable(stack.memory, memory, stack.takeBuffer(), LAYOUT);
  }

  /**
   * Queues the payload of a frame, which lies in the stack's current buffer or in one that stays until flush().
   * @param outgoing is read here, and may be refilled afterwards
   */
  add(mapping: Mapping, frame: Frame, outgoing: Readonly<Outgoing>): void {
    if (this.#pieces === CAPACITY) this.flush();
    const { segmentSize } = outgoing;
    const length = mapping.protocol.length(frame);
    const size = segmentSize === 0 ? length : segmentSize;
    const segments = segmentSize === 0 ? 1 : Math.ceil(length / segmentSize);
    const last = this.#lastFor(mapping, outgoing, size, length);
    const message = last ?? this.#begin(mapping, outgoing, size);
    this.#addPiece(message, frame, mapping.protocol.payload(frame), length);
    message.segments += segments;
    message.length += length;
    message.isOpen =
      mapping.protocol.hasSegments && message.length === message.segments * message.segmentSize;
    this.#bytes += length;
    // What is sent at once needs no buffer of its own.
    const buffer = this.#bytes < MAX_QUEUED ? this.#stack.takeBuffer() : 0;
    if (buffer === 0) this.flush();
    else this.#buffers.push(buffer);
  }

  /** Sends what waits, and gives the buffers back. */
  flush(): void {
    if (this.#count === 0) return;
    for (let start = 0; start < this.#count; ) {
      const end = this.#endOfRun(start);
      this.#sendRun(start, end);
      start = end;
    }
    for (const buffer of this.#buffers) this.#stack.giveBuffer(buffer);
    this.#buffers.length = 0;
    this.#count = 0;
    this.#pieces = 0;
    this.#bytes = 0;
  }

  /** The last message, if the datagram may join it. */
  #lastFor(
    mapping: Mapping,
    { to, port, fields }: Readonly<Outgoing>,
    size: number,
    length: number,
  ): Message | null {
    if (this.#count === 0) return null;
    const message = this.#messages[this.#count - 1];
    const joins =
      message.isOpen &&
      message.mapping === mapping &&
      message.port === port &&
      message.fields === fields &&
      size <= message.segmentSize &&
      // Only the last segment may be shorter, and a superframe must have segments of the same size.
      (size === message.segmentSize || size === length) &&
      length > 0 &&
      message.segments + Math.ceil(length / size) <= MAX_SEGMENTS &&
      message.length + length <= MAX_GATHERED &&
      message.to?.equals(to) === true;
    return joins ? message : null;
  }

  #begin(mapping: Mapping, { to, port, fields }: Readonly<Outgoing>, segmentSize: number): Message {
    const message = this.#messages[this.#count];
    message.mapping = mapping;
    message.to = to;
    message.port = port;
    message.fields = fields;
    message.segmentSize = segmentSize;
    message.firstPiece = this.#pieces;
    message.pieces = 0;
    message.segments = 0;
    message.length = 0;
    const name = this.#table.nameAt(this.#count);
    message.nameLength = writeSockaddr(this.#stack.bytes, name, to, port);
    this.#count += 1;
    return message;
  }

  #addPiece(message: Message, frame: Frame, payload: number, length: number): void {
    const piece = this.#pieces;
    this.#table.setPiece(piece, payload, length);
    this.#frameOffsets[piece] = frame.offset;
    this.#frameLengths[piece] = frame.length;
    this.#pieces += 1;
    message.pieces += 1;
  }

  /** The end of the run that begins at `start`: messages of one socket with the same header fields. */
  #endOfRun(start: number): number {
    const { mapping, fields } = this.#messages[start];
    let end = start + 1;
    while (end < this.#count) {
      const message = this.#messages[end];
      if (message.mapping !== mapping || message.fields !== fields) break;
      end += 1;
    }
    return end;
  }

  #sendRun(start: number, end: number): void {
    const { mapping, fields } = this.#messages[start];
    if (mapping === null) return;
    mapping.applyFields(fields);
    for (let index = start; index < end; index += 1) this.#describe(index);
    let next = start;
    while (next < end) {
      const sent = this.#table.send(mapping.fd, next, end - next);
      if (sent > 0) {
        next += sent;
      } else {
        this.#onError(mapping, next, -sent);
        next += 1;
      }
    }
  }

  #describe(index: number): void {
    const { nameLength, firstPiece, pieces, segments, segmentSize } = this.#messages[index];
    this.#table.describe(index, nameLength, firstPiece, pieces);
    if (segments > 1) this.#setSegments(index, segmentSize);
  }

  #setSegments(index: number, segmentSize: number): void {
    const { bytes } = this.#stack;
    const length = emitSegmentSize(bytes, this.#table.controlAt(index), segmentSize);
    this.#table.setControlLength(index, length);
  }

  /** The message was not sent. */
  #onError(mapping: Mapping, index: number, errno: number): void {
    const message = this.#messages[index];
    const error = isLackOfRoom(errno) ? errno : this.#sendAgain(mapping, index);
    if (error === 0) return;
    if (message.segments > 1 && isAboutSegments(error)) {
      this.#sendSingly(mapping, index);
      return;
    }
    for (let piece = 0; piece < message.pieces; piece += 1) {
      this.#fail(mapping, message.firstPiece + piece, error);
    }
  }

  /**
   * Sends the message again: the error may be of an earlier datagram, is reported once, and nothing was sent (m).
   * @returns 0 or a positive errno
   */
  #sendAgain(mapping: Mapping, index: number): number {
    this.#observer.readErrors(mapping);
    return this.#sendOne(mapping, index);
  }

  /** @returns 0 or a positive errno */
  #sendOne(mapping: Mapping, index: number): number {
    const sent = this.#table.send(mapping.fd, index, 1);
    if (sent > 0) return 0;
    this.#observer.readErrors(mapping);
    return -sent;
  }

  /** Sends each datagram of the message on its own. */
  #sendSingly(mapping: Mapping, index: number): void {
    const { firstPiece, pieces, segmentSize } = this.#messages[index];
    for (let piece = firstPiece; piece < firstPiece + pieces; piece += 1) {
      const length = this.#table.pieceLength(piece);
      let error = 0;
      for (let at = 0; at < length && error === 0; at += segmentSize) {
        const part = Math.min(segmentSize, length - at);
        error = this.#sendAlone(mapping, index, this.#table.pieceOffset(piece) + at, part);
      }
      if (error !== 0) this.#fail(mapping, piece, error);
    }
  }

  /** @returns 0 or a positive errno */
  #sendAlone(mapping: Mapping, index: number, payload: number, length: number): number {
    const { nameLength, to, port } = this.#messages[index];
    if (to === null) return 0;
    writeSockaddr(this.#stack.bytes, this.#table.nameAt(ALONE), to, port);
    this.#table.setPiece(ALONE, payload, length);
    this.#table.describe(ALONE, nameLength, ALONE, 1);
    return this.#sendOne(mapping, ALONE);
  }

  #fail(mapping: Mapping, piece: number, errno: number): void {
    const offset = this.#frameOffsets[piece];
    this.#observer.onSendFailure(mapping, offset, this.#frameLengths[piece], errno);
  }
}

function isLackOfRoom(errno: number): boolean {
  return errno === Errno.EAGAIN || isOutOfMemory(errno);
}

/** EINVAL: more segments than the kernel takes; EMSGSIZE: above a link's MTU (m); EIO: the interface cannot segment. */
function isAboutSegments(errno: number): boolean {
  return errno === Errno.EINVAL || errno === Errno.EMSGSIZE || errno === Errno.EIO;
}
