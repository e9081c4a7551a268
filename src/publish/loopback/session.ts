import { type Address, AddressCache } from "../../base/address.js";
import { Tally } from "../../nat/flow-record.js";
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

/** Datagrams moved by one call, each with room for the longest there is. */
const BATCH = 16;
const DATAGRAM_SPACE = 65_536;
/** Calls per turn, so that no session starves another. */
export const ROUNDS = 4;

const LAYOUT = { messages: BATCH, pieces: BATCH, control: RECEIVED_CONTROL_SPACE } as const;

/** RFC 4787 REQ-5, as for other mappings (udp.ts). */
const TIMEOUT = 180_000;
const UNANSWERED_TIMEOUT = 30_000;

/** Datagrams between two sockets, through a memory of its own. */
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

  /** @returns how many datagrams were received, 0 when there is none or the socket has failed */
  receive(fd: number): number {
    return this.#receive(fd, 0);
  }

  #receive(fd: number, flags: number): number {
    for (let index = 0; index < BATCH; index += 1) {
      this.#table.setPiece(index, this.#payloads + index * DATAGRAM_SPACE, DATAGRAM_SPACE);
    }
    return Math.max(0, this.#table.receive(fd, BATCH, flags));
  }

  /** Empties a socket's error queue: while there is one in it, epoll reports the socket. */
  dropErrors(fd: number): void {
    while (this.#receive(fd, Socket.ErrorQueue) > 0);
  }

  /** Sends received datagrams by a connected socket, and counts them. */
  send(fd: number, first: number, count: number, tally: Tally): void {
    for (let index = first; index < first + count; index += 1) {
      tally.add(this.#table.length(index), 0);
      this.#table.setPiece(index, this.#table.pieceOffset(index), this.#table.length(index));
      this.#table.describe(index, 0, index, 1);
    }
    for (let next = first; next < first + count; ) {
      const sent = this.#table.send(fd, next, first + count - next);
      // One that cannot be sent is lost, as on any network; an error of an earlier one is, too.
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

  /** Where the datagram was sent to. */
  destinationOf(index: number): Address | null {
    const table = this.#table;
    return parseDestination(this.#bytes, table.controlAt(index), table.controlLength(index));
  }

  close(): void {
    native.unregisterMemory(this.#memory);
  }
}

/** Two sockets, the session's from now on. */
interface Sockets {
  /** Connected to the client. */
  readonly outside: number;
  /** Connected to the guest's server. */
  readonly inside: number;
}

/** A client of a published UDP port and the socket that stands for it in the guest. */
export class LoopbackSession {
  readonly key: string;
  readonly batch: DatagramBatch;
  readonly fds: Sockets;
  readonly #client: ScopedEndpoint;
  readonly since: number;
  readonly toGuest = new Tally();
  readonly fromGuest = new Tally();
  #lastUsed: number;
  #isAnswered = false;

  constructor(
    batch: DatagramBatch,
    key: string,
    fds: Sockets,
    client: ScopedEndpoint,
    now: number,
  ) {
    this.key = key;
    this.batch = batch;
    this.fds = fds;
    this.#client = client;
    this.since = now;
    this.#lastUsed = now;
  }

  get isAnswered(): boolean {
    return this.#isAnswered;
  }

  get expires(): number {
    return this.#lastUsed + (this.#isAnswered ? TIMEOUT : UNANSWERED_TIMEOUT);
  }

  get lastUsed(): number {
    return this.#lastUsed;
  }

  /** How many of the first datagrams of the batch, out of `received`, are its client's. */
  countOwn(received: number): number {
    let own = 0;
    while (own < received && this.batch.isFrom(own, this.#client)) own += 1;
    return own;
  }

  /** Passes on datagrams of the batch to the guest. */
  deliver(first: number, count: number, now: number): void {
    this.#lastUsed = now;
    this.batch.send(this.fds.inside, first, count, this.toGuest);
  }

  /** Passes on what the guest's server has answered, at most a turn's worth. */
  answer(now: number): void {
    for (let round = 0; round < ROUNDS; round += 1) {
      const received = this.batch.receive(this.fds.inside);
      if (received === 0) return;
      this.#lastUsed = now;
      this.#isAnswered = true;
      this.batch.send(this.fds.outside, 0, received, this.fromGuest);
    }
  }

  /** What went wrong with datagrams to the client: nobody is told. */
  dropErrors(): void {
    this.batch.dropErrors(this.fds.outside);
  }

  close(): void {
    native.close(this.fds.outside);
    native.close(this.fds.inside);
  }
}
