import type { Address } from "../base/address.js";
import type { Stack } from "../stack/stack.js";
import { Errno } from "../sys/constants.js";
import { native } from "../sys/native.js";
import { SOCKADDR_SIZE, writeSockaddr } from "../sys/socket.js";

/** Words of one message of sendmmsg and recvmmsg (native/index.d.cts). */
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

/** struct cmsghdr with one u16 of UDP_SEGMENT (udp(7)), padded: CMSG_LEN(2) and CMSG_SPACE(2). */
const SEGMENT_CONTROL_LENGTH = 18;
const SEGMENT_CONTROL_SPACE = 24;
const LEVEL_UDP = 17;
const UDP_SEGMENT = 103;

const NAME_SPACE = 32;
const IOV_SPACE = 8;

/**
 * Messages in WASM memory, for the system calls that take many datagrams: one to send, with its
 * own descriptor, and a row of buffers to receive into. One per guest, used by all its mappings.
 */
export class MessageBatch {
  readonly #stack: Stack;
  readonly #memory: number;
  readonly #words: Uint32Array;
  /** Where the descriptors, names, vectors and control data stand, in bytes. */
  readonly #base: number;
  readonly #buffers: readonly number[];
  readonly #headroom: number;
  /** Index of the descriptor that sends, behind those that receive. */
  readonly #sender: number;
  #lastAddress: Address | null = null;
  #lastPort = -1;

  private constructor(
    stack: Stack,
    memory: number,
    base: number,
    buffers: readonly number[],
    headroom: number,
  ) {
    this.#stack = stack;
    this.#memory = memory;
    this.#words = new Uint32Array(stack.memory);
    this.#base = base;
    this.#buffers = buffers;
    this.#headroom = headroom;
    this.#sender = buffers.length;
  }

  /**
   * @param size datagrams received by one call
   * @param headroom bytes kept free in front of each payload
   * @returns null when memory is short
   */
  static create(stack: Stack, memory: number, size: number, headroom: number): MessageBatch | null {
    const taken: number[] = [];
    while (taken.length <= size) {
      const buffer = stack.takeBuffer();
      if (buffer === 0) {
        for (const other of taken) stack.giveBuffer(other);
        return null;
      }
      taken.push(buffer);
    }
    const [base, ...buffers] = taken;
    return new MessageBatch(stack, memory, base, buffers, headroom);
  }

  /** Where the sockaddr of the message's sender stands. */
  nameAt(index: number): number {
    return this.#base + (this.#sender + 1) * MESSAGE_WORDS * 4 + index * NAME_SPACE;
  }

  payloadAt(index: number): number {
    return this.#buffers[index] + this.#headroom;
  }

  /** Bytes of the message's payload. */
  lengthAt(index: number): number {
    return this.#words[this.#message(index) + Word.Length];
  }

  /** @returns how many datagrams were received, or a negative errno */
  receive(fd: number): number {
    const count = this.#buffers.length;
    for (let index = 0; index < count; index += 1) {
      const capacity = this.#stack.bufferCapacity - this.#headroom;
      this.#describe(index, this.payloadAt(index), capacity, SOCKADDR_SIZE);
    }
    return native.recvmmsg(fd, this.#memory, this.#base, count, 0);
  }

  /**
   * Sends one payload; with `gsoSize` above 0 cut into datagrams of that size, by the kernel where
   * it takes them as one.
   * @returns a value >= 0, or a negative errno
   */
  send(
    fd: number,
    to: Address,
    port: number,
    payload: number,
    length: number,
    gsoSize: number,
  ): number {
    const nameLength = this.#nameOf(to, port);
    if (gsoSize === 0 || length <= gsoSize)
      return this.#sendOne(fd, payload, length, nameLength, 0);
    const sent = this.#sendOne(fd, payload, length, nameLength, gsoSize);
    // EINVAL: more than 128 segments; EMSGSIZE: above the path's MTU (m).
    if (sent !== -Errno.EINVAL && sent !== -Errno.EMSGSIZE) return sent;
    return this.#sendSingly(fd, payload, length, nameLength, gsoSize);
  }

  #sendSingly(
    fd: number,
    payload: number,
    length: number,
    nameLength: number,
    gsoSize: number,
  ): number {
    for (let at = 0; at < length; at += gsoSize) {
      const part = Math.min(gsoSize, length - at);
      const sent = this.#sendOne(fd, payload + at, part, nameLength, 0);
      if (sent < 0) return sent;
    }
    return 0;
  }

  #sendOne(
    fd: number,
    payload: number,
    length: number,
    nameLength: number,
    gsoSize: number,
  ): number {
    this.#describe(this.#sender, payload, length, nameLength);
    if (gsoSize > 0) this.#segment(gsoSize);
    return native.sendmmsg(fd, this.#memory, this.#message(this.#sender) * 4, 1, 0);
  }

  /** Writes the receiver's sockaddr unless it is the last one's. @returns its length */
  #nameOf(to: Address, port: number): number {
    const at = this.nameAt(this.#sender);
    if (this.#lastAddress?.equals(to) !== true || this.#lastPort !== port) {
      writeSockaddr(this.#stack.bytes, at, to, port);
      this.#lastAddress = to;
      this.#lastPort = port;
    }
    return to.family === 4 ? 16 : SOCKADDR_SIZE;
  }

  #segment(gsoSize: number): void {
    const message = this.#message(this.#sender);
    const control = this.nameAt(this.#sender + 1) + (this.#sender + 1) * IOV_SPACE;
    const at = control >>> 2;
    this.#words[at] = SEGMENT_CONTROL_LENGTH;
    this.#words[at + 1] = 0;
    this.#words[at + 2] = LEVEL_UDP;
    this.#words[at + 3] = UDP_SEGMENT;
    this.#words[at + 4] = gsoSize;
    this.#words[message + Word.Control] = control;
    this.#words[message + Word.ControlLength] = SEGMENT_CONTROL_SPACE;
  }

  /** Index of the message's first word. */
  #message(index: number): number {
    return (this.#base >>> 2) + index * MESSAGE_WORDS;
  }

  #describe(index: number, payload: number, length: number, nameLength: number): void {
    const words = this.#words;
    const iov = this.nameAt(this.#sender + 1) + index * IOV_SPACE;
    words[iov >>> 2] = payload;
    words[(iov >>> 2) + 1] = length;
    const message = this.#message(index);
    words[message + Word.Name] = this.nameAt(index);
    words[message + Word.NameLength] = nameLength;
    words[message + Word.Iov] = iov;
    words[message + Word.IovCount] = 1;
    words[message + Word.Control] = 0;
    words[message + Word.ControlLength] = 0;
    words[message + Word.Flags] = 0;
    words[message + Word.Length] = 0;
  }
}
