import type { Admission } from "../admission/admission.js";
import type { BulkMeter } from "../admission/bulk-meter.js";
import type { DescriptorQuota } from "../admission/descriptors.js";
import type { LimitReports } from "../admission/limit-reports.js";
import { NEVER } from "../base/clock.js";
import type { DropCounters } from "../base/drop.js";
import type { Mac } from "../base/mac.js";
import type { GuestConfig } from "../config/guest-config.js";
import { DatagramRelay } from "../datagram/relay.js";
import { NameServers } from "../dns/name-servers.js";
import { Resolver, type ResolverContext } from "../dns/resolver.js";
import { DnsStreams } from "../dns/streams.js";
import type { Engine } from "../engine/engine.js";
import { Capture, type CaptureFile } from "../frames/capture.js";
import { FrameStream, type StreamRest } from "../frames/frame-stream.js";
import { GuestWriter } from "../frames/guest-writer.js";
import { IcmpErrors, rebuildPacket } from "../frames/icmp-errors.js";
import { Neighbors } from "../frames/neighbors.js";
import { Reassembly } from "../frames/reassembly.js";
import { StackFault } from "../stack/fault.js";
import {
  ACK_DELAY,
  type FlowTuple,
  MOST_EVENTS_AT_ONCE,
  Stack,
  TICK_INTERVAL,
} from "../stack/stack.js";
import { native } from "../sys/native.js";
import { randomBytes } from "../sys/random.js";
import { type Connection, TcpRelay } from "../tcp/relay.js";
import { composeEthernet } from "../wire/ethernet.js";
import { IcmpError } from "../wire/icmp.js";
import { IpProtocol } from "../wire/ip.js";
import { emitBareAck, TCP_HEADER_LENGTH } from "../wire/tcp.js";
import { VNET_HEADER_LENGTH } from "../wire/vnet.js";
import type { TapHandle } from "./tap-handle.js";

/** As StackOptions.transmit. */
type Transmit = (pieces: number, count: number) => number;

/** What the data path needs of its guest. All of it outlives a failure of the stack. */
export interface DataPathContext {
  readonly config: GuestConfig;
  readonly tap: TapHandle;
  readonly drops: DropCounters;
  readonly reports: LimitReports;
  readonly bulk: BulkMeter;
  readonly quota: DescriptorQuota;
  /** Index of the guest in tokens. */
  readonly guest: number;
  /** Limits how many DNS queries may begin. */
  readonly dnsAdmission: Admission;
}

/**
 * What stands in the stack's memory or uses it: the stack, the frames in both directions, and the engines that
 * carry the guest's flows. When the stack has failed, the guest abandons all of this and builds another.
 */
export class DataPath {
  readonly stack: Stack;
  /** Number of the stack's memory in the addon. */
  readonly memory: number;
  /** Bytes of the virtio header in front of each frame. */
  readonly frameHeader: number;
  /** The frames of a stream socket in the TAP's place; null: there is a TAP. */
  readonly stream: FrameStream | null;
  readonly drops: DropCounters;
  readonly reports: LimitReports;
  readonly reassembly: Reassembly;
  /** null: nobody asked for it. */
  readonly capture: Capture | null;
  readonly writer: GuestWriter;
  readonly icmpErrors: IcmpErrors;
  readonly neighbors: Neighbors;
  readonly tcp: TcpRelay;
  readonly datagrams: DatagramRelay;
  /** null: nothing answers at the DNS address. */
  readonly resolver: Resolver | null;
  /** In the order of their turns: those that begin flows come before those that carry them. */
  readonly engines: readonly Engine[];
  /** The gateway's. */
  readonly #mac: Mac;
  /** When the stack's timers run, in ms; NEVER while it has no flow. */
  #tickAt = NEVER;
  /** Whether the stack holds acknowledgments back, in the hope that data takes them along. */
  #acksWait = false;

  /**
   * @param captureFile gets every frame, both ways; the data path's from now on
   * @param rest what the stream of the failed data path had under way; null: nothing
   */
  constructor(context: DataPathContext, captureFile: CaptureFile | null, rest: StreamRest | null) {
    const { config, tap, drops } = context;
    const { fd, vnetHeader: offload } = tap;
    const { mtu, memoryBudget, limits, gatewayMac: mac } = config;
    this.#mac = mac;
    this.drops = drops;
    this.reports = context.reports;
    this.frameHeader = offload ? VNET_HEADER_LENGTH : 0;
    const transmit: Transmit = tap.isStream
      ? (pieces, count) => this.stream?.send(pieces, count) ?? 0
      : (pieces, count) => native.writev(fd, this.memory, pieces, count);
    const stack = new Stack({
      mtu,
      offload,
      mac,
      memoryBudget,
      seed: new Uint32Array(randomBytes(8).buffer),
      transmit: captureFile === null ? transmit : this.#capturing(transmit),
    });
    this.stack = stack;
    this.memory = native.registerMemory(stack.memory);
    const common = { ...context, stack, memory: this.memory, offload };
    this.stream = tap.isStream ? new FrameStream({ ...common, fd }, rest) : null;
    this.capture = captureFile === null ? null : new Capture(captureFile, common);
    const writer = new GuestWriter({
      ...common,
      fd,
      stream: this.stream,
      mtu,
      mac,
      capture: this.capture,
    });
    this.writer = writer;
    this.reassembly = new Reassembly(stack, drops, limits.reassemblies, memoryBudget);
    this.icmpErrors = new IcmpErrors(config, writer, drops);
    this.neighbors = new Neighbors(config, writer);
    const { resolver, streams } = dnsEngines({
      ...common,
      admission: context.dnsAdmission,
      writeFrame: (frame) => writer.writeFrame(frame),
    });
    this.resolver = resolver;
    this.tcp = new TcpRelay({
      ...common,
      dnsStreams: streams,
      sendUnreachable: (id, tuple, error) => this.#sendUnreachable(id, tuple, error),
    });
    this.datagrams = new DatagramRelay({ ...common, writer, errors: this.icmpErrors });
    const engines: readonly (Engine | null)[] = [resolver, streams, this.datagrams, this.tcp];
    this.engines = engines.filter((engine) => engine !== null);
  }

  /** Hands the events of the stack to their flows, until there are none. @throws StackFault if there is no end */
  takeStackEvents(now: number): void {
    const { stack, tcp } = this;
    let taken = 0;
    for (let count = stack.takeEvents(); count > 0; count = stack.takeEvents()) {
      for (let index = 0; index < count; index += 1) {
        tcp.onStackEvents(stack.flowOfEvent(index), stack.events[2 * index + 1], now);
      }
      taken += count;
      if (taken > MOST_EVENTS_AT_ONCE) throw new StackFault(`${taken} events without an end`);
    }
  }

  /** Runs the timers of the stack and of the reassembly, where they are due. */
  runTimers(now: number): void {
    this.#tick(now);
    if (now >= this.reassembly.nextAt) this.#expireFragments(now);
  }

  /** Sends the acknowledgments that have waited long enough for data to go with. */
  flushAcks(): void {
    this.#acksWait = this.stack.flushAcks();
  }

  /** When runTimers() or flushAcks() has something to do, in ms; NEVER for not before an event. */
  nextAt(now: number): number {
    const next = Math.min(this.#tickAt, this.reassembly.nextAt);
    return this.#acksWait ? Math.min(next, now + ACK_DELAY) : next;
  }

  /** Ends all flows without asking anything of the stack, which has failed. */
  abandon(): void {
    this.tcp.abandon();
    for (const engine of this.engines) engine.close();
    this.release();
  }

  /** Gives the memory back; the engines must have been closed. */
  release(): void {
    native.unregisterMemory(this.memory);
  }

  /**
   * Has the guest reset a connection that a failed stack had, by a segment that cannot be right: the guest says
   * where it is (RFC 9293 §3.10.7.4), to a stack that knows nothing of the connection and answers with RST.
   */
  provokeReset({ tuple, mac }: Connection): void {
    const { guest, guestPort, peer, peerPort } = tuple;
    const segment = new Uint8Array(TCP_HEADER_LENGTH);
    emitBareAck(segment, 0, peer, peerPort, guest, guestPort);
    const packet = rebuildPacket(peer, guest, IpProtocol.Tcp, segment);
    this.writer.writeFrame(composeEthernet(mac, this.#mac, packet));
  }

  #tick(now: number): void {
    if (now < this.#tickAt) {
      // Whatever happened in this wake-up may have armed one of lwIP's timers.
      if (this.#tickAt === NEVER && this.stack.hasFlows) this.#tickAt = now + TICK_INTERVAL;
      return;
    }
    this.#tickAt = this.stack.tick() ? now + TICK_INTERVAL : NEVER;
  }

  #expireFragments(now: number): void {
    this.reassembly.expire(now, ({ offset, length }, family) => {
      const error = IcmpError.ReassemblyTimeExceeded[family];
      this.icmpErrors.aboutFrame(this.stack.bytes, offset, length, error);
    });
  }

  #capturing(transmit: Transmit): Transmit {
    return (pieces, count) => {
      const written = transmit(pieces, count);
      this.capture?.sent(pieces, count, written, true);
      return written;
    };
  }

  #sendUnreachable(id: number, tuple: FlowTuple, error: IcmpError): void {
    const syn = this.stack.heldSyn(id);
    if (syn === null) return;
    const mac = this.stack.guestMac(id);
    this.icmpErrors.aboutPacket(syn, mac, error[tuple.peer.family]);
  }
}

interface DnsEngines {
  readonly resolver: Resolver | null;
  readonly streams: DnsStreams | null;
}

/** Both null where nothing answers at the DNS address. */
function dnsEngines(context: Omit<ResolverContext, "nameServers">): DnsEngines {
  const { dns } = context.config;
  if (dns === null) return { resolver: null, streams: null };
  const nameServers = new NameServers(dns.upstream);
  return {
    resolver: new Resolver({ ...context, nameServers }),
    streams: new DnsStreams({ ...context, dns, nameServers }),
  };
}
