import { native } from "../native.js";
import { SOCKADDR_SIZE } from "./sockaddr.js";

/** Words of 32 bits that describe one message to the addon's sendmmsg and recvmmsg (native/index.d.cts). */
const MESSAGE_WORDS = 8;
const Word = {
  Name: 0,
  NameLength: 1,
  Iov: 2,
  IovCount: 3,
  Control: 4,
  ControlLength: 5,
  Flags: 6,
  Length: 7,
} as const;

/** Room for a sockaddr, in bytes. */
const NAME_SPACE = 32;
/** An entry of the I/O vector in bytes: offset and length, 32 bits each. */
export const PIECE_SPACE = 8;

export interface MessageLayout {
  /** How many messages, at most 256. */
  readonly messages: number;
  /** How many pieces of payload all messages share. */
  readonly pieces: number;
  /** Bytes of control data of each message, a multiple of 8. */
  readonly control: number;
}

/** Size of a table of that layout, in bytes. */
export function messageTableSize({ messages, pieces, control }: MessageLayout): number {
  return messages * (MESSAGE_WORDS * 4 + NAME_SPACE + control) + pieces * PIECE_SPACE;
}

/** A table of messages for sendmmsg(2) and recvmmsg(2) in registered memory, with socket addresses and control data. */
export class MessageTable {
  readonly #memory: number;
  readonly #words: Uint32Array;
  readonly #base: number;
  readonly #names: number;
  readonly #control: number;
  readonly #controlSpace: number;
  readonly #pieces: number;

  /**
   * @param buffer the memory that the table is in
   * @param memory its handle, from registerMemory
   * @param base offset of the table: messageTableSize() bytes, aligned to 8
   */
  constructor(buffer: ArrayBuffer, memory: number, base: number, layout: MessageLayout) {
    this.#memory = memory;
    this.#words = new Uint32Array(buffer);
    this.#base = base;
    this.#names = base + layout.messages * MESSAGE_WORDS * 4;
    this.#control = this.#names + layout.messages * NAME_SPACE;
    this.#controlSpace = layout.control;
    this.#pieces = this.#control + layout.messages * layout.control;
  }

  /** Offset of the message's sockaddr. */
  nameAt(index: number): number {
    return this.#names + index * NAME_SPACE;
  }

  /** Offset of the message's control data. */
  controlAt(index: number): number {
    return this.#control + index * this.#controlSpace;
  }

  /** Bytes of control data received. */
  controlLength(index: number): number {
    return this.#words[this.#word(index) + Word.ControlLength];
  }

  /** Bytes of payload received or sent. */
  length(index: number): number {
    return this.#words[this.#word(index) + Word.Length];
  }

  setPiece(piece: number, offset: number, length: number): void {
    const at = (this.#pieces + piece * PIECE_SPACE) >>> 2;
    this.#words[at] = offset;
    this.#words[at + 1] = length;
  }

  /** Offset of the piece's entry in the I/O vector. */
  pieceAt(piece: number): number {
    return this.#pieces + piece * PIECE_SPACE;
  }

  pieceOffset(piece: number): number {
    return this.#words[(this.#pieces + piece * PIECE_SPACE) >>> 2];
  }

  pieceLength(piece: number): number {
    return this.#words[((this.#pieces + piece * PIECE_SPACE) >>> 2) + 1];
  }

  /** Describes a message to send, whose payload is `count` pieces from `piece` on. */
  describe(index: number, nameLength: number, piece: number, count: number): void {
    this.describeVector(index, nameLength, this.pieceAt(piece), count);
  }

  /** The same for pieces elsewhere. @param vector offset of `count` pairs of u32, offset and length */
  describeVector(index: number, nameLength: number, vector: number, count: number): void {
    const words = this.#words;
    const message = this.#word(index);
    words[message + Word.Name] = this.nameAt(index);
    words[message + Word.NameLength] = nameLength;
    words[message + Word.Iov] = vector;
    words[message + Word.IovCount] = count;
    words[message + Word.Control] = this.controlAt(index);
    words[message + Word.ControlLength] = 0;
    words[message + Word.Flags] = 0;
    words[message + Word.Length] = 0;
  }

  setControlLength(index: number, length: number): void {
    this.#words[this.#word(index) + Word.ControlLength] = length;
  }

  /** @returns how many of the messages from `first` on were sent, or a negative errno */
  send(fd: number, first: number, count: number): number {
    return native.sendmmsg(fd, this.#memory, this.#messageAt(first), count, 0);
  }

  /**
   * Receives into the first `count` messages; the payload of each goes to the piece of the same index.
   * @returns how many were received, or a negative errno
   */
  receive(fd: number, count: number, flags: number): number {
    for (let index = 0; index < count; index += 1) {
      this.describe(index, SOCKADDR_SIZE, index, 1);
      this.setControlLength(index, this.#controlSpace);
    }
    return native.recvmmsg(fd, this.#memory, this.#messageAt(0), count, flags);
  }

  #messageAt(index: number): number {
    return this.#base + index * MESSAGE_WORDS * 4;
  }

  /** Index of the message's first word. */
  #word(index: number): number {
    return this.#messageAt(index) >>> 2;
  }
}
