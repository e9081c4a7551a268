import { isOutOfDescriptors } from "../admission/admission.js";
import type { DescriptorQuota } from "../admission/descriptors.js";
import type { Address, Family } from "../base/address.js";
import { NEVER } from "../base/clock.js";
import { type DropCounters, DropReason } from "../base/drop.js";
import { IdPool } from "../base/id-pool.js";
import type { GuestConfig } from "../config/guest-config.js";
import type { PassBeside } from "../datagram/published.js";
import type { DatagramRelay } from "../datagram/relay.js";
import type { Engine } from "../engine/engine.js";
import type { Neighbors } from "../frames/neighbors.js";
import { appearanceOf } from "../nat/appearance.js";
import {
  leadsTo,
  type PublishedPort,
  type PublishedRule,
  readdressed,
  ruleFor,
  splicedRule,
} from "../nat/published-port.js";
import { Epoll, Errno } from "../sys/constants.js";
import { native } from "../sys/native.js";
import { bindDatagramPort } from "../sys/sockets/datagram-socket.js";
import { listenSocket } from "../sys/sockets/listening.js";
import { type Accepted, acceptSocket, localAddress, resetSocket } from "../sys/sockets/socket.js";
import { TokenKind, tokenOf } from "../sys/token.js";
import type { TcpRelay } from "../tcp/relay.js";
import type { LoopbackRelay } from "./loopback/relay.js";

/** Clients accepted from one listener per event, so that no listener starves another. */
const ACCEPT_BATCH = 32;

/** How long a client waits for the guest's Ethernet address, in ms: three solicitations (RFC 4861 §10). */
const WAIT_LIMIT = 3_000;
/** How often waiting clients are tried again, in ms. */
const WAIT_RETRY = 250;

/** How long no client is accepted after the process ran out of descriptors, in ms. */
const PAUSE = 100;

/** What the published ports need of their guest. */
export interface ForwardContext {
  readonly config: GuestConfig;
  readonly drops: DropCounters;
  readonly quota: DescriptorQuota;
  /** Index of the guest in tokens. */
  readonly guest: number;
  readonly tcp: Pick<TcpRelay, "connect" | "endPublished">;
  readonly datagrams: Pick<DatagramRelay, "onPublished" | "endSessions">;
  readonly neighbors: Pick<Neighbors, "macOf">;
}

/** A socket for the clients of a port, by protocol: see listenSocket() and bindDatagramPort(). */
export type ListenerSockets = Readonly<Record<PublishedPort["protocol"], typeof listenSocket>>;

const HOST_SOCKETS: ListenerSockets = { tcp: listenSocket, udp: bindDatagramPort };

type ByFamily = Readonly<Record<Family, PublishedRule>>;

interface Listener {
  readonly rule: PublishedRule;
  /** The rule as it is for clients of each family. */
  readonly ruleOf: ByFamily;
  /** The same for clients at the host's loopback that go beside the TAP; null: none does. */
  readonly splicedOf: ByFamily | null;
  readonly passBeside: PassBeside | null;
  /** Its id in tokens. */
  readonly slot: number;
  readonly fd: number;
  /** Until when a UDP port waits for the guest's Ethernet address; NEVER: it does not wait. */
  waitsUntil: number;
}

/** A TCP client that waits for the guest's Ethernet address. */
interface Waiting {
  readonly rule: PublishedRule;
  readonly client: Accepted;
  readonly until: number;
}

/**
 * The published ports of one guest. Each client becomes a connection to the guest, with the client's own
 * address as its source where the guest can answer it (appearanceOf). Connections outlive their rule.
 */
export class PortForwards implements Engine {
  readonly kind: TokenKind;
  readonly #sockets: ListenerSockets;
  #context: ForwardContext;
  /** By the rule's id. */
  readonly #listeners = new Map<number, Listener>();
  readonly #bySlot: (Listener | undefined)[] = [];
  /** A guest may have ports published and ended (auto) more often than a token has ids. */
  readonly #slots = new IdPool();
  #waiting: Waiting[] = [];
  /** UDP ports that wait for the guest's Ethernet address. */
  readonly #waitingPorts = new Set<Listener>();
  #lastId = 0;
  #isClosed = false;
  /** For rules that lead to the guest's loopback; null: no rule may. */
  #loopback: LoopbackRelay | null = null;
  /** When accepting goes on after a pause; NEVER: there is no pause. */
  #resumeAt = NEVER;
  /** When whoever waits for the guest's Ethernet address is tried again; NEVER: nobody waits. */
  #retryAt = NEVER;
  /** Called after a rule was added or removed. */
  onChange: (() => void) | null = null;

  /** @param kind of the tokens of its listeners */
  constructor(
    context: ForwardContext,
    kind: TokenKind = TokenKind.Published,
    sockets: ListenerSockets = HOST_SOCKETS,
  ) {
    this.#context = context;
    this.kind = kind;
    this.#sockets = sockets;
  }

  /** Keeps rules and waiting clients when the guest's stack and relays were built again. */
  resume(context: ForwardContext): void {
    this.#context = context;
  }

  /** Whether close() was called: the guest is gone. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** The rules in force, in the order in which they were added. */
  get rules(): readonly PublishedRule[] {
    return [...this.#listeners.values()].map(({ rule }) => rule);
  }

  /** Listening sockets, and clients that wait for the guest's Ethernet address. */
  get descriptors(): number {
    return this.#listeners.size + this.#waiting.length;
  }

  get endable(): number {
    return this.#waiting.length;
  }

  /** Resets the client that has waited longest. @returns false when no client waits */
  endOldest(): boolean {
    const oldest = this.#waiting.shift();
    if (oldest !== undefined) resetSocket(oldest.client.fd);
    return oldest !== undefined;
  }

  /** Allows rules that lead to the guest's loopback. */
  useLoopback(loopback: LoopbackRelay): void {
    this.#loopback = loopback;
  }

  /**
   * Publishes a port.
   * @param id that the rule had in another process before; by default the next free one
   * @returns the rule's id, 1 or more, or a negative errno of bind(2), or ENOSPC: the guest has reached
   * its limit of listeners, ENETUNREACH: the rule leads to the guest's loopback without useLoopback(),
   * ENETDOWN: the guest is gone
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
    const fd = this.#sockets[port.protocol](port.host, port.hostPort, port);
    if (fd < 0) return fd;
    const hostPort = localAddress(fd)?.port ?? port.hostPort;
    const slot = this.#slots.take();
    const watched = native.watch(fd, Epoll.In, tokenOf(this.kind, this.#context.guest, slot));
    if (watched < 0) {
      this.#slots.release(slot);
      native.close(fd);
      return watched;
    }
    this.#lastId = Math.max(this.#lastId, id);
    const listener = this.#listenerOf({ ...port, hostPort, id }, fd, slot);
    this.#listeners.set(id, listener);
    this.#bySlot[slot] = listener;
    this.onChange?.();
    return id;
  }

  /**
   * Removes a rule and closes its socket. Its TCP connections stay; its UDP sessions end, as their
   * sockets hold the port.
   * @param kill also resets its TCP connections, on both sides
   * @returns whether there was such a rule
   */
  remove(id: number, kill = false): boolean {
    const listener = this.#listeners.get(id);
    if (listener === undefined) return false;
    native.close(listener.fd);
    if (!listener.rule.guest.isLoopback) this.#context.datagrams.endSessions(listener.rule);
    this.#loopback?.endSessions(id);
    this.#listeners.delete(id);
    this.#bySlot[listener.slot] = undefined;
    this.#slots.release(listener.slot);
    this.#waitingPorts.delete(listener);
    if (kill) this.#endConnections(listener.rule);
    this.onChange?.();
    return true;
  }

  /** Rules that lead to one address of the guest lead to another from now on. Their TCP connections stay. */
  readdress(from: Address, to: Address): void {
    for (const listener of this.#listeners.values()) {
      const { rule, fd, slot, waitsUntil } = listener;
      if (!leadsTo(rule, from)) continue;
      this.#context.datagrams.endSessions(rule);
      this.#loopback?.endSessions(rule.id);
      const next = { ...this.#listenerOf(readdressed(rule, from, to), fd, slot), waitsUntil };
      this.#listeners.set(rule.id, next);
      this.#bySlot[slot] = next;
      if (this.#waitingPorts.delete(listener)) this.#waitingPorts.add(next);
    }
    this.#waiting = this.#waiting.map((each) => ({
      ...each,
      rule: readdressed(each.rule, from, to),
    }));
  }

  #endConnections({ id, guest: { isLoopback: isOfLoopback } }: PublishedRule): void {
    if (!isOfLoopback) this.#context.tcp.endPublished(id);
    this.#loopback?.endConnections(id);
    const [ending, staying] = partition(this.#waiting, ({ rule }) => rule.id === id);
    for (const { client } of ending) resetSocket(client.fd);
    this.#waiting = staying;
  }

  /** Accepts a port's clients, at most ACCEPT_BATCH, or receives its datagrams. */
  onEvents(slot: number, _events: number, now: number): void {
    const listener = this.#bySlot[slot];
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
      const { family } = client.address;
      const rule = listener.ruleOf[family];
      const spliced = client.address.isLoopback ? listener.splicedOf?.[family] : undefined;
      if (rule.guest.isLoopback) this.#loopback?.connect(client, rule, now);
      else if (spliced && this.#loopback) this.#loopback.connect(client, spliced, now);
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

  /** Receives datagrams; they stay in the socket while the guest's Ethernet address is asked for. */
  #receiveFrom(listener: Listener, now: number): void {
    const { neighbors, datagrams } = this.#context;
    const { fd, rule } = listener;
    const mac = neighbors.macOf(rule.via ?? rule.guest, now);
    const waits = listener.waitsUntil !== NEVER;
    if (mac !== null || now >= listener.waitsUntil) {
      if (waits) this.#endWait(listener);
      const passBeside = this.#loopback === null ? null : listener.passBeside;
      datagrams.onPublished(fd, rule, mac, now, passBeside);
    } else if (!waits) {
      listener.waitsUntil = now + WAIT_LIMIT;
      this.#waitingPorts.add(listener);
      this.#rewatch(fd, 0, listener.slot);
    }
  }

  #endWait(listener: Listener): void {
    listener.waitsUntil = NEVER;
    this.#waitingPorts.delete(listener);
    this.#rewatch(listener.fd, Epoll.In, listener.slot);
  }

  /** Ends a pause that is over, and tries again whoever waits for the guest's Ethernet address. */
  turn(now: number): void {
    if (now >= this.#resumeAt) this.#resume();
    if (this.#hasWaiting) this.#retry(now);
    this.#retryAt = this.#hasWaiting ? now + WAIT_RETRY : NEVER;
  }

  nextAt(): number {
    if (this.#retryAt === NEVER && this.#resumeAt === NEVER) return NEVER;
    return Math.min(this.#retryAt, this.#resumeAt);
  }

  get #hasWaiting(): boolean {
    return this.#waiting.length > 0 || this.#waitingPorts.size > 0;
  }

  #retry(now: number): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const each of waiting) this.#take(each, now);
    for (const listener of this.#waitingPorts) this.#receiveFrom(listener, now);
  }

  reap(): void {
    this.#slots.reap();
  }

  close(): void {
    this.#isClosed = true;
    for (const { fd } of this.#listeners.values()) native.close(fd);
    for (const { client } of this.#waiting) resetSocket(client.fd);
    this.#listeners.clear();
    this.#bySlot.length = 0;
    this.#waitingPorts.clear();
    this.#waiting = [];
  }

  #listenerOf(rule: PublishedRule, fd: number, slot: number): Listener {
    const ruleOf = { 4: ruleFor(rule, 4), 6: ruleFor(rule, 6) };
    const spliced =
      rule.splice === undefined ? null : { 4: splicedRule(rule, 4), 6: splicedRule(rule, 6) };
    const passBeside: PassBeside = (port, client, datagram, now) => {
      const own = spliced?.[client.address.family] ?? rule;
      this.#loopback?.passOn({ ...port, rule: own }, client, datagram, now);
    };
    return {
      rule,
      ruleOf,
      splicedOf: spliced,
      passBeside: spliced === null ? null : passBeside,
      slot,
      fd,
      waitsUntil: NEVER,
    };
  }

  /** Connects a client to the guest, or has it wait for the guest's Ethernet address, or resets it. */
  #take(each: Waiting, now: number): void {
    const { neighbors, drops, config } = this.#context;
    const { rule, client, until } = each;
    const mac = neighbors.macOf(rule.via ?? rule.guest, now);
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

  /** Stops accepting: without a free descriptor the listeners would report their clients in every wake-up. */
  #pause(now: number): void {
    this.#resumeAt = now + PAUSE;
    for (const { fd, slot } of this.#tcpListeners()) this.#rewatch(fd, 0, slot);
  }

  #resume(): void {
    this.#resumeAt = NEVER;
    for (const { fd, slot } of this.#tcpListeners()) this.#rewatch(fd, Epoll.In, slot);
  }

  #tcpListeners(): readonly Listener[] {
    return [...this.#listeners.values()].filter(({ rule }) => rule.protocol === "tcp");
  }

  #rewatch(fd: number, events: number, slot: number): void {
    native.rewatch(fd, events, tokenOf(this.kind, this.#context.guest, slot));
  }
}

function partition<T>(all: readonly T[], test: (each: T) => boolean): [T[], T[]] {
  return [all.filter(test), all.filter((each) => !test(each))];
}
