import { native } from "../native.js";

/** Bytes that sealing adds to a message. */
export const TAG_LENGTH = 16;
/** Messages of one call. */
export const MESSAGES_MAX = 256;

/** Words of 32 bits that describe one message to the addon's aeadSeal and aeadOpen (native/index.d.cts). */
const RECORD_WORDS = 8;
const Word = {
  Key: 0,
  CounterLow: 1,
  CounterHigh: 2,
  Input: 3,
  InputCount: 4,
  Padding: 5,
  Output: 6,
  Result: 7,
} as const;

/** Of a pair of offset and length, in words. */
const PIECE_WORDS = 2;
const WORD_SIZE = 4;

/**
 * Takes a key of ChaCha20-Poly1305 (RFC 8439) for this thread.
 * @param key 32 bytes, which the caller should overwrite afterwards
 * @returns its number, or a negative errno: ENOSPC when there are 8192, EOPNOTSUPP where Node lacks the cipher
 */
export function addSealingKey(key: Uint8Array): number {
  return native.aeadKey(key);
}

/** Wipes a key. @returns 0, or -ENOENT when there is none */
export function forgetSealingKey(key: number): number {
  return native.aeadForget(key);
}

export interface SealLayout {
  /** How many messages, at most MESSAGES_MAX. */
  readonly messages: number;
  /** How many pieces all messages share; 0 in a table that only opens. */
  readonly pieces: number;
}

/** Size of a table of that layout, in bytes. */
export function sealTableSize({ messages, pieces }: SealLayout): number {
  return (messages * RECORD_WORDS + pieces * PIECE_WORDS) * WORD_SIZE;
}

/**
 * A table of messages to seal or to open, in registered memory. Each has a counter as its nonce, as WireGuard has it, and no
 * associated data. All offsets are those of that memory, in bytes.
 */
export class SealTable {
  readonly #memory: number;
  readonly #base: number;
  /** The table as words, signed for results. */
  readonly #words: Int32Array;
  /** Index of the first piece's first word. */
  readonly #pieces: number;

  /**
   * @param buffer the memory that the table and the messages are in
   * @param memory its handle, from registerMemory
   * @param base offset of the table: sealTableSize() bytes, aligned to 4
   */
  constructor(buffer: ArrayBuffer, memory: number, base: number, layout: SealLayout) {
    this.#memory = memory;
    this.#base = base;
    this.#words = new Int32Array(buffer, base, sealTableSize(layout) / WORD_SIZE);
    this.#pieces = layout.messages * RECORD_WORDS;
  }

  setPiece(piece: number, offset: number, length: number): void {
    const at = this.#pieces + piece * PIECE_WORDS;
    this.#words[at] = offset;
    this.#words[at + 1] = length;
  }

  /**
   * Describes a message to seal: `count` pieces from `piece` on, and zeros.
   * @param counter 0..2^53-1, once for each key
   * @param padding how many zeros, 0..15
   * @param output where the sealed message goes, TAG_LENGTH longer than pieces and zeros, which pieces do not overlap
   */
  describeSeal(
    index: number,
    key: number,
    counter: number,
    piece: number,
    count: number,
    padding: number,
    output: number,
  ): void {
    const vector = this.#base + (this.#pieces + piece * PIECE_WORDS) * WORD_SIZE;
    this.#describe(index, key, counter, vector, count, padding, output);
  }

  /** The same for pieces elsewhere. @param vector offset of `count` pairs of u32, offset and length */
  describeSealVector(
    index: number,
    key: number,
    counter: number,
    vector: number,
    count: number,
    padding: number,
    output: number,
  ): void {
    this.#describe(index, key, counter, vector, count, padding, output);
  }

  /**
   * Describes a message to open.
   * @param counter 0..2^53-1
   * @param length of the sealed message and its tag, in bytes
   * @param output where the opened message goes: `offset`, or where `length` bytes do not overlap it
   */
  describeOpen(
    index: number,
    key: number,
    counter: number,
    offset: number,
    length: number,
    output: number,
  ): void {
    this.#describe(index, key, counter, offset, length, 0, output);
  }

  /** Length of a message that was sealed, with its tag, or opened; or a negative errno: EBADMSG when it is not authentic. */
  result(index: number): number {
    return this.#words[index * RECORD_WORDS + Word.Result];
  }

  /** Seals the first `count` messages. @returns how many have a result, or a negative errno of the table */
  seal(count: number): number {
    return native.aeadSeal(this.#memory, this.#base, count);
  }

  /** Opens the first `count` messages. @returns how many have a result, or a negative errno of the table */
  open(count: number): number {
    return native.aeadOpen(this.#memory, this.#base, count);
  }

  #describe(
    index: number,
    key: number,
    counter: number,
    input: number,
    count: number,
    padding: number,
    output: number,
  ): void {
    const words = this.#words;
    const record = index * RECORD_WORDS;
    words[record + Word.Key] = key;
    words[record + Word.CounterLow] = counter;
    words[record + Word.CounterHigh] = counter / 2 ** 32;
    words[record + Word.Input] = input;
    words[record + Word.InputCount] = count;
    words[record + Word.Padding] = padding;
    words[record + Word.Output] = output;
    words[record + Word.Result] = 0;
  }
}
