import {
  Admission,
  type BulkMeter,
  isOutOfDescriptors,
  isOutOfMemory,
} from "../admission/admission.js";
import type { DescriptorQuota } from "../admission/descriptors.js";
import { FlowLimiter, type Slot } from "../admission/flow-limiter.js";
import type { LimitReports } from "../admission/limit-reports.js";
import { Address } from "../base/address.js";
import { NEVER } from "../base/clock.js";
import { type DropCounters, DropReason } from "../base/drop.js";
import type { Mac } from "../base/mac.js";
import type { GuestConfig } from "../config/plan.js";
import type { DnsStreams } from "../dns/streams.js";
import type { Engine, EngineFigures, Uploads } from "../engine/engine.js";
import { endpointKey } from "../nat/endpoint-key.js";
import type { FlowRecord, FlowState } from "../nat/flow-record.js";
import { openOutbound } from "../nat/outbound.js";
import { PORT_ATTEMPTS, type PublishedRule, randomPort } from "../nat/published-port.js";
import { gatewayOf, isOurDns, translateDestination } from "../nat/translate.js";
import type { FlowTuple, Stack } from "../stack/stack.js";
import { FlowEvent, StackFault, TICK_INTERVAL } from "../stack/stack.js";
import { Epoll, Errno, Socket, STREAM_EVENTS } from "../sys/constants.js";
import { native } from "../sys/native.js";
import {
  connectSocket,
  localAddress,
  peerAddress,
  pendingError,
  resetSocket,
  roundTripTime,
  setTrafficClass,
} from "../sys/socket.js";
import { TokenKind, tokenOf } from "../sys/token.js";
import { IcmpError } from "../wire/icmp.js";
import { DSCP_MASK } from "../wire/ip.js";

/** Bytes that one flow may receive from the host before it is others' turn: a superframe. */
const QUANTUM = 64 * 1024;
/** Bytes that all flows together receive in one wake-up; more is left for the next. */
const WAKE_BUDGET = 1024 * 1024;
/** The same while somebody waits for requests and answers: some 0.3 ms, of which each waits for two. */
const SHORT_WAKE_BUDGET = 256 * 1024;
/** A host that says so few bytes at a time, twice in a row, carries on a conversation. */
const SMALL = 4096;
/** For so many wake-ups after that they are short. */
const SHORT_WAKES = 1024;

const SOCKET_EVENTS = STREAM_EVENTS | Epoll.Priority;

/** How soon flows that starve may read again, and how soon SYNs are looked at that came too fast, in ms. */
const STARVED_WAIT = 10;
const SYN_WAIT = 1;

/** SYNs that waited and begin in one turn while there are other guests: each costs a socket. */
const MOST_ADMITTED = 4;

/** What the relay needs of its guest. */
export interface TcpContext {
  readonly stack: Stack;
  readonly config: GuestConfig;
  /** null when nothing answers at the DNS address. */
  readonly dnsStreams: DnsStreams | null;
  readonly drops: DropCounters;
  readonly reports: LimitReports;
  readonly bulk: BulkMeter;
  readonly quota: DescriptorQuota;
  /** Number of the registered memory of the stack. */
  readonly memory: number;
  /** Index of the guest in tokens. */
  readonly guest: number;
  /** Answers the flow's held SYN with an ICMP error. */
  readonly sendUnreachable: (id: number, tuple: FlowTuple, error: IcmpError) => void;
}

/** A connection and the guest's Ethernet address. */
export interface Connection {
  readonly tuple: FlowTuple;
  readonly mac: Mac;
}

class TcpFlow {
  readonly fd: number;
  /** The rule of the published port whose client began it; 0: the guest did. */
  readonly rule: number;
  readonly slot: Slot;
  /** When it began, in ms of the loop's clock. */
  readonly since: number;
  /** Bytes that the host socket has taken and given. */
  sent = 0;
  received = 0;
  /** Both sides are established, or the guest has been answered. */
  connected = false;
  /** The kernel had no memory for what it was to send; it takes it later, and tells nobody. */
  sendsAgain = false;
  readable = false;
  writable = false;
  /** The host peer has closed or failed: read on to the end, even after a short read. */
  hungUp = false;
  /** The host peer has sent urgent data, in front of which a read stops short. */
  urgent = false;
  hostEnded = false;
  guestEnded = false;
  /** The end of the guest's data has been passed to the host. */
  writeShut = false;
  /** lwIP is done with the connection. */
  stackClosed = false;
  /** Whether the host said little the last time. */
  saidLittle = false;
  /** Where it waits for its turn. */
  queued: "ready" | "starved" | null = null;
  /** Where a client of a published port is led that the guest refuses; null: it is reset. */
  otherwise: Address | null = null;

  constructor(fd: number, rule: number, slot: Slot, since: number) {
    this.fd = fd;
    this.rule = rule;
    this.slot = slot;
    this.since = since;
  }

  /** Whether a client of a published port began it: then the host side is the first to stand. */
  get isPublished(): boolean {
    return this.rule > 0;
  }

  get state(): FlowState {
    if (!this.connected) return "connecting";
    if (this.guestEnded) return this.hostEnded ? "closing" : "guest-ended";
    return this.hostEnded ? "host-ended" : "established";
  }
}

/**
 * Relays the guest's TCP connections over host sockets. Driven by two sources, events of the stack
 * and of the sockets; keeps no timers of its own.
 */
export class TcpRelay implements Engine {
  readonly kind = TokenKind.Tcp;
  readonly #context: TcpContext;
  readonly #flows: (TcpFlow | undefined)[] = [];
  /** Flows with more to read than their turn allowed. */
  #ready: number[] = [];
  /** Flows that may read when there is memory again. */
  #starved: number[] = [];
  #working: number[] = [];
  /** Ids that the stack still holds for flows that are gone. */
  readonly #ended: number[] = [];
  readonly #limiter: FlowLimiter;
  readonly #admission: Admission;
  /** SYNs that wait to be admitted, in the order in which they came. */
  readonly #waiting = new Set<number>();
  /** When those that starve may read again: not at every turn, as they may be many. */
  #feedAt = 0;
  #count = 0;
  /** Clients of published ports that the guest has not answered. */
  #opening = 0;
  #received = 0;
  #sent = 0;
  /** Of #received, what takeMoved() has told. */
  #told = 0;
  /** Bytes that may be received in this wake-up still. */
  #left = WAKE_BUDGET;
  /** Wake-ups that are to be short. */
  #shortWakes = 0;

  constructor(context: TcpContext) {
    const { limits } = context.config;
    this.#context = context;
    this.#limiter = new FlowLimiter(limits);
    this.#admission = new Admission(limits.newFlows, context.bulk);
  }

  /** Bytes received from host sockets since the last call. */
  takeMoved(): number {
    const { received } = this;
    this.#told = this.#received;
    return received;
  }

  addFigures(figures: EngineFigures): void {
    figures.tcpFlows += this.#count;
    figures.tcpBytesFromGuest += this.#sent;
    figures.tcpBytesToGuest += this.#received;
  }

  /** The connections there are, each as it is when it is asked for. */
  *records(): Generator<FlowRecord> {
    for (let id = 0; id < this.#flows.length; id += 1) {
      const flow = this.#flows[id];
      if (flow !== undefined) yield this.#record(id, flow);
    }
  }

  #record(id: number, flow: TcpFlow): FlowRecord {
    const { stack } = this.#context;
    const { guest, guestPort, peer, peerPort } = stack.tuple(id);
    return {
      protocol: "tcp",
      direction: flow.isPublished ? "inbound" : "outbound",
      state: flow.state,
      guest: {
        own: { address: guest, port: guestPort },
        peer: { address: peer, port: peerPort },
      },
      host: { own: localAddress(flow.fd), peer: peerAddress(flow.fd) },
      fromGuest: { bytes: flow.sent, packets: stack.framesFromGuest(id) },
      toGuest: { bytes: flow.received, packets: stack.framesToGuest(id) },
      since: flow.since,
      roundTripTime: roundTripTime(flow.fd),
    };
  }

  addUploads(uploads: Uploads): void {
    const open = this.#flows.filter((flow) => flow?.connected && !flow.writeShut);
    uploads.open += open.length;
    uploads.blocked ||= open.some((flow) => flow?.writable === false);
    uploads.sent += this.#sent;
  }

  /** Bytes received from host sockets since the last takeMoved(). */
  get received(): number {
    return this.#received - this.#told;
  }

  /** Each flow has one. */
  get descriptors(): number {
    return this.#count;
  }

  get endable(): number {
    return this.#count;
  }

  /** Handles the events of one flow that the stack reported. */
  onStackEvents(id: number, events: number, now: number): void {
    if (events & FlowEvent.Syn) {
      if (this.#flows[id] !== undefined) throw new StackFault(`flow ${id} begins twice`);
      this.#admit(id, now);
    }
    const flow = this.#flows[id];
    if (flow === undefined) {
      if (events & FlowEvent.Reset && this.#waiting.delete(id)) this.#ended.push(id);
      return;
    }
    this.#limiter.touch(flow.slot);
    if (events & FlowEvent.Open && !flow.isPublished) this.#admission.giveBack();
    if (events & FlowEvent.Reset) {
      if (flow.connected || !this.#leadElsewhere(id, flow)) this.#abort(id, flow);
      return;
    }
    if (events & FlowEvent.Open && !flow.connected) {
      flow.connected = true;
      this.#opening -= 1;
    }
    if (events & FlowEvent.Closed) flow.stackClosed = true;
    if (events & FlowEvent.Fin) flow.guestEnded = true;
    if (events & (FlowEvent.Data | FlowEvent.Fin | FlowEvent.Closed)) this.#forward(id, flow);
    if (events & FlowEvent.Space && this.#flows[id] === flow) this.#onReadable(id, flow);
  }

  onEvents(id: number, events: number): void {
    const flow = this.#flows[id];
    if (flow === undefined) return;
    this.#limiter.touch(flow.slot);
    if (!flow.connected && !flow.isPublished) {
      this.#onConnected(id, flow, events);
      return;
    }
    if (!flow.connected && events & (Epoll.HangUp | Epoll.Error)) {
      this.#abort(id, flow);
      return;
    }
    if (events & (Epoll.ReadHangUp | Epoll.HangUp | Epoll.Error)) flow.hungUp = true;
    if (events & Epoll.Priority) flow.urgent = true;
    if (events & Epoll.Out && !flow.writable) {
      flow.writable = true;
      this.#forward(id, flow);
    }
    if (events & (Epoll.In | Epoll.ReadHangUp | Epoll.HangUp | Epoll.Error)) {
      flow.readable = true;
      if (this.#flows[id] === flow) this.#onReadable(id, flow);
    }
  }

  /** Gives a turn to every flow that had more to read, and to SYNs that wait. */
  turn(now: number, isShared: boolean): void {
    const most = isShared ? MOST_ADMITTED : Number.POSITIVE_INFINITY;
    if (this.#waiting.size > 0) this.#admitWaiting(now, most);
    this.#serveReady();
    if (this.#starved.length === 0 || now < this.#feedAt) return;
    this.#feedAt = now + STARVED_WAIT;
    const starved = this.#starved;
    this.#starved = [];
    this.#retry("starved", starved);
  }

  nextAt(now: number): number {
    if (this.#ready.length > 0) return now;
    if (this.#waiting.size > 0) return now + SYN_WAIT;
    return this.#starved.length > 0 ? now + TICK_INTERVAL : NEVER;
  }

  /** Gives back the ids of flows that ended; to be called when no fetched event is left. */
  reap(): void {
    if (this.#ended.length === 0) return;
    for (const id of this.#ended) this.#context.stack.release(id);
    this.#ended.length = 0;
  }

  /**
   * Ends every flow. The host peers see a reset, but those to whom all has been sent: the kernel
   * still delivers that.
   */
  close(): void {
    this.#flows.forEach((flow, id) => {
      if (flow?.writeShut) this.#dropHost(id, flow);
      else if (flow !== undefined) this.#abort(id, flow);
    });
    this.reap();
  }

  /** Both ends of each established connection, as far as a stack that has failed still tells. */
  connections(): readonly Connection[] {
    const found: Connection[] = [];
    this.#flows.forEach((flow, id) => {
      if (!flow?.connected) return;
      try {
        const { stack } = this.#context;
        found.push({ tuple: stack.tuple(id), mac: stack.guestMac(id) });
      } catch {
        // Its next segment will meet a stack that does not know it, and be answered by RST.
      }
    });
    return found;
  }

  /** Resets the host peers and nothing else: the stack has failed. close() does nothing then. */
  abandon(): void {
    for (const flow of this.#flows) if (flow !== undefined) resetSocket(flow.fd);
    this.#flows.length = 0;
    this.#waiting.clear();
    this.#ended.length = 0;
  }

  /** Resets both sides of every connection that came by a published port. */
  endPublished(rule: number): void {
    this.#flows.forEach((flow, id) => {
      if (flow?.rule === rule) this.#abort(id, flow);
    });
  }

  /** In turn, a quantum each, until the wake-up's budget is used or nobody has anything. */
  #serveReady(): void {
    for (let before = -1; this.#ready.length > 0 && this.#left > 0 && before !== this.#left; ) {
      before = this.#left;
      this.#retry("ready", this.#swap());
    }
    if (this.#shortWakes > 0) this.#shortWakes -= 1;
    this.#left = this.hasConversations ? SHORT_WAKE_BUDGET : WAKE_BUDGET;
  }

  /** Whether requests and answers pass, for which bulk is to make room. */
  get hasConversations(): boolean {
    return this.#shortWakes > 0;
  }

  #noteVolume(flow: TcpFlow, taken: number): void {
    if (taken === 0) return;
    const isLittle = taken < SMALL;
    if (isLittle && flow.saidLittle) this.#shortWakes = SHORT_WAKES;
    flow.saidLittle = isLittle;
  }

  /** The ready list, to work on while flows queue up for the next turn. */
  #swap(): number[] {
    const ready = this.#ready;
    this.#ready = this.#working;
    this.#working = ready;
    return ready;
  }

  /** @param list where they waited; who has moved on meanwhile is left out */
  #retry(list: "ready" | "starved", ids: number[]): void {
    for (const id of ids) {
      const flow = this.#flows[id];
      if (flow?.queued !== list) continue;
      flow.queued = null;
      if (flow.sendsAgain) {
        flow.sendsAgain = false;
        this.#forward(id, flow);
      }
      if (this.#flows[id] === flow) this.#pump(id, flow);
    }
    ids.length = 0;
  }

  /** Opens it now or soon; a SYN that is too many is dropped: who means it repeats it. */
  #admit(id: number, now: number): void {
    const { config, reports } = this.#context;
    if (this.#waiting.size === 0 && this.#admission.take(now)) {
      this.#open(id, now);
    } else if (this.#waiting.size < config.limits.halfOpen) {
      this.#waiting.add(id);
    } else {
      reports.report(DropReason.LimitRate, now);
      this.#ended.push(id);
    }
  }

  #admitWaiting(now: number, most: number): void {
    let left = most;
    for (const id of this.#waiting) {
      if (left === 0 || !this.#admission.take(now)) return;
      left -= 1;
      this.#waiting.delete(id);
      this.#open(id, now);
    }
  }

  #open(id: number, now: number): void {
    const { stack, config, drops, dnsStreams } = this.#context;
    const tuple = stack.tuple(id);
    const { peer, peerPort } = tuple;
    const isDns = dnsStreams !== null && isOurDns(config, peer, peerPort);
    const destination = isDns ? peer : translateDestination(config, peer);
    if (!(destination instanceof Address)) {
      drops.count(destination);
      this.#refuseByPolicy(id, tuple, destination);
      return;
    }
    const place = endpointKey(destination, peerPort);
    this.#makeRoom(place, true, now);
    let fd = this.#openSocket(id, isDns ? dnsStreams : null, destination, peerPort, now);
    if (isOutOfDescriptors(-fd) && this.#context.quota.reclaimOne())
      fd = this.#openSocket(id, isDns ? dnsStreams : null, destination, peerPort, now);
    if (fd < 0) {
      if (isOutOfDescriptors(-fd)) this.#context.reports.report(DropReason.LimitDescriptors, now);
      this.#fail(id, tuple, -fd);
      return;
    }
    this.#flows[id] = new TcpFlow(fd, 0, this.#limiter.add(id, place, true), now);
    this.#count += 1;
  }

  /** @param dnsStreams null: it is connected to the destination */
  #openSocket(
    id: number,
    dnsStreams: DnsStreams | null,
    destination: Address,
    port: number,
    now: number,
  ): number {
    const { quota } = this.#context;
    if (dnsStreams !== null)
      return quota.mayOpen(2) ? this.#openDns(id, dnsStreams, now) : -Errno.EMFILE;
    return quota.mayOpen(1) ? this.#connect(id, destination, port) : -Errno.EMFILE;
  }

  /** Ends what has been idle for longest, where one more connection would be too many. */
  #makeRoom(destination: number | null, isHalfOpen: boolean, now: number): void {
    const limiter = this.#limiter;
    let eviction = limiter.evictionFor(destination, isHalfOpen);
    for (; eviction !== null; eviction = limiter.evictionFor(destination, isHalfOpen)) {
      const { id, reason } = eviction;
      const flow = this.#flows[id];
      if (flow === undefined) return;
      this.#context.reports.report(reason, now);
      this.#endIdle(id, flow);
    }
  }

  /** Ends what has been idle for longest of all. @returns false when there is nothing */
  endOldest(): boolean {
    const { oldest } = this.#limiter;
    const flow = oldest === null ? undefined : this.#flows[oldest];
    if (oldest === null || flow === undefined) return false;
    this.#endIdle(oldest, flow);
    return true;
  }

  #endIdle(id: number, flow: TcpFlow): void {
    if (flow.connected || flow.isPublished) this.#abort(id, flow);
    else this.#giveUp(id, flow);
  }

  /**
   * Connects a client of a published port to the guest; a guest that refuses resets the client.
   * @param fd the client's socket, the relay's from now on
   * @param rule the port's; a client that is refused is led to its other address once
   * @param tuple with the client as peer; where its port is taken already it gets another
   * @param now in ms
   * @returns false when there is no room: fd is the caller's still
   */
  connect(fd: number, rule: PublishedRule, tuple: FlowTuple, mac: Mac, now: number): boolean {
    if (this.#opening >= this.#context.config.limits.halfOpen) return false;
    this.#makeRoom(null, false, now);
    const id = this.#openToGuest(tuple, mac);
    if (id < 0) return false;
    if (this.#flows[id] !== undefined) throw new StackFault(`flow ${id} begins twice`);
    setConnectionOptions(fd);
    const token = tokenOf(this.kind, this.#context.guest, id);
    if (native.watch(fd, SOCKET_EVENTS, token) < 0) {
      this.#context.stack.reset(id);
      this.#ended.push(id);
      return false;
    }
    this.#addPublished(id, fd, rule.id, now).otherwise = rule.otherwise ?? null;
    return true;
  }

  #addPublished(id: number, fd: number, rule: number, since: number): TcpFlow {
    const flow = new TcpFlow(fd, rule, this.#limiter.add(id, null, false), since);
    this.#flows[id] = flow;
    this.#count += 1;
    this.#opening += 1;
    return flow;
  }

  /** Tries the guest's other address for a client that it has refused. @returns whether there is one */
  #leadElsewhere(id: number, { fd, rule, otherwise, since }: TcpFlow): boolean {
    if (otherwise === null) return false;
    const { stack, config, guest } = this.#context;
    const { guestPort, peerPort } = stack.tuple(id);
    const peer = gatewayOf(config, otherwise.family);
    const tuple = { guest: otherwise, guestPort, peer, peerPort };
    const next = this.#openToGuest(tuple, stack.guestMac(id));
    if (next < 0) return false;
    stack.reset(id);
    this.#end(id);
    native.rewatch(fd, SOCKET_EVENTS, tokenOf(this.kind, guest, next));
    this.#addPublished(next, fd, rule, since);
    return true;
  }

  /** Several clients may appear as the gateway, and from one port. @returns the flow's id, or -1 */
  #openToGuest(tuple: FlowTuple, mac: Mac): number {
    const { stack } = this.#context;
    let id = stack.connect(tuple, mac);
    for (let attempt = 0; id < 0 && attempt < PORT_ATTEMPTS; attempt += 1) {
      id = stack.connect({ ...tuple, peerPort: randomPort() }, mac);
    }
    return id;
  }

  #openDns(id: number, dnsStreams: DnsStreams, now: number): number {
    const fd = dnsStreams.open(now);
    if (fd < 0) return fd;
    const watched = native.watch(fd, SOCKET_EVENTS, tokenOf(this.kind, this.#context.guest, id));
    if (watched >= 0) return fd;
    native.close(fd);
    return watched;
  }

  /** @returns the socket, connecting, or a negative errno */
  #connect(id: number, destination: Address, port: number): number {
    const { family } = destination;
    const fd = openOutbound(family, this.#context.config.outbound[family], Socket.Stream);
    if (fd < 0) return fd;
    setConnectionOptions(fd);
    if (family === 6) {
      // Without it the host's kernel keeps ICMPv6 errors to itself until the connect times out (m).
      native.setsockopt(fd, Socket.LevelIpv6, Socket.Ipv6ReceiveErrors, 1);
    }
    // ECN is each side's own; the service class is the guest's, as of its SYN.
    const serviceClass = this.#context.stack.heldTrafficClass(id) & DSCP_MASK;
    if (serviceClass !== 0) setTrafficClass(fd, family, serviceClass);
    const token = tokenOf(this.kind, this.#context.guest, id);
    const connected = connectSocket(fd, destination, port);
    const failed = connected < 0 && connected !== -Errno.EINPROGRESS ? connected : 0;
    const error = failed || native.watch(fd, SOCKET_EVENTS, token);
    if (error >= 0) return fd;
    // Not closed in order, which a peer that is connected already would take for an empty stream.
    resetSocket(fd);
    return error;
  }

  #onConnected(id: number, flow: TcpFlow, events: number): void {
    const { stack } = this.#context;
    const error = events & (Epoll.Error | Epoll.HangUp) ? pendingError(flow.fd) : 0;
    if (error !== 0) {
      native.close(flow.fd);
      this.#forget(id);
      this.#fail(id, stack.tuple(id), error);
      return;
    }
    if (!(events & Epoll.Out)) return;
    flow.connected = true;
    this.#limiter.settle(flow.slot);
    flow.writable = true;
    flow.hungUp = (events & (Epoll.ReadHangUp | Epoll.HangUp)) !== 0;
    flow.urgent = (events & Epoll.Priority) !== 0;
    flow.readable = flow.hungUp || (events & Epoll.In) !== 0;
    if (!stack.accept(id)) this.#abort(id, flow);
  }

  /** Tells the guest that the host could not connect, as truly as TCP and ICMP can say it. */
  #fail(id: number, tuple: FlowTuple, errno: number): void {
    switch (errno) {
      case Errno.ENETUNREACH:
        this.#refuseWith(id, tuple, IcmpError.NetworkUnreachable);
        return;
      case Errno.EHOSTUNREACH:
        this.#refuseWith(id, tuple, IcmpError.HostUnreachable);
        return;
      case Errno.EACCES:
      case Errno.EPERM:
        this.#refuseWith(id, tuple, IcmpError.Prohibited);
        return;
      case Errno.ETIMEDOUT:
        // Silence, as the network had it: the guest's own timer says the same at the same time.
        this.#ended.push(id);
        return;
      default:
        this.#refuse(id);
    }
  }

  #refuseByPolicy(id: number, tuple: FlowTuple, reason: DropReason): void {
    switch (reason) {
      case DropReason.PolicyDenied:
        // Silence where there would be DNS: whoever asks there waits, as with slirp4netns.
        if (isOurDns(this.#context.config, tuple.peer, tuple.peerPort)) this.#ended.push(id);
        else this.#refuseWith(id, tuple, IcmpError.HostUnreachable);
        return;
      case DropReason.PolicyHostLoopback:
        this.#refuseWith(id, tuple, IcmpError.NetworkUnreachable);
        return;
      default:
        // As a router on which nothing listens.
        this.#refuse(id);
    }
  }

  #refuse(id: number): void {
    this.#context.stack.refuse(id);
    this.#ended.push(id);
  }

  #refuseWith(id: number, tuple: FlowTuple, error: IcmpError): void {
    this.#context.sendUnreachable(id, tuple, error);
    this.#ended.push(id);
  }

  /** Guest → host: one sendmsg for all that waits, one ACK. */
  #forward(id: number, flow: TcpFlow): void {
    const { stack, memory } = this.#context;
    if (!flow.connected) return;
    if (!flow.writable) {
      stack.consumed(id, 0);
      return;
    }
    let passed = 0;
    for (let pieces = stack.pending(id); pieces > 0; pieces = stack.pending(id)) {
      const offered = this.#offered(pieces);
      passed += offered;
      if (offered === 0 || passed > stack.memory.byteLength) {
        throw new StackFault(`flow ${id} has data without an end`);
      }
      const sent = native.sendmsg(flow.fd, memory, stack.iovOffset, pieces, 0);
      if (sent < 0) {
        this.#onSendError(id, flow, -sent);
        return;
      }
      stack.consumed(id, sent);
      this.#sent += sent;
      flow.sent += sent;
      if (sent < offered) {
        flow.writable = false;
        return;
      }
    }
    if (!flow.guestEnded && !flow.stackClosed) return;
    if (this.#shutHost(flow)) this.#finishIfDone(id, flow);
    else this.#abort(id, flow);
  }

  /** What was acknowledged to the guest and cannot be delivered must not look like a stream's end. */
  #onSendError(id: number, flow: TcpFlow, errno: number): void {
    if (isOutOfMemory(errno)) {
      flow.sendsAgain = true;
      this.#queue("starved", id, flow);
    } else if (errno === Errno.EAGAIN) {
      flow.writable = false;
    } else {
      this.#abort(id, flow);
      return;
    }
    this.#context.stack.consumed(id, 0);
  }

  #offered(pieces: number): number {
    const { iov } = this.#context.stack;
    let bytes = 0;
    for (let piece = 0; piece < pieces; piece += 1) bytes += iov[2 * piece + 1];
    return bytes;
  }

  /** @returns false when the peer cannot be told that the stream has ended */
  #shutHost(flow: TcpFlow): boolean {
    if (flow.writeShut) return true;
    flow.writeShut = true;
    const result = native.shutdown(flow.fd, Socket.ShutdownWrite);
    // ENOTCONN: the peer has reset the connection, as an event will tell.
    return result >= 0 || result === -Errno.ENOTCONN;
  }

  /** Host → guest: at most a quantum. */
  #pump(id: number, flow: TcpFlow): void {
    const { stack, memory } = this.#context;
    let quantum = QUANTUM;
    while (flow.readable && !flow.hostEnded && quantum > 0) {
      const room = stack.reserve(id);
      if (room <= 0) {
        if (room < 0) this.#queue("starved", id, flow);
        return;
      }
      const received = native.recv(flow.fd, memory, stack.reservedAt, room, 0);
      if (received > 0) {
        stack.commit(id, received);
        this.#received += received;
        flow.received += received;
        quantum -= received;
        this.#left -= received;
        if (received < room && !flow.hungUp && !flow.urgent) flow.readable = false;
      } else if (received === 0) {
        flow.hostEnded = true;
        stack.finish(id);
      } else if (received === -Errno.EAGAIN) {
        flow.readable = false;
      } else if (isOutOfMemory(-received)) {
        this.#queue("starved", id, flow);
        return;
      } else {
        this.#abort(id, flow);
        return;
      }
    }
    this.#noteVolume(flow, QUANTUM - quantum);
    if (flow.hostEnded) this.#finishIfDone(id, flow);
    else if (flow.readable) this.#queue("ready", id, flow);
  }

  /** A flow that waits for its turn keeps its place; where the wake-up's budget is used it gets one. */
  #onReadable(id: number, flow: TcpFlow): void {
    if (flow.queued === "ready") return;
    if (this.#left > 0 || !flow.readable) this.#pump(id, flow);
    else this.#queue("ready", id, flow);
  }

  #queue(list: "ready" | "starved", id: number, flow: TcpFlow): void {
    if (flow.queued === "ready" || flow.queued === list) return;
    flow.queued = list;
    if (list === "ready") this.#ready.push(id);
    else this.#starved.push(id);
  }

  #finishIfDone(id: number, flow: TcpFlow): void {
    if (!flow.stackClosed || !flow.writeShut || !flow.hostEnded) return;
    native.close(flow.fd);
    this.#end(id);
  }

  /** The host socket is of no more use: the guest sees a reset, as it would have from the peer. */
  #dropHost(id: number, flow: TcpFlow): void {
    this.#context.stack.reset(id);
    native.close(flow.fd);
    this.#end(id);
  }

  /** The guest's side is gone: the host peer sees a reset. */
  #abort(id: number, flow: TcpFlow): void {
    this.#context.stack.reset(id);
    resetSocket(flow.fd);
    this.#end(id);
  }

  /** Silence: a guest that means it asks again, and finds its place. */
  #giveUp(id: number, flow: TcpFlow): void {
    native.close(flow.fd);
    this.#end(id);
  }

  #end(id: number): void {
    this.#forget(id);
    this.#ended.push(id);
  }

  #forget(id: number): void {
    const flow = this.#flows[id];
    if (flow === undefined) return;
    if (flow.isPublished && !flow.connected) this.#opening -= 1;
    this.#limiter.remove(flow.slot);
    this.#flows[id] = undefined;
    this.#count -= 1;
  }
}

/**
 * What arrives is passed on at once, and urgent data in line (RFC 6093 §5): apart from the stream its
 * one byte would be lost.
 */
function setConnectionOptions(fd: number): void {
  native.setsockopt(fd, Socket.LevelTcp, Socket.NoDelay, 1);
  native.setsockopt(fd, Socket.LevelSocket, Socket.OutOfBandInline, 1);
}
