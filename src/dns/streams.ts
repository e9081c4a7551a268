import type { DescriptorQuota } from "../admission/descriptors.js";
import type { LimitReports } from "../admission/limit-reports.js";
import type { Address } from "../base/address.js";
import { NEVER } from "../base/clock.js";
import { type DropCounters, DropReason } from "../base/drop.js";
import { IdPool } from "../base/id-pool.js";
import type { DnsConfig } from "../config/dns-config.js";
import type { GuestConfig } from "../config/guest-config.js";
import type { Engine } from "../engine/engine.js";
import { openOutbound, resolverSource } from "../nat/outbound.js";
import { Epoll, Errno, Socket, STREAM_EVENTS } from "../sys/constants.js";
import { native } from "../sys/native.js";
import { connectSocket, pendingError, socketPair } from "../sys/sockets/socket.js";
import { TokenKind, tokenOf } from "../sys/token.js";
import {
  answerFrom,
  composeDnsFailure,
  DNS_PORT,
  DnsRcode,
  dnsId,
  frameDnsMessage,
  parseDnsQuery,
  refuseDnsMessage,
  takeDnsMessage,
} from "../wire/dns.js";
import type { NameServers } from "./name-servers.js";

/** How long a server may take to accept a connection before the next is asked, in ms. */
const CONNECT_TIMEOUT = 5_000;

/** Clients of one guest: each may hold some hundred KiB, and three descriptors. */
const MOST_STREAMS = 64;

/** A stream that holds so many bytes, or queries, for one side takes no more from the other. */
const MOST_HELD = 64 * 1024;
const MOST_QUERIES = 128;

/** Where all bytes are received: what came is worked off before more is read. */
const received = new Uint8Array(64 * 1024);

export interface DnsStreamsContext {
  readonly config: GuestConfig;
  /** What answers at the DNS address. */
  readonly dns: DnsConfig;
  readonly nameServers: NameServers;
  readonly reports: LimitReports;
  readonly drops: DropCounters;
  readonly quota: DescriptorQuota;
  /** Index of the guest in tokens. */
  readonly guest: number;
}

/** One end of a stream: a socket, what came from it, and what waits for it. */
class End {
  readonly id: number;
  readonly fd: number;
  readonly stream: DnsStream;
  connected: boolean;
  readable = false;
  writable = false;
  /** It will send no more. */
  ended = false;
  /** It has been told that no more comes. */
  shut = false;
  /** A server that has answered. */
  answered = false;
  /** What came and is no whole message yet. */
  input: Uint8Array = new Uint8Array();
  output: Uint8Array = new Uint8Array();

  constructor(id: number, fd: number, stream: DnsStream, connected: boolean) {
    this.id = id;
    this.fd = fd;
    this.stream = stream;
    this.connected = connected;
  }

  send(bytes: Uint8Array): void {
    this.output = this.output.length === 0 ? bytes : Buffer.concat([this.output, bytes]);
  }
}

/** A connection of the guest to our DNS server. */
class DnsStream {
  client: End | null = null;
  upstream: End | null = null;
  server: Address | null = null;
  connectUntil = NEVER;
  /** Servers that have not been tried for what is open. */
  untried: readonly Address[] = [];
  /** Queries that no server has answered, in their order. */
  open: Uint8Array[] = [];
}

/**
 * The DNS server by TCP (RFC 7766). The relay of TCP has a socket pair where it has a connection to
 * the world otherwise; its other end is here: names of our own are answered, all else goes to the
 * first server that accepts a connection, message by message, and its answers come back in its order.
 */
export class DnsStreams implements Engine {
  readonly kind = TokenKind.DnsStream;
  /** Its clients are those of the relay of TCP, which ends them. */
  readonly endable = 0;
  readonly #context: DnsStreamsContext;
  /** By token id. */
  readonly #ends: (End | undefined)[] = [];
  /** The oldest first. */
  readonly #streams = new Set<DnsStream>();
  readonly #ids = new IdPool();
  #nextAt = NEVER;
  #count = 0;

  constructor(context: DnsStreamsContext) {
    this.#context = context;
  }

  /** Of both sides, but the one that the relay of TCP has. */
  get descriptors(): number {
    return this.#count;
  }

  /**
   * A new client; the oldest is ended where it would be one too many.
   * @returns its socket, connected, the caller's; or a negative errno
   */
  open(now: number): number {
    const [oldest] = this.#streams;
    if (oldest !== undefined && this.#streams.size >= MOST_STREAMS) {
      this.#context.reports.report(DropReason.LimitDnsQueries, now);
      this.#end(oldest);
    }
    const pair = socketPair();
    if (typeof pair === "number") return pair;
    const [client, own] = pair;
    const stream = new DnsStream();
    stream.client = this.#add(own, stream, true);
    if (stream.client === null) {
      native.close(client);
      return -Errno.ENOMEM;
    }
    this.#streams.add(stream);
    return client;
  }

  onEvents(id: number, events: number, now: number): void {
    const end = this.#ends[id];
    if (end === undefined) return;
    const { stream } = end;
    if (end === stream.client && (events & (Epoll.HangUp | Epoll.Error)) !== 0) {
      this.#end(stream);
      return;
    }
    if (!end.connected && !this.#onConnected(end, events)) {
      this.#leaveServer(stream, now);
    } else {
      if ((events & Epoll.Out) !== 0) end.writable = true;
      if ((events & ~Epoll.Out) !== 0) end.readable = true;
    }
    this.#work(stream, now);
  }

  /** Leaves servers that do not accept a connection in time. */
  turn(now: number): void {
    if (now < this.#nextAt) return;
    this.#nextAt = NEVER;
    for (const end of this.#ends) {
      const stream = end?.stream;
      if (stream === undefined || end !== stream.upstream || end.connected) continue;
      if (stream.connectUntil <= now) {
        this.#leaveServer(stream, now);
        this.#work(stream, now);
      } else {
        this.#nextAt = Math.min(this.#nextAt, stream.connectUntil);
      }
    }
  }

  nextAt(): number {
    return this.#nextAt;
  }

  reap(): void {
    this.#ids.reap();
  }

  close(): void {
    for (const stream of this.#streams) this.#end(stream);
  }

  endOldest(): boolean {
    return false;
  }

  /** @returns null when the kernel has no memory to tell of its events: the socket is closed */
  #add(fd: number, stream: DnsStream, connected: boolean): End | null {
    const id = this.#ids.take();
    const token = tokenOf(this.kind, this.#context.guest, id);
    if (native.watch(fd, STREAM_EVENTS, token) < 0) {
      native.close(fd);
      this.#ids.release(id);
      return null;
    }
    const end = new End(id, fd, stream, connected);
    this.#ends[id] = end;
    this.#count += 1;
    return end;
  }

  #remove(end: End): void {
    native.close(end.fd);
    this.#ends[end.id] = undefined;
    this.#count -= 1;
    this.#ids.release(end.id);
  }

  /** Does all that can be done, which is little: neither side gives more than is held. */
  #work(stream: DnsStream, now: number): void {
    for (let moved = true; moved && stream.client !== null; ) {
      moved = this.#flush(stream.client) || this.#flush(stream.upstream);
      moved = this.#readClient(stream, now) || moved;
      moved = this.#readUpstream(stream, now) || moved;
      this.#passEnds(stream);
    }
  }

  #flush(end: End | null): boolean {
    if (end === null || !end.connected || !end.writable || end.output.length === 0) return false;
    const sent = native.writeBytes(end.fd, end.output);
    if (sent < 0) {
      end.writable = false;
      if (sent !== -Errno.EAGAIN) this.#fail(end);
      return false;
    }
    end.output = end.output.subarray(sent);
    return true;
  }

  /** What cannot be written to has ended. */
  #fail(end: End): void {
    end.output = new Uint8Array();
    end.ended = true;
    end.readable = false;
  }

  #readClient(stream: DnsStream, now: number): boolean {
    const { client } = stream;
    if (client === null || this.#holdsMuch(stream) || !this.#read(client)) return false;
    let message = takeDnsMessage(client.input);
    for (; message !== null; message = takeDnsMessage(client.input)) {
      client.input = client.input.subarray(message.length + 2);
      this.#onQuery(stream, client, message, now);
    }
    return true;
  }

  #holdsMuch({ client, upstream, open }: DnsStream): boolean {
    const asked = open.reduce((sum, { length }) => sum + length, 0);
    const held = Math.max(client?.output.length ?? 0, upstream?.output.length ?? 0, asked);
    return held >= MOST_HELD || open.length >= MOST_QUERIES;
  }

  /** @returns whether anything came; an end has come, too */
  #read(end: End): boolean {
    if (!end.readable || end.ended) return false;
    const length = native.readBytes(end.fd, received);
    if (length === -Errno.EAGAIN) {
      end.readable = false;
      return false;
    }
    if (length > 0) end.input = Buffer.concat([end.input, received.subarray(0, length)]);
    else if (length < 0) this.#fail(end);
    else end.ended = true;
    return true;
  }

  #onQuery(stream: DnsStream, client: End, message: Uint8Array, now: number): void {
    const query = parseDnsQuery(message);
    if (query === null) {
      this.#refuse(client, message);
      return;
    }
    const own = answerFrom(this.#context.dns.records, query);
    if (own !== null) {
      client.send(frameDnsMessage(own));
      return;
    }
    // The view is of a buffer that is replaced when more comes.
    const kept = message.slice();
    stream.open.push(kept);
    if (stream.upstream !== null) {
      stream.upstream.send(frameDnsMessage(kept));
      return;
    }
    stream.untried = this.#context.nameServers.inOrder;
    this.#askNext(stream, now);
  }

  /** What is no query is no server's business. */
  #refuse(client: End, message: Uint8Array): void {
    const { answer, reason } = refuseDnsMessage(message);
    this.#context.drops.count(reason);
    if (answer !== null) client.send(frameDnsMessage(answer));
  }

  /** Connects to the next server and asks it what is open; nobody is left: all that fails. */
  #askNext(stream: DnsStream, now: number): void {
    while (stream.upstream === null && stream.open.length > 0) {
      const [server, ...untried] = stream.untried;
      stream.untried = untried;
      if (server === undefined) this.#failOpen(stream);
      else this.#connect(stream, server, now);
    }
  }

  #connect(stream: DnsStream, server: Address, now: number): void {
    const { config, quota } = this.#context;
    if (!quota.mayOpen(1)) return;
    const source = resolverSource(config.outbound, server);
    const fd = openOutbound(server.family, source, Socket.Stream);
    if (fd < 0) return;
    const connected = connectSocket(fd, server, DNS_PORT);
    if (connected < 0 && connected !== -Errno.EINPROGRESS) {
      native.close(fd);
      return;
    }
    stream.server = server;
    stream.upstream = this.#add(fd, stream, false);
    if (stream.upstream === null) return;
    for (const message of stream.open) stream.upstream.send(frameDnsMessage(message));
    stream.connectUntil = now + CONNECT_TIMEOUT;
    this.#nextAt = Math.min(this.#nextAt, stream.connectUntil);
  }

  #onConnected(end: End, events: number): boolean {
    if ((events & (Epoll.Error | Epoll.HangUp)) !== 0 && pendingError(end.fd) !== 0) return false;
    end.connected = (events & Epoll.Out) !== 0;
    end.writable = end.connected;
    end.readable = (events & ~Epoll.Out) !== 0;
    return true;
  }

  #failOpen(stream: DnsStream): void {
    for (const message of stream.open) {
      const query = parseDnsQuery(message);
      if (query === null) continue;
      stream.client?.send(frameDnsMessage(composeDnsFailure(query, DnsRcode.ServerFailure)));
    }
    stream.open = [];
  }

  #readUpstream(stream: DnsStream, now: number): boolean {
    const { client, upstream } = stream;
    if (client === null || upstream === null || client.output.length >= MOST_HELD) return false;
    const moved = this.#read(upstream);
    let message = takeDnsMessage(upstream.input);
    for (; message !== null; message = takeDnsMessage(upstream.input)) {
      upstream.input = upstream.input.subarray(message.length + 2);
      this.#onAnswer(stream, client, message);
    }
    if (upstream.ended && stream.open.length > 0) this.#leaveServer(stream, now);
    return moved;
  }

  /** A transfer of a zone has many messages: what nobody waits for is passed on, too. */
  #onAnswer(stream: DnsStream, client: End, message: Uint8Array): void {
    const id = dnsId(message);
    const asked = stream.open.findIndex((query) => dnsId(query) === id);
    if (asked >= 0) stream.open.splice(asked, 1);
    if (stream.upstream !== null) stream.upstream.answered = true;
    if (stream.server !== null) this.#context.nameServers.prefer(stream.server);
    client.send(frameDnsMessage(message));
  }

  #leaveServer(stream: DnsStream, now: number): void {
    const { upstream } = stream;
    if (upstream !== null) this.#remove(upstream);
    stream.upstream = null;
    // It has closed what was idle just when a query came (RFC 7766 §6.2.4): it may be asked again.
    if (upstream?.answered === true) stream.untried = this.#context.nameServers.inOrder;
    this.#askNext(stream, now);
  }

  /** An end on one side is passed to the other when nothing is left for it; both have ended: all is. */
  #passEnds(stream: DnsStream): void {
    const { client, upstream } = stream;
    if (client === null) return;
    const isAnswered = stream.open.length === 0 && client.output.length === 0;
    if (client.ended && upstream !== null && isAnswered && !upstream.shut) {
      upstream.shut = true;
      native.shutdown(upstream.fd, Socket.ShutdownWrite);
    }
    const isOver = upstream === null ? client.ended : upstream.ended;
    if (isOver && isAnswered) this.#end(stream);
  }

  #end(stream: DnsStream): void {
    const { client, upstream } = stream;
    this.#streams.delete(stream);
    stream.client = stream.upstream = null;
    if (client !== null) this.#remove(client);
    if (upstream !== null) this.#remove(upstream);
  }
}
