import { Admission, isOutOfDescriptors } from "../admission/admission.js";
import type { BulkMeter } from "../admission/bulk-meter.js";
import type { DescriptorQuota } from "../admission/descriptors.js";
import type { LimitReports } from "../admission/limit-reports.js";
import { type DropCounters, DropReason } from "../base/drop.js";
import { log } from "../base/log.js";
import type { GuestConfig } from "../config/guest-config.js";
import type { IcmpErrors } from "../frames/icmp-errors.js";
import { Epoll, Errno } from "../sys/constants.js";
import { native } from "../sys/native.js";
import { TokenKind, tokenOf } from "../sys/token.js";
import type { Frame } from "../wire/frame.js";
import { IcmpError } from "../wire/icmp.js";
import { Mapping, type MappingTable, type Route } from "./mapping.js";
import type { DatagramProtocol } from "./protocol.js";
import type { SendQueue } from "./send-queue.js";

/** What the opening of mappings needs of the guest. */
export interface OpeningContext {
  readonly config: GuestConfig;
  readonly drops: DropCounters;
  readonly reports: LimitReports;
  readonly bulk: BulkMeter;
  readonly quota: DescriptorQuota;
  /** Index of the guest in tokens. */
  readonly guest: number;
  /** Writes ICMP errors to the guest. */
  readonly errors: IcmpErrors;
}

/** Opens mappings, as far as the guest's limits allow. */
export class Opening {
  readonly #context: OpeningContext;
  readonly #mappings: MappingTable;
  readonly #queue: SendQueue;
  readonly #admission: Admission;
  #hasWarnedOfPing = false;

  constructor(context: OpeningContext, mappings: MappingTable, queue: SendQueue) {
    this.#context = context;
    this.#mappings = mappings;
    this.#queue = queue;
    this.#admission = new Admission(context.config.limits.newMappings, context.bulk);
  }

  /** Opens a mapping for the endpoint that sent `frame`. @returns null when it cannot: the frame is dropped */
  open(frame: Frame, protocol: DatagramProtocol, route: Route, now: number): Mapping | null {
    const { udpFiltering } = this.#context.config;
    if (!this.admit(now)) return null;
    const fd = this.#openSocket(frame, protocol, route);
    if (fd < 0) {
      this.#onFailure(frame, protocol, -fd, now);
      return null;
    }
    const mapping = new Mapping({
      fd,
      protocol,
      guest: frame.source,
      guestPort: protocol.guestPort(frame),
      mac: frame.sourceMac,
      route,
      session: null,
      isFiltered: udpFiltering === "address" && route.as === null,
      since: now,
    });
    return this.add(mapping);
  }

  /** Whether one more mapping may begin; at the limit, the one idle for longest ends. @param now in ms */
  admit(now: number): boolean {
    const { reports, config } = this.#context;
    if (!this.#admission.take(now)) {
      reports.report(DropReason.LimitMappingRate, now);
      return false;
    }
    if (this.#mappings.count < config.limits.mappings) return true;
    reports.report(DropReason.LimitMappings, now);
    return this.endOldest();
  }

  /** Watches the mapping's socket. @returns null when the kernel has no memory for that: the socket is closed */
  add(mapping: Mapping): Mapping | null {
    const { guest, drops } = this.#context;
    const id = this.#mappings.ids.take();
    if (native.watch(mapping.fd, Epoll.In, tokenOf(TokenKind.Datagram, guest, id)) < 0) {
      native.close(mapping.fd);
      this.#mappings.ids.release(id);
      drops.count(DropReason.HostRefused);
      return null;
    }
    this.#mappings.add(id, mapping);
    return mapping;
  }

  /** Somebody answers: the mapping does not count against the rate of new ones. */
  onAnswered(mapping: Mapping): void {
    if (mapping.answered) return;
    mapping.answered = true;
    this.#admission.giveBack();
  }

  /** Ends the mapping that has been idle for longest. @returns false when there is none */
  endOldest(): boolean {
    // What waits in the queue may be the mapping's.
    this.#queue.flush();
    return this.#mappings.endOldest();
  }

  /** Without a descriptor left, the oldest mapping of a guest that has more goes first, or this guest's oldest. */
  #openSocket(frame: Frame, protocol: DatagramProtocol, route: Route): number {
    const { config, quota } = this.#context;
    const { family } = route.to;
    const source = config.outbound[family];
    const guestPort = protocol.guestPort(frame);
    const mayOpen = quota.mayOpen(1);
    const fd = mayOpen ? protocol.open(family, guestPort, source) : -Errno.EMFILE;
    if (!isOutOfDescriptors(-fd)) return fd;
    const hasRoom = (mayOpen && quota.reclaimOne()) || this.endOldest();
    return hasRoom ? protocol.open(family, guestPort, source) : fd;
  }

  #onFailure(frame: Frame, protocol: DatagramProtocol, errno: number, now: number): void {
    const { drops, errors, reports } = this.#context;
    const { family } = frame;
    const isForbidden = errno === Errno.EACCES || errno === Errno.EPERM;
    if (protocol.name === "icmp" && isForbidden) {
      drops.count(DropReason.PolicyPing);
      errors.about(frame, IcmpError.Prohibited[family]);
      this.#warnOfPing();
      return;
    }
    if (isOutOfDescriptors(errno)) reports.report(DropReason.LimitDescriptors, now);
    else drops.count(DropReason.HostRefused);
    errors.about(frame, IcmpError.HostUnreachable[family]);
  }

  #warnOfPing(): void {
    if (this.#hasWarnedOfPing) return;
    this.#hasWarnedOfPing = true;
    log.warn(
      "ping leads no further than the gateway: this user's group is not in the sysctl " +
        "net.ipv4.ping_group_range (as root: sysctl -w 'net.ipv4.ping_group_range=0 2147483647')",
    );
  }
}
