import { type Admission, isOutOfDescriptors } from "../admission/admission.js";
import type { DescriptorQuota } from "../admission/descriptors.js";
import type { LimitReports } from "../admission/limit-reports.js";
import type { Address } from "../base/address.js";
import { NEVER } from "../base/clock.js";
import { type DropCounters, DropReason } from "../base/drop.js";
import { IdPool } from "../base/id-pool.js";
import type { GuestConfig } from "../config/guest-config.js";
import type { Engine } from "../engine/engine.js";
import { openOutbound, resolverSource } from "../nat/outbound.js";
import { Epoll, Errno, Socket } from "../sys/constants.js";
import { native } from "../sys/native.js";
import { randomBytes } from "../sys/random.js";
import { connectSocket } from "../sys/sockets/socket.js";
import { TokenKind, tokenOf } from "../sys/token.js";
import { composeDatagram, type LinkEndpoint } from "../wire/datagram.js";
import {
  answersQuery,
  composeDnsFailure,
  DNS_PORT,
  type DnsQuery,
  DnsRcode,
  dnsRcode,
  fitDnsAnswer,
  setDnsId,
} from "../wire/dns.js";
import type { NameServers } from "./name-servers.js";

/** How long a server may take to answer before the next is asked as well, in ms. */
const NEXT_SERVER_AFTER = 1000;

/** When a query fails, in ms; resolvers of the C library have asked twice by then. */
const QUERY_TIMEOUT = 10_000;

const LONGEST_MESSAGE = 0xffff;

/** What the resolver needs of its guest. */
export interface ResolverContext {
  readonly config: GuestConfig;
  readonly nameServers: NameServers;
  readonly drops: DropCounters;
  readonly reports: LimitReports;
  /** The admission that took the queries; an answered query gives its token back. */
  readonly admission: Admission;
  readonly quota: DescriptorQuota;
  /** Index of the guest in tokens. */
  readonly guest: number;
  /** Sends an Ethernet frame to the guest. */
  readonly writeFrame: (frame: Uint8Array) => void;
}

/** One query to one server, on a socket of its own. */
interface Attempt {
  readonly id: number;
  readonly fd: number;
  readonly server: Address;
  /** The query, with this attempt's id. */
  readonly message: Uint8Array;
  readonly query: PendingQuery;
}

/** A query of the guest that has no answer yet. */
class PendingQuery {
  readonly key: string;
  readonly query: DnsQuery;
  readonly client: LinkEndpoint;
  readonly server: LinkEndpoint;
  readonly deadline: number;
  /** Servers that have not been asked yet. */
  readonly servers: Address[];
  readonly attempts: Attempt[] = [];
  /** When the next server is to be asked, in ms. */
  nextAt: number;
  /** When a query was last sent, in ms. */
  askedAt: number;
  /** An answer such as SERVFAIL; the client gets it when no other server does better. */
  refusal: Uint8Array | null = null;

  constructor(
    key: string,
    query: DnsQuery,
    ends: { client: LinkEndpoint; server: LinkEndpoint },
    servers: readonly Address[],
    now: number,
  ) {
    this.key = key;
    this.query = query;
    this.client = ends.client;
    this.server = ends.server;
    this.servers = [...servers];
    this.deadline = now + QUERY_TIMEOUT;
    this.nextAt = now;
    this.askedAt = now;
  }
}

/** Shared by all sockets: an answer is copied before the next is read. */
const received = new Uint8Array(LONGEST_MESSAGE);

/**
 * Forwards the guest's queries to the host's name servers. Each attempt has a connected socket with a port
 * chosen by the kernel, and a random id (RFC 5452 §9). A query's sockets are closed once it is answered, so
 * that late answers are not received.
 */
export class Resolver implements Engine {
  readonly kind = TokenKind.Resolver;
  readonly #context: ResolverContext;
  readonly #queries = new Map<string, PendingQuery>();
  /** By the id in the token. */
  readonly #attempts: (Attempt | undefined)[] = [];
  readonly #ids = new IdPool();
  #nextAt = NEVER;
  #count = 0;

  constructor(context: ResolverContext) {
    this.#context = context;
  }

  /** Begins a query. When the client repeats a query, may send it again to the servers already asked. */
  resolve(query: DnsQuery, client: LinkEndpoint, server: LinkEndpoint, now: number): void {
    const key = keyOf(query, client);
    const known = this.#queries.get(key);
    if (known !== undefined) {
      this.#repeat(known, now);
      return;
    }
    this.#makeRoom(now);
    const { inOrder } = this.#context.nameServers;
    const pending = new PendingQuery(key, query, { client, server }, inOrder, now);
    this.#queries.set(key, pending);
    this.#askNext(pending, now);
  }

  /** Sends a query again that a client repeats, if every server was asked twice and none within a second. */
  #repeat(pending: PendingQuery, now: number): void {
    const isDone = pending.servers.length === 0 && pending.nextAt === pending.deadline;
    if (isDone && now - pending.askedAt >= NEXT_SERVER_AFTER) this.#askAgain(pending, now);
  }

  /** Makes room for one more query: at the limit the oldest fails. */
  #makeRoom(now: number): void {
    const { config, reports } = this.#context;
    if (this.#queries.size < config.limits.dnsQueries) return;
    reports.report(DropReason.LimitDnsQueries, now);
    this.endOldest();
  }

  /** Fails the oldest query. @returns false when there is none */
  endOldest(): boolean {
    // A Map iterates in the order of insertion.
    for (const oldest of this.#queries.values()) {
      this.#fail(oldest);
      return true;
    }
    return false;
  }

  /** Handles the answers and errors of an attempt's socket. */
  onEvents(id: number, _events: number, now: number): void {
    for (let attempt = this.#attempts[id]; attempt !== undefined; attempt = this.#attempts[id]) {
      const length = native.readBytes(attempt.fd, received);
      if (length === -Errno.EAGAIN) return;
      // ECONNREFUSED and the like: no server is there.
      if (length < 0) this.#giveUp(attempt, now);
      else this.#onAnswer(attempt, received.slice(0, length), now);
    }
  }

  /** One for each attempt. */
  get descriptors(): number {
    return this.#count;
  }

  get endable(): number {
    return this.#count;
  }

  /** Asks further servers, and fails queries whose time is up. */
  turn(now: number): void {
    if (now < this.#nextAt) return;
    this.#nextAt = NEVER;
    for (const pending of this.#queries.values()) {
      if (now >= pending.deadline) this.#fail(pending);
      else if (now >= pending.nextAt) this.#askNext(pending, now);
      else this.#nextAt = Math.min(this.#nextAt, pending.nextAt);
    }
  }

  nextAt(): number {
    return this.#queries.size === 0 ? NEVER : this.#nextAt;
  }

  reap(): void {
    this.#ids.reap();
  }

  close(): void {
    for (const pending of this.#queries.values()) this.#end(pending);
  }

  /** Asks the next server; when all were asked, each once more, as queries may have been lost. */
  #askNext(pending: PendingQuery, now: number): void {
    const server = pending.servers.shift();
    pending.nextAt = server === undefined ? pending.deadline : now + NEXT_SERVER_AFTER;
    this.#nextAt = Math.min(this.#nextAt, pending.nextAt);
    if (server === undefined) {
      this.#askAgain(pending, now);
      return;
    }
    pending.askedAt = now;
    const attempt = this.#open(pending, server);
    if (attempt === null) {
      this.#askOthers(pending, now);
      return;
    }
    // An error is reported by the socket, or the next server is asked in a second.
    native.writeBytes(attempt.fd, attempt.message);
  }

  #askAgain(pending: PendingQuery, now: number): void {
    pending.askedAt = now;
    for (const { fd, message } of pending.attempts) native.writeBytes(fd, message);
  }

  #open(query: PendingQuery, server: Address): Attempt | null {
    const { config, guest, quota } = this.#context;
    if (!quota.mayOpen(1)) return null;
    const source = resolverSource(config.outbound, server);
    let fd = openOutbound(server.family, source, Socket.Datagram);
    if (isOutOfDescriptors(-fd) && quota.reclaimOne())
      fd = openOutbound(server.family, source, Socket.Datagram);
    if (fd < 0) return null;
    const id = this.#ids.take();
    const connected = connectSocket(fd, server, DNS_PORT);
    const token = tokenOf(this.kind, guest, id);
    if (connected < 0 || native.watch(fd, Epoll.In, token) < 0) {
      native.close(fd);
      this.#ids.release(id);
      return null;
    }
    const message = Uint8Array.from(query.query.message);
    setDnsId(message, randomId());
    const attempt = { id, fd, server, message, query };
    this.#attempts[id] = attempt;
    this.#count += 1;
    query.attempts.push(attempt);
    return attempt;
  }

  #onAnswer(attempt: Attempt, answer: Uint8Array, now: number): void {
    const { query: pending, server, message } = attempt;
    const id = (message[0] << 8) | message[1];
    if (!answersQuery(answer, pending.query, id)) {
      this.#context.drops.count(DropReason.DnsMalformed);
      return;
    }
    if (isRefusal(answer)) {
      pending.refusal ??= answer;
      this.#giveUp(attempt, now);
      return;
    }
    this.#context.nameServers.prefer(server);
    this.#context.admission.giveBack();
    this.#finish(pending, answer);
  }

  /** Closes an attempt that failed, and asks other servers. */
  #giveUp(attempt: Attempt, now: number): void {
    const { query: pending } = attempt;
    pending.attempts.splice(pending.attempts.indexOf(attempt), 1);
    this.#closeAttempt(attempt);
    this.#askOthers(pending, now);
  }

  /** Asks the next server at once; the query fails when none is left and none may still answer. */
  #askOthers(pending: PendingQuery, now: number): void {
    if (pending.servers.length > 0) this.#askNext(pending, now);
    else if (pending.attempts.length === 0) this.#fail(pending);
  }

  #fail(pending: PendingQuery): void {
    const { query, refusal } = pending;
    this.#finish(pending, refusal ?? composeDnsFailure(query, DnsRcode.ServerFailure));
  }

  /** Sends the answer to the client and removes the query. */
  #finish(pending: PendingQuery, answer: Uint8Array): void {
    const { query, client, server } = pending;
    this.#end(pending);
    const fitting = fitDnsAnswer(query, answer, client.address.family, this.#context.config.mtu);
    setDnsId(fitting, query.id);
    this.#context.writeFrame(composeDatagram(server, client, fitting));
  }

  #end(pending: PendingQuery): void {
    this.#queries.delete(pending.key);
    for (const attempt of pending.attempts) this.#closeAttempt(attempt);
    pending.attempts.length = 0;
  }

  #closeAttempt({ id, fd }: Attempt): void {
    native.close(fd);
    this.#attempts[id] = undefined;
    this.#count -= 1;
    this.#ids.release(id);
  }
}

/** From the kernel's random numbers: nobody who forges answers may guess it. */
function randomId(): number {
  return new Uint16Array(randomBytes(2).buffer)[0];
}

/** A repeated query has the same client, port, id and question. */
function keyOf({ message, questionEnd }: DnsQuery, { address, port }: LinkEndpoint): string {
  const question = Buffer.from(message.buffer, message.byteOffset, questionEnd);
  return `${address} ${port} ${question.toString("latin1")}`;
}

/** Whether another server may have a better answer; the C library tries the next on these codes, too. */
function isRefusal(answer: Uint8Array): boolean {
  const rcode = dnsRcode(answer);
  return (
    rcode === DnsRcode.ServerFailure ||
    rcode === DnsRcode.NotImplemented ||
    rcode === DnsRcode.Refused
  );
}
