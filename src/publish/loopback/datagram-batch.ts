import { type Address, AddressCache } from "../../base/address.js";
import type { Tally } from "../../nat/flow-record.js";
import { Socket } from "../../sys/constants.js";
import { native } from "../../sys/native.js";
import { parseDestination, RECEIVED_CONTROL_SPACE } from "../../sys/sockets/control-data.js";
import { MessageTable, messageTableSize } from "../../sys/sockets/message-table.js";
import {
  type ScopedEndpoint,
  sockaddrAddressOffset,
  sockaddrFamily,
  sockaddrPort,
  sockaddrScope,
} from "../../sys/sockets/sockaddr.js";

/** Datagrams received by one call, each with room for the longest possible. */
const BATCH = 16;
const DATAGRAM_SPACE = 65_536;

const LAYOUT = { messages: BATCH, pieces: BATCH, control: RECEIVED_CONTROL_SPACE } as const;

/** Moves datagrams from one socket to another, through a memory of its own. */
export class DatagramBatch {
  readonly #bytes: Uint8Array;
  readonly #memory: number;
  readonly #table: MessageTable;
  readonly #peers = new AddressCache();
  readonly #payloads = messageTableSize(LAYOUT);

  constructor() {
    const buffer = new ArrayBuffer(this.#payloads + BATCH * DATAGRAM_SPACE);
    this.#bytes = new Uint8Array(buffer);
    this.#memory = native.registerMemory(buffer);
    this.#table = new MessageTable(buffer, this.#memory, 0, LAYOUT);
  }

  /** @returns how many datagrams were received; 0 when none waits or the socket has an error */
  receive(fd: number): number {
    return this.#receive(fd, 0);
  }

  #receive(fd: number, flags: number): number {
    for (let index = 0; index < BATCH; index += 1) {
      this.#table.setPiece(index, this.#payloads + index * DATAGRAM_SPACE, DATAGRAM_SPACE);
    }
    return Math.max(0, this.#table.receive(fd, BATCH, flags));
  }

  /** Empties a socket's error queue: epoll reports the socket as long as an error is in it. */
  dropErrors(fd: number): void {
    while (this.#receive(fd, Socket.ErrorQueue) > 0);
  }

  /** Sends received datagrams through a connected socket, and counts them. */
  send(fd: number, first: number, count: number, tally: Tally): void {
    for (let index = first; index < first + count; index += 1) {
      tally.add(this.#table.length(index), 0);
      this.#table.setPiece(index, this.#table.pieceOffset(index), this.#table.length(index));
      this.#table.describe(index, 0, index, 1);
    }
    for (let next = first; next < first + count; ) {
      const sent = this.#table.send(fd, next, first + count - next);
      // A datagram that cannot be sent is lost, and so is the error that an earlier one left behind.
      next += Math.max(1, sent);
    }
  }

  clientOf(index: number): ScopedEndpoint {
    const name = this.#table.nameAt(index);
    const scope = sockaddrScope(this.#bytes, name);
    return { address: this.#addressAt(name), port: sockaddrPort(this.#bytes, name), scope };
  }

  isFrom(index: number, { address, port }: ScopedEndpoint): boolean {
    const name = this.#table.nameAt(index);
    return sockaddrPort(this.#bytes, name) === port && this.#addressAt(name).equals(address);
  }

  #addressAt(name: number): Address {
    const family = sockaddrFamily(this.#bytes, name);
    return this.#peers.at(this.#bytes, name + sockaddrAddressOffset(family), family);
  }

  /** The address that the datagram was sent to; null when the kernel did not say. */
  destinationOf(index: number): Address | null {
    const table = this.#table;
    return parseDestination(this.#bytes, table.controlAt(index), table.controlLength(index));
  }

  close(): void {
    native.unregisterMemory(this.#memory);
  }
}
