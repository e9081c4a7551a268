import { Address } from "../base/address.js";
import { DropReason } from "../base/drop.js";
import type { Mac } from "../base/mac.js";
import type { Engine, EngineFigures } from "../engine/engine.js";
import type { GuestWriter } from "../frames/guest-writer.js";
import { type FlowRecord, Tally } from "../nat/flow-record.js";
import type { PublishedRule } from "../nat/published-port.js";
import { isOurDns, translateDestination } from "../nat/translate.js";
import type { Stack } from "../stack/stack.js";
import { Epoll } from "../sys/constants.js";
import { localAddress } from "../sys/sockets/socket.js";
import { TokenKind } from "../sys/token.js";
import type { Frame } from "../wire/frame.js";
import { IcmpError, icmpProtocol } from "../wire/icmp.js";
import { IpProtocol } from "../wire/ip.js";
import { DEFAULT_HOP_LIMIT } from "../wire/reply.js";
import { Delivery } from "./delivery.js";
import { HostErrors } from "./errors.js";
import { headerFields, type Mapping, MappingTable } from "./mapping.js";
import { Opening, type OpeningContext } from "./opening.js";
import { PingProtocol } from "./ping.js";
import type { DatagramProtocol } from "./protocol.js";
import { type PassBeside, PublishedDatagrams } from "./published.js";
import { KEPT_BUFFERS, RECEIVE_BATCH, Receiver } from "./receiver.js";
import { type Outgoing, SendQueue } from "./send-queue.js";
import { UdpProtocol } from "./udp.js";

/** Calls per event, so that no mapping starves another. */
const RECEIVE_ROUNDS = 4;

/** What the relay needs of its guest. */
export interface DatagramContext extends OpeningContext {
  readonly stack: Stack;
  /** Number of the registered memory of the stack. */
  readonly memory: number;
  /** Whether the TAP has a virtio header. */
  readonly offload: boolean;
  readonly writer: GuestWriter;
}

/**
 * Relays the guest's datagrams, UDP and ICMP echo. A mapping is endpoint-independent (RFC 4787 REQ-1, RFC 5508
 * REQ-1): all that one endpoint of the guest sends to the world leaves from one host socket.
 */
export class DatagramRelay implements Engine {
  readonly kind = TokenKind.Datagram;
  readonly #context: DatagramContext;
  /** What has passed to the host since the beginning. */
  readonly #fromGuest = new Tally();
  readonly #mappings = new MappingTable();
  readonly #udp: UdpProtocol;
  readonly #ping: PingProtocol;
  readonly #receiver: Receiver;
  readonly #errors: HostErrors;
  readonly #queue: SendQueue;
  readonly #opening: Opening;
  readonly #delivery: Delivery;
  readonly #published: PublishedDatagrams;
  /** Refilled for each datagram of the guest. */
  readonly #outgoing: Outgoing;

  constructor(context: DatagramContext) {
    const { stack, memory, offload, config, writer } = context;
    const { gateway } = config.plans[0];
    const mappings = this.#mappings;
    const udp = new UdpProtocol(offload, config.timeouts);
    const receiver = new Receiver(stack, memory);
    const errors = new HostErrors(context, receiver);
    const queue = new SendQueue(stack, memory, errors);
    const opening = new Opening(context, mappings, queue);
    const delivery = new Delivery(writer, receiver, gateway);
    this.#context = context;
    this.#udp = udp;
    this.#ping = new PingProtocol(stack.bytes, config.timeouts);
    this.#receiver = receiver;
    this.#errors = errors;
    this.#queue = queue;
    this.#opening = opening;
    this.#delivery = delivery;
    this.#published = new PublishedDatagrams(context, {
      mappings,
      opening,
      receiver,
      delivery,
      udp,
    });
    this.#outgoing = { to: gateway, port: 0, fields: 0, segmentSize: 0 };
  }

  /** Whether packets of that protocol are for relay(). */
  carries(frame: Frame): boolean {
    return frame.protocol === IpProtocol.Udp || frame.protocol === icmpProtocol(frame.family);
  }

  /**
   * Relays the datagram in `frame` to where the address plan leads.
   * @param segmentSize bytes of each datagram of a superframe; 0 for an ordinary frame
   * @param isTrusted whether the kernel vouches for the transport's checksum
   * @param now in ms
   */
  relay(frame: Frame, segmentSize: number, isTrusted: boolean, now: number): void {
    const { config, drops, errors } = this.#context;
    const protocol = frame.protocol === IpProtocol.Udp ? this.#udp : this.#ping;
    if (!config.protocols[protocol.name]) {
      drops.count(DropReason.PolicyProtocol);
      return;
    }
    const reason = protocol.check(frame, isTrusted);
    if (reason !== 0) {
      drops.count(reason);
      return;
    }
    const answering = protocol === this.#udp ? this.#mappings.sessions.find(frame) : null;
    if (answering !== null) {
      this.#answer(answering, frame, segmentSize, now);
      return;
    }
    const to = translateDestination(config, frame.destination, frame.destinationPort);
    if (!(to instanceof Address)) {
      drops.count(to);
      this.#refuse(frame, to);
      return;
    }
    const isOurs = to !== frame.destination;
    if (!isOurs && frame.hopLimit <= 1) {
      drops.count(DropReason.IpHopLimit);
      errors.about(frame, IcmpError.HopLimitExceeded[frame.family]);
      return;
    }
    const as = isOurs ? frame.destination : null;
    this.#send(frame, protocol, to, as, segmentSize, now);
  }

  /** Sends what was relayed; to be called before the buffers of the frames are used again. */
  flush(): void {
    this.#queue.flush();
  }

  #refuse(frame: Frame, reason: DropReason): void {
    const { errors, config } = this.#context;
    const { family, destination, destinationPort } = frame;
    // Silence at the DNS address if there is no forwarder, as for TCP.
    const isUdp = frame.protocol === IpProtocol.Udp;
    if (isUdp && isOurDns(config, destination, destinationPort)) return;
    if (reason === DropReason.PolicyHostLoopback) {
      errors.about(frame, IcmpError.PortUnreachable[family]);
    }
    if (reason === DropReason.PolicyDenied) {
      errors.about(frame, IcmpError.HostUnreachable[family]);
    }
  }

  /** @param as Route.as */
  #send(
    frame: Frame,
    protocol: DatagramProtocol,
    to: Address,
    as: Address | null,
    segmentSize: number,
    now: number,
  ): void {
    const mapping =
      this.#mappings.find(frame, protocol, as) ??
      this.#opening.open(frame, protocol, { to, as }, now);
    if (mapping === null) return;
    this.#mappings.touch(mapping, now);
    mapping.mac = frame.sourceMac;
    const port = protocol.port(frame);
    mapping.contact(to, port);
    const { trafficClass } = frame;
    const outgoing = this.#outgoing;
    outgoing.to = to;
    outgoing.port = port;
    // What leads to the host itself has arrived at the gateway: it crosses no further link.
    outgoing.fields =
      as === null
        ? headerFields(frame.hopLimit - 1, trafficClass, frame.dontFragment)
        : headerFields(DEFAULT_HOP_LIMIT, trafficClass, false);
    outgoing.segmentSize = segmentSize;
    this.#enqueue(mapping, frame);
  }

  /** Sends a datagram of the guest to the client of a published port. */
  #answer(mapping: Mapping, frame: Frame, segmentSize: number, now: number): void {
    const { session } = mapping;
    if (session === null) return;
    this.#mappings.touch(mapping, now);
    this.#opening.onAnswered(mapping);
    mapping.mac = frame.sourceMac;
    const hopLimit = mapping.route.as === null ? frame.hopLimit - 1 : DEFAULT_HOP_LIMIT;
    const outgoing = this.#outgoing;
    outgoing.to = session.client;
    outgoing.port = session.clientPort;
    outgoing.fields = headerFields(Math.max(1, hopLimit), frame.trafficClass, frame.dontFragment);
    outgoing.segmentSize = segmentSize;
    this.#enqueue(mapping, frame);
  }

  /** Counts the datagram, and queues it for where #outgoing leads. */
  #enqueue(mapping: Mapping, frame: Frame): void {
    const length = mapping.protocol.length(frame);
    const { segmentSize } = this.#outgoing;
    mapping.fromGuest.add(length, segmentSize);
    this.#fromGuest.add(length, segmentSize);
    this.#queue.add(mapping, frame, this.#outgoing);
  }

  /**
   * Delivers what the socket of a published port has received: each client's first datagrams, with which its
   * session begins.
   * @param fd the port's socket
   * @param mac the guest's Ethernet address; null: it has none, and what came is dropped
   * @param now in ms
   * @param passBeside takes what clients at the host's loopback send; null: that is delivered, too
   */
  onPublished(
    fd: number,
    rule: PublishedRule,
    mac: Mac | null,
    now: number,
    passBeside: PassBeside | null,
  ): void {
    this.#published.receive(fd, rule, mac, now, passBeside);
  }

  /** Ends the sessions of a published port. */
  endSessions(rule: PublishedRule): void {
    this.#queue.flush();
    this.#mappings.endSessions(rule);
  }

  /** Delivers what the mapping's socket has received: RECEIVE_ROUNDS batches at most. */
  onEvents(id: number, events: number, now: number): void {
    this.#context.errors.advance(now);
    const mapping = this.#mappings.get(id);
    const receiver = this.#receiver;
    if (mapping === undefined) return;
    if ((events & Epoll.Error) !== 0) this.#errors.readErrors(mapping);
    for (let round = 0; round < RECEIVE_ROUNDS; round += 1) {
      // Most sockets have one datagram at a time, and each message that is offered to the kernel costs.
      const most = round === 0 ? KEPT_BUFFERS : RECEIVE_BATCH;
      const received = receiver.receive(mapping.fd, most);
      if (received > 0) this.#deliver(mapping, received, now);
      // An error that was pending is reported once, and cleared by this very call. The mapping is gone if it was
      // the oldest when a client's stray datagram needed room.
      if (received < most || this.#mappings.get(id) !== mapping) break;
    }
    receiver.release();
  }

  #deliver(mapping: Mapping, count: number, now: number): void {
    const { session } = mapping;
    const { config } = this.#context;
    for (let index = 0; index < count; ) {
      if (session !== null && this.#published.isStray(session, index)) {
        this.#published.deliver(session, index, mapping.mac, now);
        index += 1;
        continue;
      }
      const source = mapping.appearanceOf(config, this.#receiver.peerOf(index));
      if (source === null) {
        this.#context.drops.count(DropReason.PolicyFiltered);
        index += 1;
        continue;
      }
      this.#opening.onAnswered(mapping);
      this.#mappings.touch(mapping, now);
      index += this.#delivery.deliver(mapping, source, index, count);
    }
  }

  /** Ends mappings that have been idle for their time-out. */
  turn(now: number): void {
    this.#mappings.expire(now);
  }

  nextAt(): number {
    return this.#mappings.nextAt;
  }

  reap(): void {
    this.#mappings.reap();
  }

  close(): void {
    this.#mappings.close();
  }

  /** Each mapping has one. */
  get descriptors(): number {
    return this.#mappings.count;
  }

  get endable(): number {
    return this.#mappings.count;
  }

  endOldest(): boolean {
    return this.#opening.endOldest();
  }

  addFigures(figures: EngineFigures): void {
    const toGuest = this.#delivery.total;
    figures.mappings += this.#mappings.count;
    figures.datagramsFromGuest += this.#fromGuest.packets;
    figures.datagramsToGuest += toGuest.packets;
    figures.datagramBytesFromGuest += this.#fromGuest.bytes;
    figures.datagramBytesToGuest += toGuest.bytes;
  }

  /** The mappings there are, each as it is when it is asked for. */
  *records(): Generator<FlowRecord> {
    for (const mapping of this.#mappings.values()) yield recordOf(mapping);
  }
}

function recordOf(mapping: Mapping): FlowRecord {
  const { fd, guest, guestPort, route, session, peer: contacted, peerPort, since } = mapping;
  const peer = { address: contacted, port: peerPort };
  const seen = { address: route.as ?? contacted, port: session?.seenPort ?? peerPort };
  return {
    protocol: mapping.protocol.name,
    direction: session === null ? "outbound" : "inbound",
    state: mapping.answered ? "answered" : "unanswered",
    guest: { own: { address: guest, port: guestPort }, peer: seen },
    host: { own: localAddress(fd), peer },
    fromGuest: mapping.fromGuest,
    toGuest: mapping.toGuest,
    since,
    roundTripTime: null,
  };
}
