import { type DropCounters, DropReason, DropCounters as Drops } from "./base/drop.js";
import { type GuestConfig, gatewayMac } from "./base/plan.js";
import { TcpRelay } from "./flow/tcp.js";
import { UdpRelay } from "./flow/udp.js";
import { type Services, servicesFor } from "./service/index.js";
import {
  ACK_DELAY,
  type FlowTuple,
  Input,
  Stack,
  type StackStatistics,
  TICK_INTERVAL,
} from "./stack/stack.js";
import { Epoll } from "./sys/constants.js";
import { native } from "./sys/native.js";
import { TokenKind, tokenOf } from "./sys/token.js";
import { ETHERNET_HEADER_LENGTH, EtherType, emitEthernet } from "./wire/ethernet.js";
import { createAddressCaches, Frame, parseFrame } from "./wire/frame.js";
import type { IcmpError } from "./wire/icmp.js";
import { IpProtocol } from "./wire/ip.js";
import { emitIcmpErrorFrame, icmpErrorFrameLength, mayCauseIcmpError } from "./wire/reply.js";
import { parseVnet, VnetGso, type VnetHeader } from "./wire/vnet.js";

/** Frames read from the TAP before the host sockets have their turn. */
const TAP_BATCH = 64;

/**
 * While frames come one by one, the read that would find the TAP empty is spared: epoll tells, as
 * it is level-triggered here. After so many a whole batch is tried again.
 */
const SINGLE_READS = 8;

/** Most bytes of stack memory in use by one guest. */
const MEMORY_BUDGET = 64 * 1024 * 1024;

/** A guest's TAP, opened. */
export interface TapHandle {
  /** A handle of the addon. */
  readonly fd: number;
  /** Whether each frame is preceded by a virtio_net_hdr. */
  readonly vnetHeader: boolean;
}

/**
 * One guest: a network namespace, its TAP, its stack and its flows. Knows no other guest; the loop
 * tells it what happened and asks when it wants to be called again.
 */
export class Guest {
  readonly config: GuestConfig;
  readonly drops: DropCounters = new Drops();
  readonly #tap: TapHandle;
  readonly #stack: Stack;
  readonly #memory: number;
  readonly #tcp: TcpRelay;
  readonly #udp: UdpRelay;
  readonly #services: Services;
  readonly #frame: Frame;
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
  /** An I/O vector for frames that TypeScript writes. */
  readonly #pieces: number;
  readonly #pieceWords: Uint32Array;
  /** Bytes read from the TAP since takeMoved(). */
  #moved = 0;
  #acksWait = false;
  /** Wake-ups for which one frame is read of the TAP; then a batch tells whether there is more. */
  #singleReads = 0;
  #tickAt = -1;
  #expireAt = -1;
  #now = 0;

  /**
   * @param index the guest's number in tokens
   * @param tap becomes the guest's; close() closes it
   */
  constructor(index: number, tap: TapHandle, config: GuestConfig) {
    this.config = config;
    this.#tap = tap;
    const mac = gatewayMac(config.plans);
    const { fd } = tap;
    this.#stack = new Stack({
      mtu: config.mtu,
      offload: tap.vnetHeader,
      mac,
      memoryBudget: MEMORY_BUDGET,
      seed: randomSeed(),
      transmit: (pieces, count) => native.writev(fd, this.#memory, pieces, count),
    });
    this.#memory = native.registerMemory(this.#stack.memory);
    this.#frameHeader = tap.vnetHeader ? this.#stack.headroom : 0;
    this.#frame = new Frame(this.#stack.bytes);
    this.#pieces = this.#stack.takeBuffer();
    this.#pieceWords = new Uint32Array(this.#stack.memory, this.#pieces, 2);
    this.#services = servicesFor(config);
    const common = {
      stack: this.#stack,
      config,
      drops: this.drops,
      memory: this.#memory,
      guest: index,
    };
    this.#tcp = new TcpRelay({
      ...common,
      sendUnreachable: (id, tuple, error) => this.#sendUnreachable(id, tuple, error),
    });
    this.#udp = new UdpRelay({
      ...common,
      mac,
      offload: tap.vnetHeader,
      writeFrame: (offset, length) => this.#writeFrame(offset, length),
      sendIcmpError: (frame, error) => this.#sendIcmpError(frame, error),
    });
    native.watch(fd, Epoll.In, tokenOf(TokenKind.Tap, index, 0));
  }

  /** Figures for status and tests. */
  statistics(): StackStatistics & { tcpFlows: number; udpMappings: number } {
    return {
      ...this.#stack.statistics(),
      tcpFlows: this.#tcp.count,
      udpMappings: this.#udp.count,
    };
  }

  /** Reads a batch of frames from the TAP. @returns 0, or a negative errno: the TAP is gone */
  onTap(now: number): number {
    this.#now = now;
    const stack = this.#stack;
    const start = stack.headroom - this.#frameHeader;
    const limit = this.#singleReads > 0 ? 1 : TAP_BATCH;
    for (let count = 0; count < limit; count += 1) {
      const buffer = stack.buffer + start;
      const length = native.read(this.#tap.fd, this.#memory, buffer, stack.bufferCapacity - start);
      if (length <= 0) {
        if (count <= 1) this.#singleReads = SINGLE_READS;
        return length;
      }
      this.#moved += length;
      this.#onFrame(start + length);
    }
    if (this.#singleReads > 0) this.#singleReads -= 1;
    return 0;
  }

  /** Bytes from the guest and from the host since the last call. */
  takeMoved(): number {
    const moved = this.#moved + this.#tcp.takeReceived();
    this.#moved = 0;
    return moved;
  }

  onTcp(id: number, events: number): void {
    this.#tcp.onSocketEvents(id, events);
  }

  onUdp(id: number, now: number): void {
    this.#udp.onSocketEvents(id, now);
  }

  /**
   * After all events of a wake-up: carries out what the stack reported, gives every flow its turn
   * and frees what ended.
   * @returns ms until the guest wants its next turn; 0 at once, -1 when nothing is under way
   */
  turn(now: number): number {
    this.#drainStack();
    this.#tcp.turn();
    this.#tick(now);
    this.#drainStack();
    this.#tcp.reap();
    if (this.#expireAt >= 0 && now >= this.#expireAt) this.#expireUdp(now);
    else if (this.#expireAt < 0 && this.#udp.count > 0) this.#expireUdp(now);
    this.#udp.reap();
    this.#acksWait = this.#stack.flushAcks();
    return this.#nextTurn(now);
  }

  /** Ends all flows and closes the TAP. */
  close(): void {
    this.#tcp.close();
    this.#udp.close();
    native.close(this.#tap.fd);
    native.unregisterMemory(this.#memory);
  }

  #drainStack(): void {
    const stack = this.#stack;
    for (let count = stack.takeEvents(); count > 0; count = stack.takeEvents()) {
      for (let index = 0; index < count; index += 1) {
        this.#tcp.onStackEvents(stack.events[2 * index], stack.events[2 * index + 1]);
      }
    }
  }

  #tick(now: number): void {
    if (this.#tickAt < 0) {
      // Whatever happened in this wake-up may have armed one of lwIP's timers.
      if (this.#stack.hasFlows) this.#tickAt = now + TICK_INTERVAL;
      return;
    }
    if (now < this.#tickAt) return;
    this.#tickAt = this.#stack.tick() ? now + TICK_INTERVAL : -1;
  }

  #expireUdp(now: number): void {
    const wait = this.#udp.expire(now);
    this.#expireAt = wait < 0 ? -1 : now + wait;
  }

  #nextTurn(now: number): number {
    if (this.#tcp.hasReady) return 0;
    let next = Number.POSITIVE_INFINITY;
    if (this.#expireAt >= 0) next = this.#expireAt;
    if (this.#tickAt >= 0) next = Math.min(next, this.#tickAt);
    if (this.#tcp.hasStarved) next = Math.min(next, now + TICK_INTERVAL);
    if (this.#acksWait) next = Math.min(next, now + ACK_DELAY);
    return next === Number.POSITIVE_INFINITY ? -1 : Math.max(0, Math.ceil(next - now));
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
    else this.#dispatch(this.#frame);
  }

  #dispatch(frame: Frame): void {
    for (const service of this.#services.responders) {
      if (!service.claims(frame)) continue;
      const verdict = service.handle(frame, this.#now);
      switch (verdict.kind) {
        case "reply":
          this.#writeReply(verdict.frame);
          return;
        case "forward":
          this.#udp.forward(frame, verdict.to, verdict.port, verdict.as, this.#now);
          return;
        case "drop":
          this.drops.count(verdict.reason);
          return;
        case "pass":
          break;
      }
    }
    this.#relay(frame);
  }

  #relay(frame: Frame): void {
    if (frame.protocol !== IpProtocol.Udp) {
      this.drops.count(
        frame.etherType === EtherType.Arp ? DropReason.ArpNotForUs : DropReason.IpUnknownProtocol,
      );
    } else if (frame.isFragment) {
      this.drops.count(DropReason.IpFragment);
    } else {
      this.#udp.relay(frame, this.#gsoSize(frame), this.#now);
    }
  }

  /** Payload bytes per datagram of a UDP superframe, 0 for an ordinary one. */
  #gsoSize(frame: Frame): number {
    if (this.#frameHeader === 0) return 0;
    parseVnet(frame.bytes, frame.offset - this.#frameHeader, this.#vnet);
    return this.#vnet.gsoType === VnetGso.UdpL4 ? this.#vnet.gsoSize : 0;
  }

  #sendIcmpError(frame: Frame, error: IcmpError): void {
    if (!mayCauseIcmpError(frame)) return;
    const reply = new Uint8Array(icmpErrorFrameLength(frame));
    emitIcmpErrorFrame(reply, 0, frame, error, this.#routerFor(frame));
    this.#writeReply(reply);
  }

  /** The address that speaks for Slipway as a router, of the frame's family. */
  #routerFor(frame: Frame): FlowTuple["peer"] {
    const plan = this.config.plans.find(({ gateway }) => gateway.family === frame.family);
    return plan?.gateway ?? frame.destination;
  }

  /** The held SYN is put back into a frame, so that one code path writes all ICMP errors. */
  #sendUnreachable(id: number, tuple: FlowTuple, error: IcmpError): void {
    const syn = this.#stack.heldSyn(id);
    if (syn === null) return;
    const bytes = new Uint8Array(ETHERNET_HEADER_LENGTH + syn.length);
    const etherType = tuple.peer.family === 4 ? EtherType.Ipv4 : EtherType.Ipv6;
    const mac = gatewayMac(this.config.plans);
    emitEthernet(bytes, 0, mac, this.#stack.guestMac(id), etherType);
    bytes.set(syn, ETHERNET_HEADER_LENGTH);
    const frame = new Frame(bytes);
    if (parseFrame(frame, 0, bytes.length, this.#caches) === 0) this.#sendIcmpError(frame, error);
  }

  /** Writes an Ethernet frame of a service; its checksums are complete. */
  #writeReply(reply: Uint8Array): void {
    const { bytes, headroom } = this.#stack;
    const start = this.#pieces + 16;
    bytes.fill(0, start, start + headroom);
    bytes.set(reply, start + headroom);
    if (this.#writeFrame(start, headroom + reply.length) < 0) {
      this.drops.count(DropReason.TapQueueFull);
    }
  }

  /** Writes a frame that stands in the memory with room for the virtio header in front. */
  #writeFrame(offset: number, length: number): number {
    const cut = this.#stack.headroom - this.#frameHeader;
    this.#pieceWords[0] = offset + cut;
    this.#pieceWords[1] = length - cut;
    return native.writev(this.#tap.fd, this.#memory, this.#pieces, 1);
  }
}

function randomSeed(): Uint32Array {
  const words = new Uint32Array(2);
  const filled = native.getRandom(new Uint8Array(words.buffer));
  if (filled !== words.byteLength) throw new Error(`getrandom: ${filled}`);
  return words;
}
