import { isOutOfDescriptors } from "../admission/admission.js";
import type { DescriptorQuota } from "../admission/descriptors.js";
import { NEVER } from "../base/clock.js";
import { type DropCounters, DropReason } from "../base/drop.js";
import type { GuestConfig } from "../config/plan.js";
import type { DatagramRelay } from "../datagram/relay.js";
import type { Engine } from "../engine/engine.js";
import type { Neighbors } from "../frames/neighbors.js";
import type { PublishedPort, PublishedRule } from "../nat/published-port.js";
import { appearanceOf } from "../nat/translate.js";
import { Epoll, Errno } from "../sys/constants.js";
import { native } from "../sys/native.js";
import {
  type Accepted,
  acceptSocket,
  bindDatagramPort,
  listenSocket,
  localAddress,
  resetSocket,
} from "../sys/socket.js";
import { TokenKind, tokenOf } from "../sys/token.js";
import type { TcpRelay } from "../tcp/relay.js";
import type { LoopbackRelay } from "./loopback/relay.js";

/** Clients taken of one listener per turn, so that none starves another. */
const ACCEPT_BATCH = 32;

/** For how long one waits, in ms: three solicitations, as in RFC 4861 §10. */
const WAIT_LIMIT = 3_000;
const WAIT_LOOK = 250;

/** For how long no client is taken when the process has no descriptor left, in ms. */
const PAUSE = 100;

/** What the forwards need of their guest. */
export interface ForwardContext {
  readonly config: GuestConfig;
  readonly drops: DropCounters;
  readonly quota: DescriptorQuota;
  /** Index of the guest in tokens. */
  readonly guest: number;
  readonly tcp: TcpRelay;
  readonly datagrams: DatagramRelay;
  readonly neighbors: Neighbors;
}

interface Listener {
  readonly rule: PublishedRule;
  readonly fd: number;
  /** Until when a UDP port waits for the guest's Ethernet address; NEVER: it does not wait. */
  waitsUntil: number;
}

interface Waiting {
  readonly rule: PublishedRule;
  readonly client: Accepted;
  readonly until: number;
}

/**
 * The published ports of one guest. A client of the host becomes a connection to the guest with
 * the client's own address as source; see appearanceOf. Connections outlive their rule.
 */
export class PortForwards implements Engine {
  readonly kind = TokenKind.Published;
  #context: ForwardContext;
  readonly #listeners = new Map<number, Listener>();
  #waiting: Waiting[] = [];
  #lastId = 0;
  #isClosed = false;
  /** For rules that lead to the guest's loopback; null: there may be none. */
  #loopback: LoopbackRelay | null = null;
  /** When clients are taken again; NEVER: they are. */
  #resumeAt = NEVER;
  /** When it is looked whether the guest's Ethernet address is known; NEVER: nobody waits for it. */
  #lookAt = NEVER;
  /** Called when a rule has come or gone; null: nobody is told. */
  onChange: (() => void) | null = null;

  constructor(context: ForwardContext) {
    this.#context = context;
  }

  /** Goes on, rules, clients that wait and all, when what carries their connections was made anew. */
  resume(context: ForwardContext): void {
    this.#context = context;
  }

  /** Whether the guest is gone. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** The rules in force, in the order in which they were added. */
  get rules(): readonly PublishedRule[] {
    return [...this.#listeners.values()].map(({ rule }) => rule);
  }

  /** Of sockets that wait for clients, and of clients that wait for the guest's Ethernet address. */
  get descriptors(): number {
    return this.#listeners.size + this.#waiting.length;
  }

  get endable(): number {
    return this.#waiting.length;
  }

  /** Resets the client that has waited for longest. @returns false when there is none */
  endOldest(): boolean {
    const oldest = this.#waiting.shift();
    if (oldest !== undefined) resetSocket(oldest.client.fd);
    return oldest !== undefined;
  }

  /** From now on rules may lead to the guest's loopback. */
  useLoopback(loopback: LoopbackRelay): void {
    this.#loopback = loopback;
  }

  /**
   * @param id of a rule that was in force before, in another process; otherwise it gets the next
   * @returns the rule's number, 1 or more, or a negative errno as bind(2) has it; ENOSPC: there are
   * as many as may be; ENETUNREACH: it leads to the guest's loopback without useLoopback()
   */
  add(port: PublishedPort, id = this.#lastId + 1): number {
    if (this.#isClosed) return -Errno.ENETDOWN;
    if (port.guest.isLoopback && this.#loopback === null) return -Errno.ENETUNREACH;
    const { config, drops, quota } = this.#context;
    if (this.#listeners.size >= config.limits.listeners) {
      drops.count(DropReason.LimitListeners);
      return -Errno.ENOSPC;
    }
    if (!quota.mayOpen(1)) return -Errno.EMFILE;
    const open = port.protocol === "tcp" ? listenSocket : bindDatagramPort;
    const fd = open(port.host, port.hostPort);
    if (fd < 0) return fd;
    const hostPort = localAddress(fd)?.port ?? port.hostPort;
    const token = tokenOf(this.kind, this.#context.guest, id);
    const watched = native.watch(fd, Epoll.In, token);
    if (watched < 0) {
      native.close(fd);
      return watched;
    }
    this.#lastId = Math.max(this.#lastId, id);
    this.#listeners.set(id, { rule: { ...port, hostPort, id }, fd, waitsUntil: NEVER });
    this.onChange?.();
    return id;
  }

  /**
   * Takes no more clients. TCP connections stay; what UDP has instead ends, as it holds the port.
   * @param kill whether TCP connections are reset, too, on both sides
   * @returns whether there was such a rule
   */
  remove(id: number, kill = false): boolean {
    const listener = this.#listeners.get(id);
    if (listener === undefined) return false;
    native.close(listener.fd);
    this.#context.datagrams.endSessions(listener.rule);
    this.#loopback?.endSessions(id);
    this.#listeners.delete(id);
    if (kill) this.#endConnections(id);
    this.onChange?.();
    return true;
  }

  #endConnections(id: number): void {
    this.#context.tcp.endPublished(id);
    this.#loopback?.endConnections(id);
    const [ending, staying] = partition(this.#waiting, ({ rule }) => rule.id === id);
    for (const { client } of ending) resetSocket(client.fd);
    this.#waiting = staying;
  }

  /** Takes the clients that wait at a port, at most a turn's worth. */
  onEvents(id: number, _events: number, now: number): void {
    const listener = this.#listeners.get(id);
    if (listener === undefined) return;
    const { fd, rule } = listener;
    if (rule.protocol === "tcp") this.#acceptFrom(listener, now);
    else if (rule.guest.isLoopback) this.#loopback?.receive(fd, rule, now);
    else this.#receiveFrom(listener, now);
  }

  #acceptFrom(listener: Listener, now: number): void {
    if (this.#resumeAt !== NEVER) return;
    for (let count = 0; count < ACCEPT_BATCH; count += 1) {
      const client = this.#accept(listener.fd);
      if (typeof client === "number") {
        if (isOutOfDescriptors(-client)) this.#pause(now);
        return;
      }
      const { rule } = listener;
      if (rule.guest.isLoopback) this.#loopback?.connect(client, rule, now);
      else this.#take({ rule, client, until: now + WAIT_LIMIT }, now);
    }
  }

  #accept(listener: number): Accepted | number {
    const { quota } = this.#context;
    if (!quota.mayOpen(1)) return -Errno.EMFILE;
    const client = acceptSocket(listener);
    if (typeof client !== "number" || !isOutOfDescriptors(-client)) return client;
    return quota.reclaimOne() ? acceptSocket(listener) : client;
  }

  /** Datagrams stay in the socket until the guest's Ethernet address is known, or given up. */
  #receiveFrom(listener: Listener, now: number): void {
    const { neighbors, datagrams } = this.#context;
    const { fd, rule } = listener;
    const mac = neighbors.macOf(rule.guest, now);
    const waits = listener.waitsUntil !== NEVER;
    if (mac !== null || now >= listener.waitsUntil) {
      if (waits) this.#rewatch(fd, Epoll.In, rule.id);
      listener.waitsUntil = NEVER;
      datagrams.onPublished(fd, rule, mac, now);
    } else if (!waits) {
      listener.waitsUntil = now + WAIT_LIMIT;
      this.#rewatch(fd, 0, rule.id);
    }
  }

  /** Connects clients that waited. */
  turn(now: number): void {
    if (now >= this.#resumeAt) this.#resume();
    const waiting = this.#waiting;
    if (waiting.length > 0) this.#waiting = [];
    for (const each of waiting) this.#take(each, now);
    let waits = this.#waiting.length > 0;
    for (const listener of this.#listeners.values()) {
      if (listener.waitsUntil !== NEVER) this.#receiveFrom(listener, now);
      waits ||= listener.waitsUntil !== NEVER;
    }
    this.#lookAt = waits ? now + WAIT_LOOK : NEVER;
  }

  nextAt(): number {
    return Math.min(this.#lookAt, this.#resumeAt);
  }

  reap(): void {
    // Rules have numbers of their own, which are not used again.
  }

  close(): void {
    this.#isClosed = true;
    for (const { fd } of this.#listeners.values()) native.close(fd);
    for (const { client } of this.#waiting) resetSocket(client.fd);
    this.#listeners.clear();
    this.#waiting = [];
  }

  #take(each: Waiting, now: number): void {
    const { neighbors, drops, config } = this.#context;
    const { rule, client, until } = each;
    const mac = neighbors.macOf(rule.guest, now);
    if (mac !== null) {
      this.#connect(rule, client, mac, now);
    } else if (now < until && this.#waiting.length < config.limits.halfOpen) {
      this.#waiting.push(each);
    } else if (now >= until && rule.otherwise !== undefined) {
      const { otherwise, ...rest } = rule;
      this.#take({ rule: { ...rest, guest: otherwise }, client, until: now + WAIT_LIMIT }, now);
    } else {
      drops.count(now < until ? DropReason.LimitHalfOpen : DropReason.GuestUnreachable);
      resetSocket(client.fd);
    }
  }

  #connect(rule: PublishedRule, { fd, address, port }: Accepted, mac: number, now: number): void {
    const { config, tcp, drops } = this.#context;
    const { guest, guestPort } = rule;
    const peer = appearanceOf(config, address, guest.family);
    if (tcp.connect(fd, rule, { guest, guestPort, peer, peerPort: port }, mac, now)) return;
    drops.count(DropReason.LimitHalfOpen);
    resetSocket(fd);
  }

  /** Without a descriptor left the listeners would report their clients for ever. */
  #pause(now: number): void {
    this.#resumeAt = now + PAUSE;
    for (const { fd, rule } of this.#tcpListeners()) this.#rewatch(fd, 0, rule.id);
  }

  #resume(): void {
    this.#resumeAt = NEVER;
    for (const { fd, rule } of this.#tcpListeners()) this.#rewatch(fd, Epoll.In, rule.id);
  }

  #tcpListeners(): readonly Listener[] {
    return [...this.#listeners.values()].filter(({ rule }) => rule.protocol === "tcp");
  }

  #rewatch(fd: number, events: number, id: number): void {
    native.rewatch(fd, events, tokenOf(this.kind, this.#context.guest, id));
  }
}

function partition<T>(all: readonly T[], test: (each: T) => boolean): [T[], T[]] {
  return [all.filter(test), all.filter((each) => !test(each))];
}
