import { Admission, isOutOfDescriptors } from "../admission/admission.js";
import type { BulkMeter } from "../admission/bulk-meter.js";
import type { DescriptorQuota } from "../admission/descriptors.js";
import type { LimitReports } from "../admission/limit-reports.js";
import { Address } from "../base/address.js";
import { type DropCounters, DropReason } from "../base/drop.js";
import { log } from "../base/log.js";
import type { Mac } from "../base/mac.js";
import type { GuestConfig } from "../config/guest-config.js";
import type { Engine, EngineFigures } from "../engine/engine.js";
import { type Envelope, type GuestWriter, MAX_PIECES } from "../frames/guest-writer.js";
import { type IcmpErrors, rebuildPacket } from "../frames/icmp-errors.js";
import { type FlowRecord, Tally } from "../nat/flow-record.js";
import { PORT_ATTEMPTS, type PublishedRule, randomPort } from "../nat/published-port.js";
import { appearanceOf, gatewayOf, isOurDns, translateDestination } from "../nat/translate.js";
import type { Stack } from "../stack/stack.js";
import { Epoll, Errno } from "../sys/constants.js";
import { native } from "../sys/native.js";
import type { QueuedError, ReceivedControl } from "../sys/sockets/control-data.js";
import { openSessionSocket, receiveOffloaded } from "../sys/sockets/datagram-socket.js";
import { isOwnAddress, localAddress } from "../sys/sockets/socket.js";
import { TokenKind, tokenOf } from "../sys/token.js";
import { Frame } from "../wire/frame.js";
import { type IcmpCode, IcmpError, icmpProtocol, isIcmpError } from "../wire/icmp.js";
import { IpProtocol } from "../wire/ip.js";
import { DEFAULT_HOP_LIMIT } from "../wire/reply.js";
import { headerFields, Mapping, MappingTable, type Route } from "./mapping.js";
import { PingProtocol } from "./ping.js";
import type { DatagramProtocol, Exchange } from "./protocol.js";
import { KEPT_BUFFERS, RECEIVE_BATCH, Receiver } from "./receiver.js";
import { MAX_GATHERED, type Outgoing, SendQueue } from "./send-queue.js";
import type { AskedPort, Session } from "./sessions.js";
import { UdpProtocol } from "./udp.js";

/**
 * Calls per turn, so that no mapping starves another. The first asks for few: most sockets have one
 * datagram at a time, and each message that is offered costs.
 */
const RECEIVE_ROUNDS = 4;

/** What the relay needs of its guest. */
export interface DatagramContext {
  readonly stack: Stack;
  readonly config: GuestConfig;
  readonly drops: DropCounters;
  readonly reports: LimitReports;
  readonly bulk: BulkMeter;
  readonly quota: DescriptorQuota;
  /** Number of the registered memory of the stack. */
  readonly memory: number;
  /** Index of the guest in tokens. */
  readonly guest: number;
  /** Whether the TAP has a virtio header. */
  readonly offload: boolean;
  readonly writer: GuestWriter;
  readonly errors: IcmpErrors;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/**
 * Relays the guest's datagrams, UDP and ICMP echo. A mapping is endpoint-independent (RFC 4787
 * REQ-1, RFC 5508 REQ-1): all that one endpoint of the guest sends to the world leaves from one
 * host socket.
 */
export class DatagramRelay implements Engine {
  readonly kind = TokenKind.Datagram;
  /** What has passed since the beginning. */
  readonly #fromGuest = new Tally();
  readonly #toGuest = new Tally();
  readonly #context: DatagramContext;
  readonly #mappings = new MappingTable();
  readonly #admission: Admission;
  readonly #queue: SendQueue;
  readonly #udp: UdpProtocol;
  readonly #ping: PingProtocol;
  readonly #receiver: Receiver;
  #pingRefused = false;
  readonly #control: ReceivedControl = { segmentSize: 0, trafficClass: 0, hopLimit: 0 };
  readonly #next: ReceivedControl = { segmentSize: 0, trafficClass: 0, hopLimit: 0 };
  // Refilled for each datagram: to the guest, and from it.
  readonly #envelope: Envelope;
  readonly #outgoing: Outgoing;
  readonly #exchange: Mutable<Exchange> = {
    guestPort: 0,
    port: 0,
    payload: 0,
    length: 0,
    segmentSize: 0,
  };

  constructor(context: DatagramContext) {
    const { stack, memory, offload, config } = context;
    this.#context = context;
    this.#admission = new Admission(config.limits.newMappings, context.bulk);
    this.#queue = new SendQueue(stack, memory, {
      clearErrors: (mapping) => this.#readErrors(mapping),
      onSendFailure: (mapping, offset, length, errno) =>
        this.#onSendFailure(mapping, offset, length, errno),
    });
    this.#udp = new UdpProtocol(offload, config.timeouts);
    this.#ping = new PingProtocol(stack.bytes, config.timeouts);
    this.#receiver = new Receiver(stack, memory);
    const { gateway } = config.plans[0];
    this.#envelope = {
      mac: 0,
      source: gateway,
      destination: gateway,
      protocol: IpProtocol.Udp,
      hopLimit: DEFAULT_HOP_LIMIT,
      trafficClass: 0,
    };
    this.#outgoing = { to: gateway, port: 0, fields: 0, segmentSize: 0 };
  }

  /** Each mapping has one. */
  get descriptors(): number {
    return this.#mappings.count;
  }

  get endable(): number {
    return this.#mappings.count;
  }

  addFigures(figures: EngineFigures): void {
    figures.mappings += this.#mappings.count;
    figures.datagramsFromGuest += this.#fromGuest.packets;
    figures.datagramsToGuest += this.#toGuest.packets;
    figures.datagramBytesFromGuest += this.#fromGuest.bytes;
    figures.datagramBytesToGuest += this.#toGuest.bytes;
  }

  /** The mappings there are, each as it is when it is asked for. */
  *records(): Generator<FlowRecord> {
    for (const mapping of this.#mappings.values()) yield this.#record(mapping);
  }

  #record(mapping: Mapping): FlowRecord {
    const { fd, guest, guestPort, route, session, peer: contacted, peerPort, since } = mapping;
    const peer = { address: contacted, port: peerPort };
    const seen = { address: route.as ?? contacted, port: session?.seenPort ?? peerPort };
    return {
      protocol: mapping.protocol === this.#udp ? "udp" : "icmp",
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

  /** Whether packets of that protocol are for relay(). */
  carries(frame: Frame): boolean {
    return frame.protocol === IpProtocol.Udp || frame.protocol === icmpProtocol(frame.family);
  }

  /**
   * Relays the datagram in `frame` to where the address plan leads.
   * @param segmentSize of a superframe; 0 for an ordinary one
   * @param isTrusted whether the kernel vouches for the transport's checksum
   */
  relay(frame: Frame, segmentSize: number, isTrusted: boolean, now: number): void {
    const { config, drops, errors } = this.#context;
    const protocol = frame.protocol === IpProtocol.Udp ? this.#udp : this.#ping;
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
    const to = translateDestination(config, frame.destination);
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

  /**
   * Delivers what the socket of a published port has received, each client's first datagrams: from
   * then on the client has a session, a mapping with a socket of its own.
   * @param mac the guest's Ethernet address; null: it has none, what came is dropped
   */
  onPublished(fd: number, rule: PublishedRule, mac: Mac | null, now: number): void {
    const receiver = this.#receiver;
    const received = receiver.receive(fd, RECEIVE_BATCH);
    for (let index = 0; index < received; index += 1) {
      if (mac === null) {
        this.#context.drops.count(DropReason.GuestUnreachable);
        continue;
      }
      const asked = receiver.destinationOf(index) ?? rule.host;
      this.#deliverPublished({ rule, asked, listener: fd }, receiver, index, mac, now);
    }
    receiver.release();
  }

  #deliverPublished(
    port: AskedPort,
    receiver: Receiver,
    index: number,
    mac: Mac,
    now: number,
  ): void {
    const mapping = this.#sessionFor(port, receiver, index, mac, now);
    if (mapping?.session == null) {
      this.#context.drops.count(DropReason.LimitFlows);
      return;
    }
    this.#mappings.touch(mapping, now);
    this.#deliverFrom(mapping, receiver, mapping.session.seen, index, index + 1);
  }

  /** Ends what the clients of a published port have. */
  endSessions(rule: PublishedRule): void {
    this.#queue.flush();
    this.#mappings.endSessions(rule);
  }

  /** Sends what was relayed; to be called before the buffers of the frames are used again. */
  flush(): void {
    this.#queue.flush();
  }

  /** Reads what the mapping's socket has received, at most a turn's worth. */
  onEvents(id: number, events: number, now: number): void {
    this.#context.errors.advance(now);
    const mapping = this.#mappings.get(id);
    const receiver = this.#receiver;
    if (mapping === undefined) return;
    if ((events & Epoll.Error) !== 0) this.#readErrors(mapping);
    for (let round = 0; round < RECEIVE_ROUNDS; round += 1) {
      const most = round === 0 ? KEPT_BUFFERS : RECEIVE_BATCH;
      const received = receiver.receive(mapping.fd, most);
      if (received > 0) this.#deliver(mapping, receiver, received, now);
      // A pending error is told once and cleared by this very call. Somebody's stray datagram may have
      // ended the mapping, to have room for its own.
      if (received < most || this.#mappings.get(id) !== mapping) break;
    }
    receiver.release();
  }

  /** Ends mappings that are out of use. */
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

  #refuse(frame: Frame, reason: DropReason): void {
    const { errors, config } = this.#context;
    const { family, destination, destinationPort } = frame;
    // Silence where there would be DNS, as for TCP.
    const isUdp = frame.protocol === IpProtocol.Udp;
    if (isUdp && isOurDns(config, destination, destinationPort)) return;
    if (reason === DropReason.PolicyHostLoopback) {
      errors.about(frame, IcmpError.PortUnreachable[family]);
    }
    if (reason === DropReason.PolicyDenied) {
      errors.about(frame, IcmpError.HostUnreachable[family]);
    }
  }

  #send(
    frame: Frame,
    protocol: DatagramProtocol,
    to: Address,
    as: Address | null,
    segmentSize: number,
    now: number,
  ): void {
    const mapping =
      this.#mappings.find(frame, protocol, as) ?? this.#open(frame, protocol, { to, as }, now);
    if (mapping === null) return;
    this.#mappings.touch(mapping, now);
    mapping.mac = frame.sourceMac;
    const port = protocol.port(frame);
    mapping.contact(to, port);
    const { trafficClass } = frame;
    // What leads to the host itself has arrived here: it crosses no further link.
    const fields =
      as === null
        ? headerFields(frame.hopLimit - 1, trafficClass, frame.dontFragment)
        : headerFields(DEFAULT_HOP_LIMIT, trafficClass, false);
    const outgoing = this.#outgoing;
    outgoing.to = to;
    outgoing.port = port;
    outgoing.fields = fields;
    outgoing.segmentSize = segmentSize;
    this.#enqueue(mapping, frame);
  }

  /** A datagram of the guest to a client of a published port. */
  #answer(mapping: Mapping, frame: Frame, segmentSize: number, now: number): void {
    const { session } = mapping;
    if (session === null) return;
    this.#mappings.touch(mapping, now);
    this.#onAnswered(mapping);
    mapping.mac = frame.sourceMac;
    const hopLimit = mapping.route.as === null ? frame.hopLimit - 1 : DEFAULT_HOP_LIMIT;
    const fields = headerFields(Math.max(1, hopLimit), frame.trafficClass, frame.dontFragment);
    const outgoing = this.#outgoing;
    outgoing.to = session.client;
    outgoing.port = session.clientPort;
    outgoing.fields = fields;
    outgoing.segmentSize = segmentSize;
    this.#enqueue(mapping, frame);
  }

  /** Counts the datagram, and queues it for where #outgoing says. */
  #enqueue(mapping: Mapping, frame: Frame): void {
    const length = mapping.protocol.length(frame);
    const { segmentSize } = this.#outgoing;
    mapping.fromGuest.add(length, segmentSize);
    this.#fromGuest.add(length, segmentSize);
    this.#queue.add(mapping, frame, this.#outgoing);
  }

  #sessionFor(
    { rule, asked, listener }: AskedPort,
    receiver: Receiver,
    index: number,
    mac: Mac,
    now: number,
  ): Mapping | null {
    const { sessions } = this.#mappings;
    const client = receiver.peerOf(index);
    const clientPort = receiver.portOf(index);
    const scope = receiver.scopeOf(index);
    const known = sessions.ofClient({ rule, client, clientPort, scope, asked });
    if (known !== null) return known;
    const local = { address: asked, port: rule.hostPort, scope };
    if (!this.#admit(now)) return null;
    const { quota } = this.#context;
    const remote = { address: client, port: clientPort, scope };
    if (!quota.mayOpen(1) && !this.endOldest()) return null;
    let fd = openSessionSocket(listener, local, remote);
    if (isOutOfDescriptors(-fd) && (quota.reclaimOne() || this.endOldest()))
      fd = openSessionSocket(listener, local, remote);
    if (fd < 0) return null;
    if (this.#context.offload) receiveOffloaded(fd);
    const session = this.#sessionOf({ rule, client, clientPort, scope, asked, listener });
    return this.#addSession(fd, session, mac, now);
  }

  /** Two ports that lead to one of the guest may have the same client: it cannot look the same. */
  #sessionOf(known: Omit<Session, "seen" | "seenPort">): Session {
    const { rule, client, clientPort } = known;
    const { config } = this.#context;
    const { family } = rule.guest;
    const seen = appearanceOf(config, client, family);
    let session: Session = { ...known, seen, seenPort: clientPort };
    for (let attempt = 0; attempt < PORT_ATTEMPTS; attempt += 1) {
      if (!this.#mappings.sessions.isSeen(rule, session.seen, session.seenPort)) break;
      session = { ...known, seen: gatewayOf(config, family), seenPort: randomPort() };
    }
    return session;
  }

  #addSession(fd: number, session: Session, mac: Mac, now: number): Mapping | null {
    const { rule, client, clientPort, seen } = session;
    const endpoint = new Frame(this.#context.stack.bytes);
    endpoint.source = rule.guest;
    endpoint.sourcePort = rule.guestPort;
    endpoint.sourceMac = mac;
    const as = seen.equals(client) ? null : seen;
    const mapping = new Mapping(fd, this.#udp, endpoint, { to: client, as }, false, now);
    mapping.session = session;
    mapping.contact(client, clientPort);
    return this.#add(mapping);
  }

  /** @returns null when the kernel has no memory to tell of its events */
  #add(mapping: Mapping): Mapping | null {
    const id = this.#mappings.ids.take();
    const token = tokenOf(this.kind, this.#context.guest, id);
    if (native.watch(mapping.fd, Epoll.In, token) < 0) {
      native.close(mapping.fd);
      this.#mappings.ids.release(id);
      this.#context.drops.count(DropReason.HostRefused);
      return null;
    }
    this.#mappings.add(id, mapping);
    return mapping;
  }

  #open(frame: Frame, protocol: DatagramProtocol, route: Route, now: number): Mapping | null {
    const { config } = this.#context;
    if (!this.#admit(now)) return null;
    const fd = this.#openSocket(frame, protocol, route);
    if (fd < 0) {
      this.#onOpenFailure(frame, protocol, -fd, now);
      return null;
    }
    const isFiltered = config.udpFiltering === "address" && route.as === null;
    const mapping = new Mapping(fd, protocol, frame, route, isFiltered, now);
    return this.#add(mapping);
  }

  /** Room for one more mapping: the oldest idle goes. @returns false when too many begin */
  #admit(now: number): boolean {
    const { reports, config } = this.#context;
    if (!this.#admission.take(now)) {
      reports.report(DropReason.LimitMappingRate, now);
      return false;
    }
    if (this.#mappings.count < config.limits.mappings) return true;
    reports.report(DropReason.LimitMappings, now);
    return this.endOldest();
  }

  /** At a limit of descriptors, too, the oldest idle mapping goes first: others', who have more, or its own. */
  #openSocket(frame: Frame, protocol: DatagramProtocol, route: Route): number {
    const { config, quota } = this.#context;
    const source = config.outbound[route.to.family];
    const guestPort = protocol.guestPort(frame);
    const mayOpen = quota.mayOpen(1);
    const fd = mayOpen ? protocol.open(route.to.family, guestPort, source) : -Errno.EMFILE;
    if (!isOutOfDescriptors(-fd)) return fd;
    const hasRoom = (mayOpen && quota.reclaimOne()) || this.endOldest();
    return hasRoom ? protocol.open(route.to.family, guestPort, source) : fd;
  }

  /** Ends what has been out of use for longest. @returns false when there is nothing */
  endOldest(): boolean {
    // What waits in the queue may be the mapping's.
    this.#queue.flush();
    return this.#mappings.endOldest();
  }

  #onOpenFailure(frame: Frame, protocol: DatagramProtocol, errno: number, now: number): void {
    const { drops, errors, reports } = this.#context;
    const isForbidden = errno === Errno.EACCES || errno === Errno.EPERM;
    if (protocol !== this.#ping || !isForbidden) {
      if (isOutOfDescriptors(errno)) reports.report(DropReason.LimitDescriptors, now);
      else drops.count(DropReason.HostRefused);
      errors.about(frame, IcmpError.HostUnreachable[frame.family]);
      return;
    }
    drops.count(DropReason.PolicyPing);
    errors.about(frame, IcmpError.Prohibited[frame.family]);
    if (this.#pingRefused) return;
    this.#pingRefused = true;
    log.warn(
      "ping leads no further than the gateway: this user's group is not in the sysctl " +
        "net.ipv4.ping_group_range (as root: sysctl -w 'net.ipv4.ping_group_range=0 2147483647')",
    );
  }

  #readErrors(mapping: Mapping): void {
    const receiver = this.#receiver;
    for (let count = receiver.receiveErrors(mapping.fd); count > 0; ) {
      for (let index = 0; index < count; index += 1) {
        const error = receiver.errorAt(index);
        if (error === null) continue;
        if (error.isLocal) mapping.localMtu = error.mtu;
        else this.#onQueuedError(mapping, receiver, index, error);
      }
      count = receiver.receiveErrors(mapping.fd);
    }
  }

  /** An ICMP error came back about a datagram that the mapping sent: the guest shall have it. */
  #onQueuedError(mapping: Mapping, receiver: Receiver, index: number, error: QueuedError): void {
    const { route, guest, guestPort, protocol, mac } = mapping;
    const { errors } = this.#context;
    if (!isIcmpError(guest.family, error.type)) return;
    const destination = route.as ?? receiver.errorDestination(index);
    const port = mapping.session?.seenPort ?? receiver.errorPort(index);
    const payload = receiver.errorPayload(index);
    const transport = protocol.quote(guest, guestPort, destination, port, payload);
    const number = protocol.number(guest.family);
    const packet = rebuildPacket(guest, destination, number, transport);
    const from = route.as ?? this.#reporter(error.offender);
    const hopLimit = Math.max(1, error.hopLimit - 1);
    errors.aboutPacket(packet, mac, error, { from, mtu: error.mtu, hopLimit });
  }

  /**
   * Who reports an error to the guest; null for the gateway. What the host itself says (a firewall, a
   * neighbor that does not answer) is said by the guest's router, and so is what comes by a
   * link-local address: it would be of the guest's own link.
   */
  #reporter(offender: Address | null): Address | null {
    if (offender === null || offender.isLoopback) return null;
    if (offender.family === 6 && offender.isLinkLocal) return null;
    return isOwnAddress(offender) ? null : offender;
  }

  #onSendFailure(mapping: Mapping, offset: number, length: number, errno: number): void {
    const { drops, errors, stack } = this.#context;
    const error = unreachableBy(errno);
    if (error === null) {
      drops.count(DropReason.HostQueueFull);
      return;
    }
    drops.count(DropReason.HostRefused);
    const mtu = error === IcmpError.PacketTooBig ? mapping.localMtu : 0;
    const code: IcmpCode = error[mapping.guest.family];
    const detail = { from: null, mtu, hopLimit: DEFAULT_HOP_LIMIT };
    errors.aboutFrame(stack.bytes, offset, length, code, detail);
  }

  /** As whom a peer appears to the guest; null when it may not be heard. */
  #appearance(mapping: Mapping, peer: Address): Address | null {
    const { route, session } = mapping;
    if (session !== null) return session.seen;
    if (route.as === null) return peer.isLoopback || !mapping.admits(peer) ? null : peer;
    return peer.equals(route.to) ? route.as : null;
  }

  #deliver(mapping: Mapping, receiver: Receiver, count: number, now: number): void {
    const { drops } = this.#context;
    for (let index = 0; index < count; ) {
      const { session } = mapping;
      if (session !== null && isStray(session, receiver, index)) {
        this.#deliverPublished(session, receiver, index, mapping.mac, now);
        index += 1;
        continue;
      }
      const source = this.#appearance(mapping, receiver.peerOf(index));
      if (source === null) {
        drops.count(DropReason.PolicyFiltered);
        index += 1;
        continue;
      }
      this.#onAnswered(mapping);
      this.#mappings.touch(mapping, now);
      index += this.#deliverFrom(mapping, receiver, source, index, count);
    }
  }

  /** @returns how many of the received messages were delivered, at least one */
  #deliverFrom(
    mapping: Mapping,
    receiver: Receiver,
    source: Address,
    index: number,
    count: number,
  ): number {
    const { writer } = this.#context;
    receiver.readControl(index, this.#control);
    this.#address(mapping, source);
    const port = mapping.session?.seenPort ?? receiver.portOf(index);
    const gathered = this.#gather(mapping, receiver, source, port, index, count);
    if (gathered > 1) return gathered;
    const exchange = this.#exchange;
    exchange.guestPort = mapping.guestPort;
    exchange.port = port;
    exchange.payload = receiver.payloadAt(index);
    exchange.length = receiver.lengthOf(index);
    exchange.segmentSize = this.#control.segmentSize;
    this.#countToGuest(mapping, exchange.length, exchange.segmentSize);
    mapping.protocol.deliver(writer, this.#envelope, exchange);
    return 1;
  }

  #address(mapping: Mapping, source: Address): void {
    const envelope = this.#envelope;
    const { hopLimit, trafficClass } = this.#control;
    envelope.mac = mapping.mac;
    envelope.source = source;
    envelope.destination = mapping.guest;
    envelope.protocol = mapping.protocol.number(source.family);
    envelope.trafficClass = trafficClass;
    // We are one hop; what the host itself says starts here.
    envelope.hopLimit = mapping.route.as === null ? Math.max(1, hopLimit - 1) : DEFAULT_HOP_LIMIT;
  }

  /**
   * Delivers equal-sized datagrams of one peer as one superframe.
   * @returns how many, 0 when they are to be delivered one by one
   */
  #gather(
    mapping: Mapping,
    receiver: Receiver,
    source: Address,
    port: number,
    index: number,
    count: number,
  ): number {
    const { writer } = this.#context;
    const size = receiver.lengthOf(index);
    if (!mapping.protocol.hasSegments || size === 0 || this.#control.segmentSize > 0) return 0;
    if (!writer.takesSegments(source, size)) return 0;
    let total = size;
    let end = index + 1;
    writer.setPiece(0, receiver.payloadAt(index), size);
    while (end < count && this.#continues(receiver, index, end, size, total)) {
      const length = receiver.lengthOf(end);
      writer.setPiece(end - index, receiver.payloadAt(end), length);
      total += length;
      end += 1;
      if (length < size) break;
    }
    const pieces = end - index;
    if (pieces === 1) return 0;
    const { guestPort } = mapping;
    if (!writer.writeGathered(this.#envelope, port, guestPort, pieces, total, size)) return 0;
    this.#countToGuest(mapping, total, size);
    return pieces;
  }

  #onAnswered(mapping: Mapping): void {
    if (mapping.answered) return;
    mapping.answered = true;
    this.#admission.giveBack();
  }

  #countToGuest(mapping: Mapping, bytes: number, segmentSize: number): void {
    mapping.toGuest.add(bytes, segmentSize);
    this.#toGuest.add(bytes, segmentSize);
  }

  #continues(
    receiver: Receiver,
    first: number,
    index: number,
    size: number,
    total: number,
  ): boolean {
    const length = receiver.lengthOf(index);
    if (length === 0 || length > size || total + length > MAX_GATHERED) return false;
    if (index - first >= MAX_PIECES || receiver.portOf(index) !== receiver.portOf(first))
      return false;
    if (!receiver.peerOf(index).equals(receiver.peerOf(first))) return false;
    receiver.readControl(index, this.#next);
    const { segmentSize, trafficClass, hopLimit } = this.#next;
    const control = this.#control;
    return (
      segmentSize === 0 && trafficClass === control.trafficClass && hopLimit === control.hopLimit
    );
  }
}

/**
 * Whether a datagram is of another client than the session's: its socket had the port for itself
 * before it was connected (openSessionSocket), and what came then is in it.
 */
function isStray({ client, clientPort }: Session, receiver: Receiver, index: number): boolean {
  return receiver.portOf(index) !== clientPort || !receiver.peerOf(index).equals(client);
}

/** What the guest is told of a send that failed; null for nothing: lost, as on any network. */
function unreachableBy(errno: number): IcmpError | null {
  switch (errno) {
    case Errno.ENETUNREACH:
      return IcmpError.NetworkUnreachable;
    case Errno.EHOSTUNREACH:
    // No address of ours for the destination: the family is not routed.
    case Errno.EADDRNOTAVAIL:
      return IcmpError.HostUnreachable;
    case Errno.EACCES:
    case Errno.EPERM:
      return IcmpError.Prohibited;
    case Errno.ECONNREFUSED:
      return IcmpError.PortUnreachable;
    case Errno.EMSGSIZE:
      return IcmpError.PacketTooBig;
    default:
      return null;
  }
}
