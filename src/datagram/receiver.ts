import { type Address, AddressCache } from "../base/address.js";
import type { Stack } from "../stack/stack.js";
import { Socket } from "../sys/constants.js";
import {
  ERROR_CONTROL_SPACE,
  parseDestination,
  parseQueuedError,
  parseReceivedControl,
  type QueuedError,
  RECEIVED_CONTROL_SPACE,
  type ReceivedControl,
} from "../sys/sockets/control-data.js";
import { MessageTable, messageTableSize } from "../sys/sockets/message-table.js";
import {
  sockaddrAddressOffset,
  sockaddrFamily,
  sockaddrPort,
  sockaddrScope,
} from "../sys/sockets/sockaddr.js";

/** Most datagrams that one call receives: so many of 1,400 bytes make the longest superframe. */
export const RECEIVE_BATCH = 46;

/** Buffers that are kept; a call for more takes more until release(). */
export const KEPT_BUFFERS = 4;

/** Errors fetched by one call, and the bytes kept of each datagram that they are about. */
const ERROR_BATCH = 4;
const ERROR_PAYLOAD = 1280;

const LAYOUT = {
  messages: RECEIVE_BATCH,
  pieces: RECEIVE_BATCH,
  control: RECEIVED_CONTROL_SPACE,
} as const;
const ERROR_LAYOUT = {
  messages: ERROR_BATCH,
  pieces: ERROR_BATCH,
  control: ERROR_CONTROL_SPACE,
} as const;

/**
 * Receives datagrams and errors of any socket into buffers of the stack; one per guest. The accessors tell of
 * message `index` of the last receive() or receiveErrors(), from 0.
 */
export class Receiver {
  readonly #stack: Stack;
  readonly #table: MessageTable;
  readonly #errors: MessageTable;
  readonly #peers = new AddressCache();
  /** How many of the table's pieces have a buffer. */
  #buffers = 0;

  /** @param memory number of the stack's registered memory */
  constructor(stack: Stack, memory: number) {
    const base = stack.takeBuffer();
    this.#stack = stack;
    this.#table = new MessageTable(stack.memory, memory, base, LAYOUT);
    const errors = base + messageTableSize(LAYOUT);
    this.#errors = new MessageTable(stack.memory, memory, errors, ERROR_LAYOUT);
    const payloads = errors + messageTableSize(ERROR_LAYOUT);
    for (let index = 0; index < ERROR_BATCH; index += 1) {
      this.#errors.setPiece(index, payloads + index * ERROR_PAYLOAD, ERROR_PAYLOAD);
    }
    this.#takeBuffers(KEPT_BUFFERS);
  }

  /**
   * @param most at most RECEIVE_BATCH; fewer are received when memory is short
   * @returns how many datagrams were received, or a negative errno
   */
  receive(fd: number, most: number): number {
    this.#takeBuffers(most);
    return this.#table.receive(fd, Math.min(most, this.#buffers), 0);
  }

  /** Gives back the buffers beyond KEPT_BUFFERS; to be called when what was received is not needed any more. */
  release(): void {
    while (this.#buffers > KEPT_BUFFERS) {
      this.#buffers -= 1;
      this.#stack.giveBuffer(this.#table.pieceOffset(this.#buffers));
    }
  }

  #takeBuffers(count: number): void {
    while (this.#buffers < count) {
      const buffer = this.#stack.takeBuffer();
      if (buffer === 0) return;
      this.#table.setPiece(this.#buffers, buffer, this.#stack.bufferCapacity);
      this.#buffers += 1;
    }
  }

  /** Offset of the payload in the stack's memory. */
  payloadAt(index: number): number {
    return this.#table.pieceOffset(index);
  }

  /** The payload, as a view of the memory. */
  payloadOf(index: number): Uint8Array {
    const at = this.payloadAt(index);
    return this.#stack.bytes.subarray(at, at + this.lengthOf(index));
  }

  lengthOf(index: number): number {
    return this.#table.length(index);
  }

  peerOf(index: number): Address {
    return this.#addressAt(this.#table.nameAt(index));
  }

  portOf(index: number): number {
    return sockaddrPort(this.#stack.bytes, this.#table.nameAt(index));
  }

  /** Index of the interface on whose link a link-local peer is; otherwise 0. */
  scopeOf(index: number): number {
    return sockaddrScope(this.#stack.bytes, this.#table.nameAt(index));
  }

  /** The address that the datagram was sent to; null where the socket does not report it (bindDatagramPort does). */
  destinationOf(index: number): Address | null {
    const { bytes } = this.#stack;
    return parseDestination(bytes, this.#table.controlAt(index), this.#table.controlLength(index));
  }

  /** Fills `control` with what the kernel reported beside the datagram. */
  readControl(index: number, control: ReceivedControl): void {
    const { bytes } = this.#stack;
    const length = this.#table.controlLength(index);
    parseReceivedControl(bytes, this.#table.controlAt(index), length, control);
  }

  /** Fetches errors of the socket's error queue. @returns how many, 0 when there is none */
  receiveErrors(fd: number): number {
    return Math.max(0, this.#errors.receive(fd, ERROR_BATCH, Socket.ErrorQueue));
  }

  /** The error; null when the kernel reported none that we know. */
  errorAt(index: number): QueuedError | null {
    const { bytes } = this.#stack;
    return parseQueuedError(
      bytes,
      this.#errors.controlAt(index),
      this.#errors.controlLength(index),
    );
  }

  /** The address that the datagram was sent to that the error is about. */
  errorDestination(index: number): Address {
    return this.#addressAt(this.#errors.nameAt(index));
  }

  errorPort(index: number): number {
    return sockaddrPort(this.#stack.bytes, this.#errors.nameAt(index));
  }

  /** The part of the datagram's payload that came back, as a view of the memory. */
  errorPayload(index: number): Uint8Array {
    const at = this.#errors.pieceOffset(index);
    return this.#stack.bytes.subarray(at, at + this.#errors.length(index));
  }

  #addressAt(name: number): Address {
    const { bytes } = this.#stack;
    const family = sockaddrFamily(bytes, name);
    return this.#peers.at(bytes, name + sockaddrAddressOffset(family), family);
  }
}
