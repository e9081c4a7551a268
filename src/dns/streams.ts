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
} from "../wire/dns.js";
import type { NameServers } from "./name-servers.js";
import { DnsStream, End, MOST_HELD } from "./stream.js";

/** How long a server may take to accept a connection before the next is asked, in ms. */
const CONNECT_TIMEOUT = 5_000;

/** Clients of one guest at once: each may hold a few hundred KiB and three descriptors. */
const MOST_STREAMS = 64;

/** What DNS over TCP needs of its guest. */
export interface DnsStreamsContext {
  readonly config: GuestConfig;
  /** Its records are answered here; its servers come from `nameServers`. */
  readonly dns: DnsConfig;
  readonly nameServers: NameServers;
  readonly reports: LimitReports;
  readonly drops: DropCounters;
  readonly quota: DescriptorQuota;
  /** Index of the guest in tokens. */
  readonly guest: number;
}

/**
 * DNS over TCP (RFC 7766). Instead of a connection to the world, the TCP relay gets one end of a socket
 * pair; the other end is here. Names that Slipway knows are answered at once. Other queries go, message by
 * message, to the first name server that accepts a connection, and its answers come back in its order.
 */
export class DnsStreams implements Engine {
  readonly kind = TokenKind.DnsStream;
  /** Its clients are flows of the TCP relay, which ends them. */
  readonly endable = 0;
  readonly #context: DnsStreamsContext;
  /** By the id in the token. */
  readonly #ends: (End | undefined)[] = [];
  /** Oldest first. */
  readonly #streams = new Set<DnsStream>();
  readonly #ids = new IdPool();
  #nextAt = NEVER;
  #count = 0;

  constructor(context: DnsStreamsContext) {
    this.#context = context;
  }

  /** Sockets of both sides, without those that the TCP relay holds. */
  get descriptors(): number {
    return this.#count;
  }

  /**
   * Opens a stream for a new client; at the limit the oldest stream ends.
   * @returns the client's end of a socket pair, which the caller closes, or a negative errno
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

  /** Gives up servers that have not accepted a connection in time. */
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
    return this.#count === 0 ? NEVER : this.#nextAt;
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

  /** @returns null, with `fd` closed, when the kernel has no memory to watch it */
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

  /** Moves messages both ways until nothing more moves; the limits on what is held bound the work. */
  #work(stream: DnsStream, now: number): void {
    for (let moved = true; moved && stream.client !== null; ) {
      moved = stream.client.flush() || (stream.upstream?.flush() ?? false);
      moved = this.#readClient(stream, now) || moved;
      moved = this.#readUpstream(stream, now) || moved;
      this.#passEnds(stream);
    }
  }

  #readClient(stream: DnsStream, now: number): boolean {
    const { client } = stream;
    if (client === null || stream.holdsMuch || !client.read()) return false;
    for (let next = client.takeMessage(); next !== null; next = client.takeMessage()) {
      this.#onQuery(stream, client, next, now);
    }
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
    // The message is a view of a buffer that the next read replaces.
    const kept = message.slice();
    stream.open.push(kept);
    if (stream.upstream !== null) {
      stream.upstream.send(frameDnsMessage(kept));
      return;
    }
    stream.untried = this.#context.nameServers.inOrder;
    this.#askNext(stream, now);
  }

  /** A message that is no query is answered here, or dropped, and not forwarded. */
  #refuse(client: End, message: Uint8Array): void {
    const { answer, reason } = refuseDnsMessage(message);
    this.#context.drops.count(reason);
    if (answer !== null) client.send(frameDnsMessage(answer));
  }

  /** Connects to the next server and sends it the open queries; they fail when no server is left. */
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
    if (client === null || upstream === null || client.waiting >= MOST_HELD) return false;
    const moved = upstream.read();
    for (let next = upstream.takeMessage(); next !== null; next = upstream.takeMessage()) {
      this.#onAnswer(stream, client, next);
    }
    if (upstream.ended && stream.open.length > 0) this.#leaveServer(stream, now);
    return moved;
  }

  /** Passes on any message: a zone transfer has several for one query. */
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
    // It may have closed an idle connection just when a query came (RFC 7766 §6.2.4): ask it again.
    if (upstream?.answered === true) stream.untried = this.#context.nameServers.inOrder;
    this.#askNext(stream, now);
  }

  /** Passes on the client's FIN when all is answered, and ends the stream when its last side has ended. */
  #passEnds(stream: DnsStream): void {
    const { client, upstream } = stream;
    if (client === null) return;
    const isAnswered = stream.open.length === 0 && client.waiting === 0;
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
