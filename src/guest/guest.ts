import { Admission, BulkMeter } from "../admission/admission.js";
import type { DescriptorQuota } from "../admission/descriptors.js";
import { LimitReports } from "../admission/limit-reports.js";
import type { Address, Family } from "../base/address.js";
import { NEVER } from "../base/clock.js";
import { type DropCounters, DropReason, DropCounters as Drops } from "../base/drop.js";
import type { Mac } from "../base/mac.js";
import { type GuestConfig, gatewayMac } from "../config/plan.js";
import { DatagramRelay } from "../datagram/relay.js";
import { NameServers } from "../dns/name-servers.js";
import { Resolver } from "../dns/resolver.js";
import { DnsStreams } from "../dns/streams.js";
import type { Engine, EngineFigures, Uploads } from "../engine/engine.js";
import { Capture, type CaptureFile } from "../frames/capture.js";
import { GuestWriter } from "../frames/guest-writer.js";
import { IcmpErrors, rebuildPacket } from "../frames/icmp-errors.js";
import { Neighbors } from "../frames/neighbors.js";
import { Reassembly } from "../frames/reassembly.js";
import type { FlowRecord } from "../nat/flow-record.js";
import type { SwitchPort } from "../network/switch.js";
import { type ForwardContext, PortForwards } from "../publish/forwards.js";
import { LoopbackRelay, type MakeSocket } from "../publish/loopback/relay.js";
import { type Announcer, DNS_SERVICE, type Service, servicesFor } from "../services/index.js";
import {
  ACK_DELAY,
  type FlowTuple,
  Input,
  MOST_EVENTS_AT_ONCE,
  Stack,
  StackFault,
  type StackStatistics,
  TICK_INTERVAL,
} from "../stack/stack.js";
import { Epoll, Errno } from "../sys/constants.js";
import { native } from "../sys/native.js";
import { randomBytes } from "../sys/random.js";
import { TokenKind, tokenOf } from "../sys/token.js";
import { TcpRelay } from "../tcp/relay.js";
import { ETHERNET_HEADER_LENGTH, EtherType, emitEthernet } from "../wire/ethernet.js";
import { createAddressCaches, Frame, parseFrame } from "../wire/frame.js";
import { IcmpError, icmpChecksumIsRight, isIcmpError, parseTooBig } from "../wire/icmp.js";
import { emitIp, IpProtocol, ipHeaderLength } from "../wire/ip.js";
import { emitBareAck, TCP_HEADER_LENGTH } from "../wire/tcp.js";
import {
  parseVnet,
  VNET_HEADER_LENGTH,
  VnetFlags,
  VnetGso,
  type VnetHeader,
} from "../wire/vnet.js";

/** Frames, and bytes, read from the TAP before the host sockets have their turn. */
const TAP_BATCH = 64;
const TAP_BATCH_BYTES = 512 * 1024;
/** The same while requests and answers pass beside. */
const SHORT_TAP_BATCH_BYTES = 128 * 1024;

/**
 * What a frame for other members costs of a batch while several guests want something: it is written
 * at once, which takes some 5 µs and 5 more for each 16 KiB (measured), so nothing is gained by many
 * in a row, and others wait meanwhile.
 */
const SWITCHED_COST = 8;
const SWITCHED_BYTES_SHIFT = 11;

/** What one for the gateway costs then: few come in a row, as each may have to open a socket. */
const GATEWAY_COST = 16;

/** A guest that sends more bytes in so many ms moves bulk, whether or not its TAP is empty in between. */
const BULK_BYTES = 256 * 1024;
const BULK_TIME = 4;

/**
 * Datagrams in one frame: UDP_MAX_SEGMENTS of Linux since 6.9. No kernel sends more, but whoever writes
 * virtio headers by hand could have one frame cost 65,000 system calls.
 */
const MOST_SEGMENTS = 128;

/**
 * While frames come one by one, the read that would find the TAP empty is spared: epoll tells, as
 * it is level-triggered here. After so many a whole batch is tried again.
 */
const SINGLE_READS = 8;

export type GuestStatistics = Readonly<StackStatistics & EngineFigures>;

/** A service, and how many requests it takes; null for all. */
interface Responder {
  readonly service: Service;
  readonly admission: Admission | null;
}

/** A guest's TAP, opened. */
export interface TapHandle {
  /** A handle of the addon. */
  readonly fd: number;
  /** Whether each frame is preceded by a virtio_net_hdr. */
  readonly vnetHeader: boolean;
  /** Called when the other end has gone, which a TAP's cannot: a socket in its place. */
  onEnd?(): void;
}

function isPresent<T>(value: T | null): value is T {
  return value !== null;
}

/**
 * One guest: a network namespace, its TAP, its stack and its flows. Knows no other guest; the loop
 * tells it what happened and asks when it wants to be called again.
 */
export class Guest {
  readonly config: GuestConfig;
  /** The published ports, which outlive a failure of the stack. */
  readonly forwards: PortForwards;
  readonly drops: DropCounters = new Drops();
  readonly #index: number;
  readonly #tap: TapHandle;
  /** Its port of a network's switch; null when it is alone. */
  readonly #port: SwitchPort | null;
  /** Null when no published port leads to the guest's loopback. */
  #loopback: LoopbackRelay | null = null;
  readonly #responders: readonly Responder[];
  readonly #announcers: readonly Announcer[];
  readonly #reports: LimitReports;
  readonly #quota: DescriptorQuota;
  readonly #bulk = new BulkMeter();
  readonly #admissions = new Map<string, Admission>();
  /** In the order of their turns: those that begin flows come before those that carry them. */
  #engines: readonly Engine[] = [];
  /** Those of them that have takeMoved(), which is asked for at each turn. */
  #movers: readonly Engine[] = [];
  /** By the kind of their tokens. */
  #engineOf: readonly (Engine | undefined)[] = [];
  // What stands in the stack's memory or uses it. #build() sets it all: in the constructor, and anew
  // when the stack has failed.
  #stack!: Stack;
  #memory!: number;
  #frame!: Frame;
  #tcp!: TcpRelay;
  #datagrams!: DatagramRelay;
  #reassembly!: Reassembly;
  #writer!: GuestWriter;
  #icmpErrors!: IcmpErrors;
  #neighbors!: Neighbors;
  /** Null when nothing answers at the DNS address. */
  #resolver: Resolver | null = null;
  #dnsStreams: DnsStreams | null = null;
  /** Those of the engines that are made anew with the stack. */
  #ofStack: readonly Engine[] = [];
  /** Null where nobody asked for it. */
  #capture: Capture | null = null;
  readonly #vnet: VnetHeader = {
    vnetFlags: 0,
    gsoType: 0,
    headersLength: 0,
    gsoSize: 0,
    checksumStart: 0,
    checksumOffset: 0,
  };
  readonly #caches = createAddressCaches();
  /** Bytes of the virtio header in each frame. */
  readonly #frameHeader: number;
  /** Bytes read from the TAP for the gateway since takeMoved(). */
  #moved = 0;
  #isHeavy = false;
  #heavyAt = Number.NEGATIVE_INFINITY;
  /** Bytes read since #countedSince, in ms, and whether they were bulk the time before. */
  #counted = 0;
  #countedSince = 0;
  #movesBulk = false;
  #isShared = false;
  /** Bytes that were for other members alone since takeSwitched(). */
  #switched = 0;
  #acksWait = false;
  /** Wake-ups for which one frame is read of the TAP; then a batch tells whether there is more. */
  #singleReads = 0;
  /** When the stack's timers run, in ms; NEVER while it has no flow. */
  #tickAt = NEVER;
  #now = 0;

  /**
   * @param index the guest's number in tokens
   * @param tap becomes the guest's; close() closes it
   * @param quota of descriptors; the caller's, who says of whom it is
   * @param captureFile gets every frame, both ways; the guest's, too
   * @param port what is for other members goes there; null when there are none
   */
  constructor(
    index: number,
    tap: TapHandle,
    config: GuestConfig,
    quota: DescriptorQuota,
    captureFile: CaptureFile | null = null,
    port: SwitchPort | null = null,
  ) {
    this.config = config;
    this.#quota = quota;
    this.#index = index;
    this.#port = port;
    this.#tap = tap;
    this.#frameHeader = tap.vnetHeader ? VNET_HEADER_LENGTH : 0;
    this.#reports = new LimitReports(this.drops, config.limits);
    const { responders, announcers } = servicesFor(config);
    this.#responders = responders.map((service) => ({
      service,
      admission: service.isLimited ? this.#admissionTo(service.name) : null,
    }));
    this.#announcers = announcers;
    this.forwards = new PortForwards(this.#build(captureFile));
    this.#setEngines();
    this.watchTap();
  }

  /** To be called when another descriptor stands behind that of the TAP. */
  watchTap(): void {
    native.watch(this.#tap.fd, Epoll.In, tokenOf(TokenKind.Tap, this.#index, 0));
  }

  /** @param wanted whether to be told that there are frames; that the TAP is gone is told always */
  setTapWanted(wanted: boolean): void {
    native.rewatch(this.#tap.fd, wanted ? Epoll.In : 0, tokenOf(TokenKind.Tap, this.#index, 0));
  }

  #build(captureFile: CaptureFile | null): ForwardContext {
    const { config } = this;
    const mac = gatewayMac(config.plans);
    const { fd, vnetHeader: offload } = this.#tap;
    this.#stack = new Stack({
      mtu: config.mtu,
      offload,
      mac,
      memoryBudget: config.memoryBudget,
      seed: new Uint32Array(randomBytes(8).buffer),
      transmit:
        captureFile === null
          ? (pieces, count) => native.writev(fd, this.#memory, pieces, count)
          : (pieces, count) => this.#transmitCaptured(pieces, count),
    });
    this.#memory = native.registerMemory(this.#stack.memory);
    this.#frame = new Frame(this.#stack.bytes);
    this.#reassembly = new Reassembly(
      this.#stack,
      this.drops,
      config.limits.reassemblies,
      config.memoryBudget,
    );
    const common = {
      stack: this.#stack,
      config,
      drops: this.drops,
      reports: this.#reports,
      bulk: this.#bulk,
      quota: this.#quota,
      memory: this.#memory,
      guest: this.#index,
    };
    const capture = captureFile === null ? null : new Capture(captureFile, { ...common, offload });
    this.#capture = capture;
    this.#writer = new GuestWriter({ ...common, fd, offload, mtu: config.mtu, mac, capture });
    this.#icmpErrors = new IcmpErrors(config, this.#writer, this.drops);
    const { dns } = config;
    if (dns !== null) {
      const nameServers = new NameServers(dns.upstream);
      this.#dnsStreams = new DnsStreams({ ...common, dns, nameServers });
      const writeFrame = (frame: Uint8Array) => this.#writer.writeFrame(frame);
      const admission = this.#admissionTo(DNS_SERVICE);
      this.#resolver = new Resolver({ ...common, nameServers, writeFrame, admission });
    }
    this.#tcp = new TcpRelay({
      ...common,
      dnsStreams: this.#dnsStreams,
      sendUnreachable: (id, tuple, error) => this.#sendUnreachable(id, tuple, error),
    });
    this.#datagrams = new DatagramRelay({
      ...common,
      offload,
      writer: this.#writer,
      errors: this.#icmpErrors,
    });
    this.#ofStack = [this.#resolver, this.#dnsStreams, this.#datagrams, this.#tcp].filter(
      isPresent,
    );
    this.#neighbors = new Neighbors(config, this.#writer);
    this.#port?.open({
      fd,
      memory: this.#memory,
      bytes: this.#stack.bytes,
      frameHeader: this.#frameHeader,
    });
    return {
      ...common,
      tcp: this.#tcp,
      datagrams: this.#datagrams,
      neighbors: this.#neighbors,
    };
  }

  #setEngines(): void {
    this.#engines = [this.forwards, ...this.#ofStack, this.#loopback].filter(isPresent);
    this.#movers = this.#engines.filter(({ takeMoved }) => takeMoved !== undefined);
    const byKind: Engine[] = [];
    for (const engine of this.#engines) byKind[engine.kind] = engine;
    this.#engineOf = byKind;
  }

  /**
   * Makes the stack anew when it has failed. Connections are reset on both sides, UDP and ping begin
   * anew; the TAP, leases, published ports and counters stay as they are.
   */
  restart(): void {
    const connections = this.#tcp.connections();
    this.#tcp.abandon();
    for (const engine of this.#ofStack) engine.close();
    native.unregisterMemory(this.#memory);
    this.#tickAt = NEVER;
    this.#acksWait = false;
    this.forwards.resume(this.#build(this.#capture?.rest() ?? null));
    this.#setEngines();
    for (const { tuple, mac } of connections) this.#probe(tuple, mac);
  }

  /**
   * A segment that cannot be right, from an address the guest is connected to: it says where it is
   * (RFC 9293 §3.10.7.4), which meets a stack that knows nothing of it and is answered by the RST.
   */
  #probe({ guest, guestPort, peer, peerPort }: FlowTuple, mac: Mac): void {
    const segment = new Uint8Array(TCP_HEADER_LENGTH);
    emitBareAck(segment, 0, peer, peerPort, guest, guestPort);
    const packet = rebuildPacket(peer, guest, IpProtocol.Tcp, segment);
    const frame = new Uint8Array(ETHERNET_HEADER_LENGTH + packet.length);
    const etherType = guest.family === 4 ? EtherType.Ipv4 : EtherType.Ipv6;
    emitEthernet(frame, 0, mac, gatewayMac(this.config.plans), etherType);
    frame.set(packet, ETHERNET_HEADER_LENGTH);
    this.#writer.writeFrame(frame);
  }

  /** One for all services of that name, of both families. */
  #admissionTo(name: string): Admission {
    const known = this.#admissions.get(name);
    if (known !== undefined) return known;
    const admission = new Admission(this.config.limits.newMappings, this.#bulk);
    this.#admissions.set(name, admission);
    return admission;
  }

  /** Figures for status and tests. */
  statistics(): GuestStatistics {
    const figures: EngineFigures = {
      tcpFlows: 0,
      mappings: 0,
      tcpBytesFromGuest: 0,
      tcpBytesToGuest: 0,
      datagramsFromGuest: 0,
      datagramsToGuest: 0,
      datagramBytesFromGuest: 0,
      datagramBytesToGuest: 0,
    };
    for (const engine of this.#engines) engine.addFigures?.(figures);
    return { ...this.#stack.statistics(), ...figures };
  }

  /** Connections and mappings, each as it is when it is asked for: they may change in between. */
  *flows(): Generator<FlowRecord> {
    for (const engine of this.#engines) if (engine.records) yield* engine.records();
  }

  /** The guest's own address, of that family where it has one. */
  addressFor(family: Family): Address {
    const { plans } = this.config;
    return (plans.find(({ prefix }) => prefix.address.family === family) ?? plans[0]).guest;
  }

  /** From now on published ports may lead to the guest's loopback, by sockets made inside. */
  reachLoopback(makeSocket: MakeSocket): void {
    const { limits } = this.config;
    const own = { drops: this.drops, quota: this.#quota, guest: this.#index };
    this.#loopback = new LoopbackRelay({ ...own, limits, makeSocket });
    this.forwards.useLoopback(this.#loopback);
    this.#setEngines();
  }

  /** Of the host, beside the TAP. */
  get descriptors(): number {
    let count = 0;
    for (const engine of this.#engines) count += engine.descriptors;
    return count;
  }

  /** Of those, what endOldest() can end. */
  get endable(): number {
    let count = 0;
    for (const engine of this.#engines) count += engine.endable;
    return count;
  }

  /**
   * Ends what has been idle for longest of the kind that there is most of, as others need a descriptor:
   * what was there before a flood of another kind stays.
   * @returns false when there is nothing
   */
  endOldest(now: number): boolean {
    let largest: Engine | null = null;
    for (const engine of this.#engines) {
      if (engine.endable > 0 && engine.endable >= (largest?.endable ?? 0)) largest = engine;
    }
    if (largest === null) return false;
    this.#reports.report(DropReason.LimitDescriptors, now);
    return largest.endOldest();
  }

  /** Adds what the guest has under way to the host by TCP. */
  addUploads(uploads: Uploads): void {
    for (const engine of this.#engines) engine.addUploads?.(uploads);
  }

  /** Whether it moves bulk, or the last batch ended before the TAP was empty. */
  get isHeavy(): boolean {
    return this.#isHeavy || this.#movesBulk;
  }

  /** Whether neither it nor the member that it sends to has been heavy since then, in ms. */
  isModest(since: number): boolean {
    return this.#heavyAt < since && (this.#port === null || this.#port.partnerHeavyAt < since);
  }

  /**
   * Reads a batch of frames from the TAP.
   * @param isShared other guests want something, too
   * @returns 1 when the guest wants its turn, 0 when all was for other members and it does not, or a
   * negative errno of the TAP
   */
  onTap(now: number, isShared: boolean): number {
    this.#now = now;
    this.#isShared = isShared;
    this.#icmpErrors.advance(now);
    const before = this.#moved;
    const result = this.#readTap(isShared);
    if (now - this.#countedSince >= BULK_TIME) this.#countBulk(now);
    if (this.isHeavy) this.#noteHeavy();
    if (this.#moved === before) return Math.min(result, 0);
    this.#datagrams.flush();
    return result < 0 && result !== -Errno.EAGAIN ? result : 1;
  }

  #readTap(isShared: boolean): number {
    const stack = this.#stack;
    const start = stack.headroom - this.#frameHeader;
    const limit = this.#singleReads > 0 ? 1 : TAP_BATCH;
    const most = this.#tcp.hasConversations ? SHORT_TAP_BATCH_BYTES : TAP_BATCH_BYTES;
    this.#isHeavy = false;
    for (let count = 0, cost = 0, bytes = 0; cost < limit && bytes < most; count += 1) {
      const buffer = stack.buffer + start;
      const length = native.read(this.#tap.fd, this.#memory, buffer, stack.bufferCapacity - start);
      if (length <= 0) {
        if (count <= 1) this.#singleReads = SINGLE_READS;
        return this.#onNoFrame(length);
      }
      bytes += length;
      this.#counted += length;
      this.#capture?.received(buffer, length);
      const port = this.#port;
      if (port !== null && !port.take(buffer, length, this.#now)) {
        this.#switched += length;
        cost += isShared ? SWITCHED_COST + (length >> SWITCHED_BYTES_SHIFT) : 1;
      } else {
        cost += isShared ? GATEWAY_COST : 1;
        this.#moved += length;
        this.#onFrame(start + length);
      }
      this.#capture?.settle();
    }
    if (this.#singleReads > 0) this.#singleReads -= 1;
    else this.#isHeavy = true;
    return 0;
  }

  #countBulk(now: number): void {
    this.#movesBulk = this.#counted > BULK_BYTES && now - this.#countedSince < 2 * BULK_TIME;
    this.#counted = 0;
    this.#countedSince = now;
  }

  #noteHeavy(): void {
    this.#heavyAt = this.#now;
    if (this.#port !== null) this.#port.heavyAt = this.#now;
  }

  /** @param result of a read: 0 or a negative errno */
  #onNoFrame(result: number): number {
    if (result !== 0 && result !== -Errno.ECONNRESET) return result;
    this.#tap.onEnd?.();
    return 0;
  }

  #transmitCaptured(pieces: number, count: number): number {
    const written = native.writev(this.#tap.fd, this.#memory, pieces, count);
    this.#capture?.sent(pieces, count, written, true);
    return written;
  }

  /** Bytes from the guest, but for other members, and from the host since the last call. */
  takeMoved(): number {
    let moved = this.#moved;
    for (const engine of this.#movers) moved += engine.takeMoved?.() ?? 0;
    this.#moved = 0;
    return moved;
  }

  /** Bytes that crossed to other members since the last call, or were refused. */
  takeSwitched(): number {
    const switched = this.#switched;
    this.#switched = 0;
    return switched;
  }

  /** Handles an epoll event of a descriptor of the guest's, but the TAP. */
  onEvents(kind: TokenKind, id: number, events: number, now: number): void {
    this.#engineOf[kind]?.onEvents(id, events, now);
  }

  /**
   * After all events of a wake-up: carries out what the stack reported, gives every engine its turn
   * and frees what ended.
   * @returns when the guest wants its next turn, in ms; NEVER when nothing is under way
   */
  turn(now: number): number {
    this.#icmpErrors.advance(now);
    this.#bulk.note(this.#moved + this.#tcp.received, now);
    this.#drainStack(now);
    for (const engine of this.#engines) engine.turn(now, this.#isShared);
    this.#tick(now);
    this.#announce(now);
    this.#expireFragments(now);
    this.#drainStack(now);
    for (const engine of this.#engines) engine.reap();
    this.#acksWait = this.#stack.flushAcks();
    return this.#nextTurn(now);
  }

  /** Ends all flows and closes the TAP. */
  close(): void {
    for (const engine of this.#engines) engine.close();
    this.#port?.close();
    this.#capture?.close();
    native.close(this.#tap.fd);
    native.unregisterMemory(this.#memory);
  }

  /** As close(), without asking anything of the stack, which has failed. */
  abandon(): void {
    this.#tcp.abandon();
    this.close();
  }

  #drainStack(now: number): void {
    const stack = this.#stack;
    let taken = 0;
    for (let count = stack.takeEvents(); count > 0; count = stack.takeEvents()) {
      for (let index = 0; index < count; index += 1) {
        this.#tcp.onStackEvents(stack.flowOfEvent(index), stack.events[2 * index + 1], now);
      }
      taken += count;
      if (taken > MOST_EVENTS_AT_ONCE) throw new StackFault(`${taken} events without an end`);
    }
  }

  #tick(now: number): void {
    if (now < this.#tickAt) {
      // Whatever happened in this wake-up may have armed one of lwIP's timers.
      if (this.#tickAt === NEVER && this.#stack.hasFlows) this.#tickAt = now + TICK_INTERVAL;
      return;
    }
    this.#tickAt = this.#stack.tick() ? now + TICK_INTERVAL : NEVER;
  }

  #announce(now: number): void {
    for (const announcer of this.#announcers) {
      if (now >= announcer.announceAt) this.#writer.writeFrame(announcer.announcement(now));
    }
  }

  #expireFragments(now: number): void {
    if (now < this.#reassembly.nextAt) return;
    this.#reassembly.expire(now, ({ offset, length }, family) => {
      const error = IcmpError.ReassemblyTimeExceeded[family];
      this.#icmpErrors.aboutFrame(this.#stack.bytes, offset, length, error);
    });
  }

  #nextTurn(now: number): number {
    let next = Math.min(this.#tickAt, this.#reassembly.nextAt);
    if (this.#acksWait) next = Math.min(next, now + ACK_DELAY);
    for (const { announceAt } of this.#announcers) next = Math.min(next, announceAt);
    for (const engine of this.#engines) next = Math.min(next, engine.nextAt(now));
    return next;
  }

  #onFrame(length: number): void {
    const verdict = this.#stack.input(length);
    if (verdict === Input.Taken) return;
    if (verdict < 0) {
      this.drops.count(verdict as DropReason);
      return;
    }
    const offset = this.#stack.buffer + this.#stack.headroom;
    const reason = parseFrame(this.#frame, offset, length - this.#stack.headroom, this.#caches);
    if (reason !== 0) this.drops.count(reason);
    else if (this.#frame.isFragment) this.#onFragment(this.#frame);
    else this.#dispatch(this.#frame);
  }

  #onFragment(frame: Frame): void {
    const whole = this.#reassembly.add(frame, this.#now);
    if (whole === null) return;
    const reason = parseFrame(frame, whole.offset, whole.length, this.#caches);
    if (reason !== 0) this.drops.count(reason);
    else this.#dispatch(frame);
    this.#datagrams.flush();
    this.#stack.giveBuffer(whole.buffer);
  }

  #dispatch(frame: Frame): void {
    this.#neighbors.observe(frame, this.#now);
    for (const { service, admission } of this.#responders) {
      if (!service.claims(frame)) continue;
      if (admission?.take(this.#now) === false) {
        this.#reports.report(DropReason.LimitMappingRate, this.#now);
        return;
      }
      const verdict = service.handle(frame, this.#now);
      switch (verdict.kind) {
        case "reply":
          this.#writer.writeFrame(verdict.frame);
          return;
        case "resolve":
          this.#resolver?.resolve(verdict.query, verdict.client, verdict.server, this.#now);
          return;
        case "drop":
          this.drops.count(verdict.reason);
          return;
        case "refuse":
          this.drops.count(verdict.reason);
          this.#writer.writeFrame(verdict.frame);
          return;
        case "done":
          return;
        case "pass":
          break;
      }
    }
    this.#relay(frame);
  }

  /**
   * TCP behind options or extension headers, or put together of fragments: the stack, which reads
   * plain headers alone, gets it behind one.
   */
  #inputPlain(frame: Frame): void {
    const { bytes, headroom, buffer } = this.#stack;
    const { family, transportLength } = frame;
    const ethernet = buffer + headroom;
    const ip = ethernet + ETHERNET_HEADER_LENGTH;
    const tcp = ip + ipHeaderLength(family);
    bytes.copyWithin(ethernet, frame.offset, frame.ipOffset);
    bytes.copyWithin(tcp, frame.transportOffset, frame.transportOffset + transportLength);
    emitIp(bytes, ip, frame, transportLength);
    const verdict = this.#stack.input(tcp - buffer + transportLength);
    if (verdict === Input.Taken) return;
    this.drops.count(verdict < 0 ? (verdict as DropReason) : DropReason.IpUnknownProtocol);
  }

  /** A router of the guest's has no way for so long a segment of ours. */
  #updatePathMtu(frame: Frame): boolean {
    if (frame.icmpType < 0 || !isIcmpError(frame.family, frame.icmpType)) return false;
    const tooBig = parseTooBig(frame.bytes, frame, frame);
    if (tooBig === null || !icmpChecksumIsRight(frame.bytes, frame)) return false;
    const { source: peer, sourcePort: peerPort, sequence, mtu } = tooBig;
    const { destination: guest, destinationPort: guestPort } = tooBig;
    return this.#stack.updatePathMtu({ guest, guestPort, peer, peerPort }, sequence, mtu);
  }

  #relay(frame: Frame): void {
    if (frame.protocol === IpProtocol.Tcp) {
      this.#inputPlain(frame);
      return;
    }
    if (this.#updatePathMtu(frame)) return;
    if (!this.#datagrams.carries(frame)) {
      this.drops.count(
        frame.etherType === EtherType.Arp ? DropReason.ArpNotForUs : DropReason.IpUnknownProtocol,
      );
      return;
    }
    const vnet = this.#vnetOf(frame);
    const segmentSize = vnet.gsoType === VnetGso.UdpL4 ? vnet.gsoSize : 0;
    if (segmentSize > 0 && frame.payloadLength > segmentSize * MOST_SEGMENTS) {
      this.drops.count(DropReason.UdpSegments);
      return;
    }
    const isTrusted = (vnet.vnetFlags & (VnetFlags.NeedsChecksum | VnetFlags.DataValid)) !== 0;
    this.#datagrams.relay(frame, segmentSize, isTrusted, this.#now);
  }

  /** The frame's virtio header; all zeros where there is none. */
  #vnetOf(frame: Frame): VnetHeader {
    if (this.#frameHeader > 0) {
      parseVnet(frame.bytes, frame.offset - this.#frameHeader, this.#vnet);
    }
    return this.#vnet;
  }

  #sendUnreachable(id: number, tuple: FlowTuple, error: IcmpError): void {
    const syn = this.#stack.heldSyn(id);
    if (syn === null) return;
    const mac = this.#stack.guestMac(id);
    this.#icmpErrors.aboutPacket(syn, mac, error[tuple.peer.family]);
  }
}
