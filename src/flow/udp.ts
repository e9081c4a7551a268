import { Address, AddressCache } from "../base/address.js";
import { type DropCounters, DropReason } from "../base/drop.js";
import type { Mac } from "../base/mac.js";
import type { GuestConfig } from "../base/plan.js";
import type { Stack } from "../stack/stack.js";
import { Epoll, Errno, Socket } from "../sys/constants.js";
import { native } from "../sys/native.js";
import { openSocket, sockaddrAddressOffset, sockaddrFamily, sockaddrPort } from "../sys/socket.js";
import { TokenKind, tokenOf } from "../sys/token.js";
import { pseudoHeaderSum } from "../wire/checksum.js";
import { ETHERNET_HEADER_LENGTH, EtherType, emitEthernet } from "../wire/ethernet.js";
import type { Frame } from "../wire/frame.js";
import { IcmpError } from "../wire/icmp.js";
import { emitIp, IpProtocol, ipHeaderLength } from "../wire/ip.js";
import { DEFAULT_HOP_LIMIT } from "../wire/reply.js";
import { emitUdp, UDP_CHECKSUM_OFFSET, UDP_HEADER_LENGTH, writeUdpChecksum } from "../wire/udp.js";
import { emitVnet, VNET_HEADER_LENGTH, VnetFlags, VnetGso } from "../wire/vnet.js";
import { MessageBatch } from "./message-batch.js";
import { translateDestination } from "./translate.js";

/** RFC 4787 REQ-5: at least two minutes, five recommended; as slirp and pasta, 180 s once answered. */
const ANSWERED_TIMEOUT = 180_000;
const UNANSWERED_TIMEOUT = 30_000;
const DNS_TIMEOUT = 10_000;

/** Mappings of one guest: each is a descriptor of the process. */
const MAX_MAPPINGS = 4096;

/** Datagrams received by one call, and calls per turn, so that no mapping starves another. */
const RECEIVE_BATCH = 8;
const RECEIVE_ROUNDS = 8;

/** Room in front of a received payload for the longest headers, kept a multiple of 8. */
const HEADROOM = 80;

/** Where a datagram goes on the host and as whom its answers appear; null: as they come. */
export interface UdpRoute {
  readonly to: Address;
  readonly port: number;
  /** The address that the guest asked, when it is not `to`. */
  readonly as: Address | null;
  /** Only the asked port may answer, and the answer carries the port the guest asked. */
  readonly exact: boolean;
}

/** What the relay needs of its guest. */
export interface UdpContext {
  readonly stack: Stack;
  readonly config: GuestConfig;
  readonly drops: DropCounters;
  /** Number of the registered memory of the stack. */
  readonly memory: number;
  /** Index of the guest in tokens. */
  readonly guest: number;
  /** The gateway's Ethernet address. */
  readonly mac: Mac;
  /** Whether the TAP has a virtio header. */
  readonly offload: boolean;
  /** Writes a frame that stands in the memory, virtio header included. @returns a negative errno */
  readonly writeFrame: (offset: number, length: number) => number;
  /** Answers the frame in hand with an ICMP error. */
  readonly sendIcmpError: (frame: Frame, error: IcmpError) => void;
}

/** One endpoint of the guest and the host socket that stands for it. */
class UdpMapping {
  readonly fd: number;
  readonly guest: Address;
  readonly guestPort: number;
  readonly route: UdpRoute;
  /** The port that the guest asked, for a route that is exact. */
  readonly askedPort: number;
  mac: Mac;
  lastUsed: number;
  answered = false;

  constructor(fd: number, frame: Frame, route: UdpRoute, now: number) {
    this.fd = fd;
    this.guest = frame.source;
    this.guestPort = frame.sourcePort;
    this.route = route;
    this.askedPort = frame.destinationPort;
    this.mac = frame.sourceMac;
    this.lastUsed = now;
  }

  serves(frame: Frame, as: Address | null, exact: boolean): boolean {
    if (!this.guest.equals(frame.source) || this.route.exact !== exact) return false;
    if (exact && this.askedPort !== frame.destinationPort) return false;
    return as === null ? this.route.as === null : this.route.as?.equals(as) === true;
  }

  get expires(): number {
    if (this.route.exact) return this.lastUsed + DNS_TIMEOUT;
    return this.lastUsed + (this.answered ? ANSWERED_TIMEOUT : UNANSWERED_TIMEOUT);
  }
}

/**
 * Relays the guest's datagrams. A mapping is endpoint-independent (RFC 4787 REQ-1): all that one
 * endpoint of the guest sends to the world leaves from one host socket.
 */
export class UdpRelay {
  readonly #context: UdpContext;
  /** By token id. */
  readonly #mappings: (UdpMapping | undefined)[] = [];
  readonly #freeIds: number[] = [];
  readonly #endedIds: number[] = [];
  /** Ids by the guest's port: a guest has few addresses. */
  readonly #byPort = new Map<number, number[]>();
  readonly #peers = new AddressCache();
  /** Made with the first datagram, as most guests' memory is better spent on TCP. */
  #batch: MessageBatch | null = null;
  #count = 0;

  constructor(context: UdpContext) {
    this.#context = context;
  }

  get count(): number {
    return this.#count;
  }

  /** Relays the datagram in `frame` to where the address plan leads. */
  relay(frame: Frame, gsoSize: number, now: number): void {
    const { config, drops } = this.#context;
    const to = translateDestination(config, frame.destination);
    if (!(to instanceof Address)) {
      drops.count(to);
      this.#refuse(frame, to);
      return;
    }
    const as = to === frame.destination ? null : frame.destination;
    this.#send(frame, to, frame.destinationPort, as, false, gsoSize, now);
  }

  /** Relays the datagram to a service's choice; only its answers come back, as the one asked. */
  forward(frame: Frame, to: Address, port: number, as: Address, now: number): void {
    this.#send(frame, to, port, as, true, 0, now);
  }

  /** Reads what the mapping's socket has received, at most a turn's worth. */
  onSocketEvents(id: number, now: number): void {
    const mapping = this.#mappings[id];
    const batch = this.#batch;
    if (mapping === undefined || batch === null) return;
    for (let round = 0; round < RECEIVE_ROUNDS; round += 1) {
      const received = batch.receive(mapping.fd);
      for (let index = 0; index < received; index += 1) this.#deliver(mapping, batch, index, now);
      // A pending error (ECONNREFUSED and its kin) is told once and cleared by this very call.
      if (received < RECEIVE_BATCH) return;
    }
  }

  /** Ends mappings that are out of use. @returns ms until it should be called again, -1 for never */
  expire(now: number): number {
    let next = Number.POSITIVE_INFINITY;
    this.#mappings.forEach((mapping, id) => {
      if (mapping === undefined) return;
      if (mapping.expires <= now) this.#end(id, mapping);
      else next = Math.min(next, mapping.expires - now);
    });
    return Number.isFinite(next) ? Math.ceil(next) : -1;
  }

  /** Gives back the ids of mappings that ended; to be called when no fetched event is left. */
  reap(): void {
    if (this.#endedIds.length === 0) return;
    for (const id of this.#endedIds) this.#freeIds.push(id);
    this.#endedIds.length = 0;
  }

  close(): void {
    this.#mappings.forEach((mapping, id) => {
      if (mapping !== undefined) this.#end(id, mapping);
    });
    this.reap();
  }

  #refuse(frame: Frame, reason: DropReason): void {
    const { sendIcmpError } = this.#context;
    if (reason === DropReason.PolicyHostLoopback) sendIcmpError(frame, IcmpError.PortUnreachable);
    if (reason === DropReason.PolicyDenied) sendIcmpError(frame, IcmpError.HostUnreachable);
  }

  #send(
    frame: Frame,
    to: Address,
    port: number,
    as: Address | null,
    exact: boolean,
    gsoSize: number,
    now: number,
  ): void {
    const mapping = this.#mappingFor(frame, to, port, as, exact, now);
    const batch = this.#batch;
    if (mapping === null || batch === null) return;
    mapping.lastUsed = now;
    mapping.mac = frame.sourceMac;
    const { payloadOffset, payloadLength } = frame;
    const error = batch.send(mapping.fd, to, port, payloadOffset, payloadLength, gsoSize);
    if (error < 0) this.#onSendError(frame, -error);
  }

  #onSendError(frame: Frame, errno: number): void {
    const { drops, sendIcmpError } = this.#context;
    drops.count(DropReason.HostRefused);
    switch (errno) {
      case Errno.ENETUNREACH:
        sendIcmpError(frame, IcmpError.NetworkUnreachable);
        return;
      case Errno.EHOSTUNREACH:
        sendIcmpError(frame, IcmpError.HostUnreachable);
        return;
      case Errno.EACCES:
      case Errno.EPERM:
        sendIcmpError(frame, IcmpError.Prohibited);
        return;
      case Errno.ECONNREFUSED:
        sendIcmpError(frame, IcmpError.PortUnreachable);
        return;
      default:
      // A full queue or a lack of memory: lost, as on any network.
    }
  }

  #mappingFor(
    frame: Frame,
    to: Address,
    port: number,
    as: Address | null,
    exact: boolean,
    now: number,
  ): UdpMapping | null {
    const ids = this.#byPort.get(frame.sourcePort);
    if (ids !== undefined) {
      for (const id of ids) {
        const mapping = this.#mappings[id];
        if (mapping?.serves(frame, as, exact) === true) return mapping;
      }
    }
    return this.#open(frame, { to, port, as, exact }, now);
  }

  #open(frame: Frame, route: UdpRoute, now: number): UdpMapping | null {
    const { stack, memory, drops, guest } = this.#context;
    this.#batch ??= MessageBatch.create(stack, memory, RECEIVE_BATCH, HEADROOM);
    if (this.#batch === null || this.#count >= MAX_MAPPINGS) {
      drops.count(this.#batch === null ? DropReason.LimitMemory : DropReason.LimitFlows);
      return null;
    }
    const fd = openSocket(route.to.family, Socket.Datagram);
    if (fd < 0) {
      drops.count(DropReason.LimitFlows);
      return null;
    }
    const id = this.#freeIds.pop() ?? this.#mappings.length;
    native.watch(fd, Epoll.In, tokenOf(TokenKind.Udp, guest, id));
    const mapping = new UdpMapping(fd, frame, route, now);
    this.#mappings[id] = mapping;
    this.#count += 1;
    const ids = this.#byPort.get(mapping.guestPort);
    if (ids === undefined) this.#byPort.set(mapping.guestPort, [id]);
    else ids.push(id);
    return mapping;
  }

  #end(id: number, mapping: UdpMapping): void {
    native.close(mapping.fd);
    this.#mappings[id] = undefined;
    this.#endedIds.push(id);
    this.#count -= 1;
    const ids = (this.#byPort.get(mapping.guestPort) ?? []).filter((other) => other !== id);
    if (ids.length === 0) this.#byPort.delete(mapping.guestPort);
    else this.#byPort.set(mapping.guestPort, ids);
  }

  /** As whom a peer appears to the guest; null when it may not be heard. */
  #appearance(mapping: UdpMapping, peer: Address, port: number): Address | null {
    const { route } = mapping;
    if (route.as === null) return peer.isLoopback ? null : peer;
    if (!peer.equals(route.to) || (route.exact && port !== route.port)) return null;
    return route.as;
  }

  #deliver(mapping: UdpMapping, batch: MessageBatch, index: number, now: number): void {
    const { stack, drops } = this.#context;
    const name = batch.nameAt(index);
    const family = sockaddrFamily(stack.bytes, name);
    const peer = this.#peers.at(stack.bytes, name + sockaddrAddressOffset(family), family);
    const port = sockaddrPort(stack.bytes, name);
    const source = this.#appearance(mapping, peer, port);
    if (source === null) {
      drops.count(DropReason.PolicyDenied);
      return;
    }
    mapping.answered = true;
    mapping.lastUsed = now;
    const sourcePort = mapping.route.exact ? mapping.askedPort : port;
    this.#emit(mapping, source, sourcePort, batch.payloadAt(index), batch.lengthAt(index));
  }

  /** Writes the headers in front of the payload and the frame to the TAP. */
  #emit(
    mapping: UdpMapping,
    source: Address,
    port: number,
    payload: number,
    payloadLength: number,
  ): void {
    const { stack, mac, offload, writeFrame, drops, config } = this.#context;
    const { bytes } = stack;
    const length = UDP_HEADER_LENGTH + payloadLength;
    const ipLength = ipHeaderLength(source.family);
    if (ipLength + length > config.mtu) {
      drops.count(DropReason.IpFragment);
      return;
    }
    const udp = payload - UDP_HEADER_LENGTH;
    const ip = udp - ipLength;
    const frame = ip - ETHERNET_HEADER_LENGTH;
    const etherType = source.family === 4 ? EtherType.Ipv4 : EtherType.Ipv6;
    emitEthernet(bytes, frame, mapping.mac, mac, etherType);
    emitIp(bytes, ip, source, mapping.guest, IpProtocol.Udp, length, DEFAULT_HOP_LIMIT, 0);
    const checksum = offload ? pseudoHeaderSum(source, mapping.guest, IpProtocol.Udp, length) : 0;
    emitUdp(bytes, udp, port, mapping.guestPort, payloadLength, checksum);
    const vnet = frame - VNET_HEADER_LENGTH;
    if (offload) {
      const start = udp - frame;
      emitVnet(
        bytes,
        vnet,
        VnetFlags.NeedsChecksum,
        VnetGso.None,
        start,
        0,
        start,
        UDP_CHECKSUM_OFFSET,
      );
    } else {
      writeUdpChecksum(bytes, udp, length, source, mapping.guest);
    }
    if (writeFrame(vnet, udp + length - vnet) < 0) drops.count(DropReason.TapQueueFull);
  }
}
