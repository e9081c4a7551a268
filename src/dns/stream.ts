import type { Address } from "../base/address.js";
import { NEVER } from "../base/clock.js";
import { Errno } from "../sys/constants.js";
import { native } from "../sys/native.js";
import { takeDnsMessage } from "../wire/dns.js";

/** At so many bytes held for one side, or so many open queries, a stream reads no more from the other side. */
export const MOST_HELD = 64 * 1024;
const MOST_QUERIES = 128;

/** Bytes of the length in front of each message (RFC 1035 §4.2.2). */
const LENGTH_PREFIX = 2;

/** Shared by all ends: what one read brought is copied before the next. */
const received = new Uint8Array(64 * 1024);

/** One end of a stream: a socket, the bytes that came from it, and the bytes that wait for it. */
export class End {
  /** In the token. */
  readonly id: number;
  readonly fd: number;
  readonly stream: DnsStream;
  connected: boolean;
  readable = false;
  writable = false;
  /** The peer has sent FIN, or the socket has failed. */
  ended = false;
  /** FIN was sent. */
  shut = false;
  /** A server that has answered a query. */
  answered = false;
  /** Received bytes, until they make a whole message. */
  #input: Uint8Array = new Uint8Array();
  #output: Uint8Array = new Uint8Array();

  constructor(id: number, fd: number, stream: DnsStream, connected: boolean) {
    this.id = id;
    this.fd = fd;
    this.stream = stream;
    this.connected = connected;
  }

  /** Bytes that wait to be written. */
  get waiting(): number {
    return this.#output.length;
  }

  /** Has bytes written by the next flush(). */
  send(bytes: Uint8Array): void {
    this.#output = this.#output.length === 0 ? bytes : Buffer.concat([this.#output, bytes]);
  }

  /** Writes what the socket takes. @returns whether it took anything */
  flush(): boolean {
    if (!this.connected || !this.writable || this.#output.length === 0) return false;
    const sent = native.writeBytes(this.fd, this.#output);
    if (sent < 0) {
      this.writable = false;
      if (sent !== -Errno.EAGAIN) this.#fail();
      return false;
    }
    this.#output = this.#output.subarray(sent);
    return true;
  }

  /** Reads once. @returns whether bytes, or the end, have come */
  read(): boolean {
    if (!this.readable || this.ended) return false;
    const length = native.readBytes(this.fd, received);
    if (length === -Errno.EAGAIN) {
      this.readable = false;
      return false;
    }
    if (length > 0) this.#input = Buffer.concat([this.#input, received.subarray(0, length)]);
    else if (length < 0) this.#fail();
    else this.ended = true;
    return true;
  }

  /** @returns the next whole message that was read, a view; null when there is none */
  takeMessage(): Uint8Array | null {
    const message = takeDnsMessage(this.#input);
    if (message !== null) this.#input = this.#input.subarray(LENGTH_PREFIX + message.length);
    return message;
  }

  /** Treats a socket with an error as one that has ended. */
  #fail(): void {
    this.#output = new Uint8Array();
    this.ended = true;
    this.readable = false;
  }
}

/** One connection of the guest to the DNS address. */
export class DnsStream {
  client: End | null = null;
  /** The connection to a name server; null while none is needed. */
  upstream: End | null = null;
  /** The server of `upstream`. */
  server: Address | null = null;
  /** Until when `upstream` may be connecting, in ms of the loop's clock. */
  connectUntil = NEVER;
  /** Servers that have not been tried for the open queries. */
  untried: readonly Address[] = [];
  /** Queries that no server has answered, oldest first. */
  open: Uint8Array[] = [];

  /** Whether the stream is at a limit, so that no more queries are to be read. */
  get holdsMuch(): boolean {
    if (this.open.length >= MOST_QUERIES) return true;
    const asked = this.open.reduce((sum, { length }) => sum + length, 0);
    return Math.max(this.client?.waiting ?? 0, this.upstream?.waiting ?? 0, asked) >= MOST_HELD;
  }
}
