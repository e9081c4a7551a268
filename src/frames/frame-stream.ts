import { type DropCounters, DropReason } from "../base/drop.js";
import type { Stack } from "../stack/stack.js";
import { Errno } from "../sys/constants.js";
import { native } from "../sys/native.js";
import { PIECE_SPACE } from "../sys/sockets/message-table.js";
import { readU32, writeU32 } from "../wire/bytes.js";
import { ETHERNET_HEADER_LENGTH } from "../wire/ethernet.js";

/** Bytes of the length in front of each frame, in network order (QEMU, net/stream.c). */
const LENGTH_SIZE = 4;

/** The longest frame: an IP packet of 65,535 bytes. */
export const LONGEST_FRAME = ETHERNET_HEADER_LENGTH + 0xffff;

/**
 * Frames up to so many bytes are copied and sent together at the end of the wake-up. A system call costs as much
 * as copying some 16 KiB.
 */
const LONGEST_COPIED = 16 * 1024;

/** Most pieces of a frame; the stack and GuestWriter have fewer. */
const MOST_PIECES = 128;

/** What next() returns when the client sends what is no frame: where the next one begins is unknown from then on. */
export const FRAMING_LOST = -Errno.EBADMSG;

/** What was under way when a stack failed, for the next FrameStream of the same client. */
export interface StreamRest {
  readonly received: Uint8Array;
  readonly unsent: Uint8Array;
  readonly isBlocked: boolean;
}

export interface FrameStreamOptions {
  readonly stack: Stack;
  /** Number of the stack's registered memory. */
  readonly memory: number;
  /** The connected socket. */
  readonly fd: number;
  readonly drops: DropCounters;
}

/**
 * The frames of a guest whose link is a stream socket, each behind its length. One system call receives as many as
 * there are, and one sends those of a wake-up. All of it lies in the stack's memory, so that a frame is moved within
 * it, without an object for each.
 */
export class FrameStream {
  readonly #options: FrameStreamOptions;
  readonly #bytes: Uint8Array;
  readonly #words: Uint32Array;
  /** What was received and not taken yet: the bytes of #received from #begin to #end. */
  readonly #received: number;
  #begin = 0;
  #end = 0;
  /** Whether the last call received less than there was room for: the socket is empty. */
  #isDrained = false;
  /** What was accepted and not sent yet, frames or the rest of one: the bytes of #queue from #sent to #queued. */
  readonly #queue: number;
  #sent = 0;
  #queued = 0;
  /** Whether the socket took less than it was given. */
  #isBlocked = false;
  /** Where the I/O vector of a long frame is, and the frame's length behind it. */
  readonly #vector: number;
  readonly #length: number;
  readonly #capacity: number;

  constructor(options: FrameStreamOptions, rest: StreamRest | null) {
    const { stack } = options;
    this.#options = options;
    this.#bytes = stack.bytes;
    this.#words = new Uint32Array(stack.memory);
    this.#capacity = stack.bufferCapacity;
    this.#received = stack.takeBuffer();
    this.#queue = stack.takeBuffer();
    this.#vector = stack.takeBuffer();
    this.#length = this.#vector + this.#capacity - LENGTH_SIZE;
    if (rest !== null) this.#resume(rest);
  }

  #resume({ received, unsent, isBlocked }: StreamRest): void {
    this.#bytes.set(received, this.#received);
    this.#end = received.length;
    this.#bytes.set(unsent, this.#queue);
    this.#queued = unsent.length;
    this.#isBlocked = isBlocked;
  }

  /** Copies of what is under way. */
  rest(): StreamRest {
    const copy = (at: number, from: number, to: number) => this.#bytes.slice(at + from, at + to);
    return {
      received: copy(this.#received, this.#begin, this.#end),
      unsent: copy(this.#queue, this.#sent, this.#queued),
      isBlocked: this.#isBlocked,
    };
  }

  /** Forgets what is under way: the next client begins anew. */
  reset(): void {
    this.#begin = 0;
    this.#end = 0;
    this.#isDrained = false;
    this.#clearQueue();
  }

  /** Whether next() has something that the socket does not report any more. */
  get hasFrame(): boolean {
    return this.#nextLength() !== 0;
  }

  /** Whether the socket takes nothing until it reports room: call flush(true) then. */
  get isBlocked(): boolean {
    return this.#isBlocked;
  }

  /**
   * Copies the next frame to `at` in the memory, where there is room for LONGEST_FRAME.
   * @returns its length; -EAGAIN: none has come; FRAMING_LOST; 0: the client has gone
   */
  next(at: number): number {
    for (;;) {
      const length = this.#nextLength();
      if (length > 0) {
        const frame = this.#received + this.#begin + LENGTH_SIZE;
        this.#bytes.copyWithin(at, frame, frame + length);
        this.#begin += LENGTH_SIZE + length;
        return length;
      }
      if (length < 0) {
        this.#options.drops.count(DropReason.LinkFraming);
        return FRAMING_LOST;
      }
      if (this.#isDrained) {
        this.#isDrained = false;
        return -Errno.EAGAIN;
      }
      const received = this.#receive();
      if (received <= 0) return received;
    }
  }

  /** Length of the frame that was received whole; 0: none was; negative: what was received is no frame. */
  #nextLength(): number {
    const there = this.#end - this.#begin;
    if (there < LENGTH_SIZE) return 0;
    const length = readU32(this.#bytes, this.#received + this.#begin);
    if (length < ETHERNET_HEADER_LENGTH || length > LONGEST_FRAME) return -1;
    return there >= LENGTH_SIZE + length ? length : 0;
  }

  /** @returns > 0; -EAGAIN; or 0: the client has gone */
  #receive(): number {
    const { fd, memory } = this.#options;
    const there = this.#end - this.#begin;
    if (this.#begin > 0) {
      const from = this.#received + this.#begin;
      this.#bytes.copyWithin(this.#received, from, from + there);
      this.#begin = 0;
      this.#end = there;
    }
    // There is room: less than a frame is there.
    const room = this.#capacity - there;
    const received = native.recv(fd, memory, this.#received + there, room, 0);
    if (received < 0) return received === -Errno.EAGAIN ? received : 0;
    this.#end += received;
    this.#isDrained = received > 0 && received < room;
    return received;
  }

  /**
   * Accepts a frame, to be sent by the next flush() at the latest.
   * @param pieces offset of `count` pairs of u32 (offset, length), the pieces of the frame
   * @returns >= 0, or a negative errno: -EAGAIN when there is no room for it
   */
  send(pieces: number, count: number): number {
    if (count > MOST_PIECES) return -Errno.EINVAL;
    let length = 0;
    for (let index = 0; index < count; index += 1) length += this.#lengthOf(pieces, index);
    if (length > LONGEST_FRAME) return -Errno.EMSGSIZE;
    const fits = this.#queued + LENGTH_SIZE + length <= this.#capacity;
    if (fits && (length <= LONGEST_COPIED || this.#isBlocked)) {
      this.#enqueueLength(length);
      this.#enqueue(pieces, count, 0);
      return length;
    }
    if (this.#isBlocked) return -Errno.EAGAIN;
    return this.#sendNow(pieces, count, length);
  }

  #lengthOf(pieces: number, index: number): number {
    return this.#words[((pieces + PIECE_SPACE * index) >>> 2) + 1];
  }

  #enqueueLength(length: number): void {
    writeU32(this.#bytes, this.#queue + this.#queued, length);
    this.#queued += LENGTH_SIZE;
  }

  /** Copies what is behind the first `skipped` bytes of the pieces. */
  #enqueue(pieces: number, count: number, skipped: number): void {
    let skip = skipped;
    for (let index = 0; index < count; index += 1) {
      const length = this.#lengthOf(pieces, index);
      const from = Math.min(skip, length);
      skip -= from;
      const offset = this.#words[(pieces + PIECE_SPACE * index) >>> 2];
      this.#bytes.copyWithin(this.#queue + this.#queued, offset + from, offset + length);
      this.#queued += length - from;
    }
  }

  /** Sends what is queued and the frame behind it, from where it lies. */
  #sendNow(pieces: number, count: number, length: number): number {
    const { fd, memory } = this.#options;
    const waiting = this.#queued - this.#sent;
    this.#setPiece(0, this.#queue + this.#sent, waiting);
    writeU32(this.#bytes, this.#length, length);
    this.#setPiece(1, this.#length, LENGTH_SIZE);
    const to = (this.#vector + 2 * PIECE_SPACE) >>> 2;
    this.#words.copyWithin(to, pieces >>> 2, (pieces + PIECE_SPACE * count) >>> 2);
    const sent = native.sendmsg(fd, memory, this.#vector, 2 + count, 0);
    if (sent < waiting) {
      this.#settle(sent);
      return sent < 0 ? sent : -Errno.EAGAIN;
    }
    this.#clearQueue();
    if (sent === waiting) {
      this.#isBlocked = true;
      return -Errno.EAGAIN;
    }
    const done = sent - waiting;
    if (done < LENGTH_SIZE + length) this.#keepRest(pieces, count, length, done);
    return length;
  }

  #setPiece(index: number, offset: number, length: number): void {
    const at = (this.#vector + PIECE_SPACE * index) >>> 2;
    this.#words[at] = offset;
    this.#words[at + 1] = length;
  }

  /** Keeps what the socket did not take of a frame: the client expects it before anything else. */
  #keepRest(pieces: number, count: number, length: number, done: number): void {
    this.#isBlocked = true;
    this.#enqueueLength(length);
    this.#enqueue(pieces, count, Math.max(0, done - LENGTH_SIZE));
    this.#sent = Math.min(done, LENGTH_SIZE);
  }

  /**
   * Sends what is queued.
   * @param hasRoom whether the socket may have room again; otherwise nothing is tried while it has none
   */
  flush(hasRoom: boolean): void {
    if (this.#queued === 0 || (this.#isBlocked && !hasRoom)) return;
    const { fd, memory } = this.#options;
    this.#setPiece(0, this.#queue + this.#sent, this.#queued - this.#sent);
    this.#settle(native.sendmsg(fd, memory, this.#vector, 1, 0));
  }

  /** @param sent bytes of the queue, or a negative errno */
  #settle(sent: number): void {
    // Of a client that has gone the socket reports the end to who receives.
    if (sent < 0 && sent !== -Errno.EAGAIN) this.#clearQueue();
    else {
      this.#sent += Math.max(0, sent);
      if (this.#sent === this.#queued) this.#clearQueue();
      else this.#isBlocked = true;
    }
  }

  #clearQueue(): void {
    this.#sent = 0;
    this.#queued = 0;
    this.#isBlocked = false;
  }
}
