import { Admission, isOutOfDescriptors } from "../admission/admission.js";
import type { BulkMeter } from "../admission/bulk-meter.js";
import type { DescriptorQuota } from "../admission/descriptors.js";
import type { LimitReports } from "../admission/limit-reports.js";
import { Address } from "../base/address.js";
import { NEVER } from "../base/clock.js";
import { type DropCounters, DropReason } from "../base/drop.js";
import type { GuestConfig } from "../config/guest-config.js";
import type { DnsStreams } from "../dns/streams.js";
import { endpointKey } from "../nat/endpoint-key.js";
import { isOurDns, translateDestination } from "../nat/translate.js";
import type { FlowTuple, Stack } from "../stack/stack.js";
import { Epoll, Errno } from "../sys/constants.js";
import { native } from "../sys/native.js";
import { pendingError, resetSocket } from "../sys/sockets/socket.js";
import { IcmpError } from "../wire/icmp.js";
import { DSCP_MASK } from "../wire/ip.js";
import type { TcpFlow } from "./flow.js";
import type { FlowTable } from "./flow-table.js";
import { openConnecting, watchSocket } from "./host-socket.js";

/** How soon SYNs that came too fast are tried again, in ms. */
const SYN_WAIT = 1;

/** Held SYNs that may open in one turn while other guests want something: each costs a socket. */
const MOST_ADMITTED = 4;

/** What the opening of flows needs of the guest. */
export interface OpeningContext {
  readonly stack: Stack;
  readonly config: GuestConfig;
  /** null when nothing answers at the DNS address. */
  readonly dnsStreams: DnsStreams | null;
  readonly drops: DropCounters;
  readonly reports: LimitReports;
  readonly bulk: BulkMeter;
  readonly quota: DescriptorQuota;
  /** Index of the guest in tokens. */
  readonly guest: number;
  /** Answers the flow's held SYN with an ICMP error. */
  readonly sendUnreachable: (id: number, tuple: FlowTuple, error: IcmpError) => void;
}

/**
 * Opens the flows that the guest asks for: admits its SYNs, connects on the host, and answers the guest only
 * then, with SYN and ACK or with what the host got.
 */
export class Opening {
  readonly #context: OpeningContext;
  readonly #flows: FlowTable;
  readonly #admission: Admission;
  /** Ids of SYNs that wait to be admitted, in the order in which they came. */
  readonly #held = new Set<number>();

  constructor(context: OpeningContext, flows: FlowTable) {
    this.#context = context;
    this.#flows = flows;
    this.#admission = new Admission(context.config.limits.newFlows, context.bulk);
  }

  /** Opens the flow now or soon; a SYN that is too many is dropped, as the guest will repeat it. */
  onSyn(id: number, now: number): void {
    const { config, drops, reports } = this.#context;
    if (!config.protocols.tcp) {
      drops.count(DropReason.PolicyProtocol);
      this.#flows.retire(id);
    } else if (this.#held.size === 0 && this.#admission.take(now)) {
      this.#open(id, now);
    } else if (this.#held.size < config.limits.halfOpen) {
      this.#held.add(id);
    } else {
      reports.report(DropReason.LimitRate, now);
      this.#flows.retire(id);
    }
  }

  /** The guest has reset a flow that may be a held SYN. */
  onReset(id: number): void {
    if (this.#held.delete(id)) this.#flows.retire(id);
  }

  /** The guest has completed the handshake: the flow does not count against the rate of new ones. */
  onOpen(): void {
    this.#admission.giveBack();
  }

  /** An event of a socket that connects. @param events bits of Epoll */
  onSocket(flow: TcpFlow, events: number): void {
    const { stack } = this.#context;
    const error = events & (Epoll.Error | Epoll.HangUp) ? pendingError(flow.fd) : 0;
    if (error !== 0) {
      native.close(flow.fd);
      this.#flows.remove(flow);
      this.#fail(flow.id, stack.tuple(flow.id), error);
      return;
    }
    if (!(events & Epoll.Out)) return;
    this.#flows.establish(flow);
    flow.writable = true;
    flow.hungUp = (events & (Epoll.ReadHangUp | Epoll.HangUp)) !== 0;
    flow.urgent = (events & Epoll.Priority) !== 0;
    flow.readable = flow.hungUp || (events & Epoll.In) !== 0;
    if (!stack.accept(flow.id)) this.#flows.abort(flow);
  }

  /** Opens held SYNs. @param isShared whether other guests want something, too */
  turn(now: number, isShared: boolean): void {
    if (this.#held.size === 0) return;
    let left = isShared ? MOST_ADMITTED : Number.POSITIVE_INFINITY;
    for (const id of this.#held) {
      if (left === 0 || !this.#admission.take(now)) return;
      left -= 1;
      this.#held.delete(id);
      this.#open(id, now);
    }
  }

  /** Whether no SYN is held. */
  get isIdle(): boolean {
    return this.#held.size === 0;
  }

  /** When the next turn is due, in ms. */
  nextAt(now: number): number {
    return this.#held.size > 0 ? now + SYN_WAIT : NEVER;
  }

  /** Forgets held SYNs without asking anything of the stack, which has failed. */
  abandon(): void {
    this.#held.clear();
  }

  #open(id: number, now: number): void {
    const { stack, config, drops, dnsStreams, quota, reports } = this.#context;
    const tuple = stack.tuple(id);
    const { peer, peerPort } = tuple;
    const streams = isOurDns(config, peer, peerPort) ? dnsStreams : null;
    const destination = streams === null ? translateDestination(config, peer, peerPort) : peer;
    if (!(destination instanceof Address)) {
      drops.count(destination);
      this.#refuseByPolicy(id, tuple, destination);
      return;
    }
    const key = endpointKey(destination, peerPort);
    this.#flows.makeRoom(key, true, now);
    let fd = this.#openSocket(id, streams, destination, peerPort, now);
    if (isOutOfDescriptors(-fd) && quota.reclaimOne()) {
      fd = this.#openSocket(id, streams, destination, peerPort, now);
    }
    if (fd >= 0) {
      this.#flows.addOutbound(id, fd, key, now);
      return;
    }
    if (isOutOfDescriptors(-fd)) reports.report(DropReason.LimitDescriptors, now);
    this.#fail(id, tuple, -fd);
  }

  /** @param streams null: the socket connects to the destination @returns a watched socket, or a negative errno */
  #openSocket(
    id: number,
    streams: DnsStreams | null,
    destination: Address,
    port: number,
    now: number,
  ): number {
    const { quota } = this.#context;
    // A stream to the forwarder is a pair of sockets.
    if (!quota.mayOpen(streams === null ? 1 : 2)) return -Errno.EMFILE;
    return streams === null
      ? this.#connect(id, destination, port)
      : this.#openDns(id, streams, now);
  }

  #openDns(id: number, streams: DnsStreams, now: number): number {
    const fd = streams.open(now);
    if (fd < 0) return fd;
    const watched = watchSocket(fd, this.#context.guest, id);
    if (watched >= 0) return fd;
    native.close(fd);
    return watched;
  }

  #connect(id: number, destination: Address, port: number): number {
    const { config, stack, guest } = this.#context;
    const source = config.outbound[destination.family];
    // ECN is negotiated by each side on its own; the service class is that of the guest's SYN.
    const serviceClass = stack.heldTrafficClass(id) & DSCP_MASK;
    const fd = openConnecting(destination, port, source, serviceClass);
    if (fd < 0) return fd;
    const watched = watchSocket(fd, guest, id);
    if (watched >= 0) return fd;
    // FIN would be an empty stream to a peer that is connected already.
    resetSocket(fd);
    return watched;
  }

  /** Tells the guest that the host could not connect, in the words that TCP and ICMP have for the errno. */
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
        // Silence, which is what the host got: the guest's own timer expires at the same time.
        this.#flows.retire(id);
        return;
      default:
        this.#refuse(id);
    }
  }

  #refuseByPolicy(id: number, tuple: FlowTuple, reason: DropReason): void {
    switch (reason) {
      case DropReason.PolicyDenied:
        // Silence at the DNS address if there is no forwarder, as with slirp4netns.
        if (isOurDns(this.#context.config, tuple.peer, tuple.peerPort)) this.#flows.retire(id);
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
    this.#flows.retire(id);
  }

  #refuseWith(id: number, tuple: FlowTuple, error: IcmpError): void {
    this.#context.sendUnreachable(id, tuple, error);
    this.#flows.retire(id);
  }
}
