import { DEFAULT_TIMEOUTS } from "../../config/guest-config.js";
import { Tally } from "../../nat/flow-record.js";
import { native } from "../../sys/native.js";
import type { ScopedEndpoint } from "../../sys/sockets/sockaddr.js";
import type { DatagramBatch } from "./datagram-batch.js";

/** Batches per event, so that no session starves another. */
export const ROUNDS = 4;

/** The two sockets of a session, which closes them. */
interface Sockets {
  /** Connected to the client. */
  readonly outside: number;
  /** Connected to the guest's server. */
  readonly inside: number;
}

/** A client of a published UDP port, and the socket that represents it inside the guest. */
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

  /** When it ends without further traffic, in ms of the loop's clock. */
  get expires(): number {
    const { udp, udpUnanswered } = DEFAULT_TIMEOUTS;
    return this.#lastUsed + (this.#isAnswered ? udp : udpUnanswered);
  }

  get lastUsed(): number {
    return this.#lastUsed;
  }

  /** How many datagrams at the start of the batch, out of `received`, are its client's. */
  countOwn(received: number): number {
    let own = 0;
    while (own < received && this.batch.isFrom(own, this.#client)) own += 1;
    return own;
  }

  /** Sends `count` datagrams of the batch to the guest, from `first` on. */
  deliver(first: number, count: number, now: number): void {
    this.#lastUsed = now;
    this.batch.send(this.fds.inside, first, count, this.toGuest);
  }

  /** Sends one datagram of the client to the guest; one that cannot be sent is lost. */
  pass(datagram: Uint8Array, now: number): void {
    this.#lastUsed = now;
    this.toGuest.add(datagram.length, 0);
    // An error that an earlier datagram left behind is reported first.
    if (native.writeBytes(this.fds.inside, datagram) < 0) {
      native.writeBytes(this.fds.inside, datagram);
    }
  }

  /** Sends the guest's answers to the client, at most ROUNDS batches. */
  answer(now: number): void {
    for (let round = 0; round < ROUNDS; round += 1) {
      const received = this.batch.receive(this.fds.inside);
      if (received === 0) return;
      this.#lastUsed = now;
      this.#isAnswered = true;
      this.batch.send(this.fds.outside, 0, received, this.fromGuest);
    }
  }

  /** Discards the errors of datagrams to the client, which cannot be passed on to the guest. */
  dropErrors(): void {
    this.batch.dropErrors(this.fds.outside);
  }

  close(): void {
    native.close(this.fds.outside);
    native.close(this.fds.inside);
  }
}
