import type { Admission } from "../admission/admission.js";
import { DropReason } from "../base/drop.js";
import type { Service, Verdict } from "../services/index.js";
import { Input } from "../stack/stack.js";
import { ETHERNET_HEADER_LENGTH, EtherType } from "../wire/ethernet.js";
import { createAddressCaches, Frame, parseFrame } from "../wire/frame.js";
import { icmpChecksumIsRight, isIcmpError, parseTooBig } from "../wire/icmp.js";
import { emitIp, IpProtocol, ipHeaderLength } from "../wire/ip.js";
import { createVnetHeader, parseVnet, VnetFlags, VnetGso, type VnetHeader } from "../wire/vnet.js";
import type { DataPath } from "./data-path.js";

/**
 * Most datagrams in one frame: UDP_MAX_SEGMENTS of Linux since 6.9. No kernel sends more, but a guest that writes
 * virtio headers by hand could make one frame cost 65,000 system calls.
 */
const MOST_SEGMENTS = 128;

/** A service, and the limit of its requests; null: there is none. */
export interface Responder {
  readonly service: Service;
  readonly admission: Admission | null;
}

/**
 * Decides where a frame of the guest goes: to the stack, to the reassembly, to a service or to the datagram relay.
 * The frame lies in the buffer of the data path's stack.
 */
export class Ingress {
  readonly #path: DataPath;
  readonly #responders: readonly Responder[];
  readonly #frame: Frame;
  readonly #caches = createAddressCaches();
  readonly #vnet = createVnetHeader();

  /** @param responders in the order in which they are asked; the first that claims a frame decides */
  constructor(path: DataPath, responders: readonly Responder[]) {
    this.#path = path;
    this.#responders = responders;
    this.#frame = new Frame(path.stack.bytes);
  }

  /** @param end of the frame, in bytes from the start of the stack's buffer @param now ms of the loop's clock */
  onFrame(end: number, now: number): void {
    const { stack, drops } = this.#path;
    const verdict = stack.input(end);
    if (verdict === Input.Taken) return;
    if (verdict < 0) {
      drops.count(verdict as DropReason);
      return;
    }
    const offset = stack.buffer + stack.headroom;
    const reason = parseFrame(this.#frame, offset, end - stack.headroom, this.#caches);
    if (reason !== 0) drops.count(reason);
    else if (this.#frame.isFragment) this.#onFragment(this.#frame, now);
    else this.#dispatch(this.#frame, now);
  }

  #onFragment(frame: Frame, now: number): void {
    const { reassembly, drops, datagrams, stack } = this.#path;
    const whole = reassembly.add(frame, now);
    if (whole === null) return;
    const reason = parseFrame(frame, whole.offset, whole.length, this.#caches);
    if (reason !== 0) drops.count(reason);
    else this.#dispatch(frame, now);
    // The relay may have queued datagrams that lie in this buffer.
    datagrams.flush();
    stack.giveBuffer(whole.buffer);
  }

  #dispatch(frame: Frame, now: number): void {
    const { neighbors, reports } = this.#path;
    neighbors.observe(frame, now);
    for (const { service, admission } of this.#responders) {
      if (!service.claims(frame)) continue;
      if (admission?.take(now) === false) {
        reports.report(DropReason.LimitMappingRate, now);
        return;
      }
      const verdict = service.handle(frame, now);
      if (verdict.kind !== "pass") {
        this.#carryOut(verdict, now);
        return;
      }
    }
    this.#relay(frame, now);
  }

  #carryOut(verdict: Exclude<Verdict, { kind: "pass" }>, now: number): void {
    const { writer, drops, resolver } = this.#path;
    switch (verdict.kind) {
      case "reply":
        writer.writeFrame(verdict.frame);
        return;
      case "resolve":
        resolver?.resolve(verdict.query, verdict.client, verdict.server, now);
        return;
      case "drop":
        drops.count(verdict.reason);
        return;
      case "refuse":
        drops.count(verdict.reason);
        writer.writeFrame(verdict.frame);
        return;
      case "done":
        return;
    }
  }

  #relay(frame: Frame, now: number): void {
    const { drops, datagrams } = this.#path;
    if (frame.protocol === IpProtocol.Tcp) {
      this.#inputPlain(frame);
      return;
    }
    if (this.#updatePathMtu(frame)) return;
    if (!datagrams.carries(frame)) {
      drops.count(
        frame.etherType === EtherType.Arp ? DropReason.ArpNotForUs : DropReason.IpUnknownProtocol,
      );
      return;
    }
    const vnet = this.#vnetOf(frame);
    const segmentSize = vnet.gsoType === VnetGso.UdpL4 ? vnet.gsoSize : 0;
    if (segmentSize > 0 && frame.payloadLength > segmentSize * MOST_SEGMENTS) {
      drops.count(DropReason.UdpSegments);
      return;
    }
    const isTrusted = (vnet.vnetFlags & (VnetFlags.NeedsChecksum | VnetFlags.DataValid)) !== 0;
    datagrams.relay(frame, segmentSize, isTrusted, now);
  }

  /**
   * Gives the stack a segment that stood behind IP options or extension headers, or came in fragments, again behind
   * a plain IP header, the only one that the stack reads.
   */
  #inputPlain(frame: Frame): void {
    const { stack, drops } = this.#path;
    const { bytes, headroom, buffer } = stack;
    const { family, transportLength } = frame;
    const ethernet = buffer + headroom;
    const ip = ethernet + ETHERNET_HEADER_LENGTH;
    const tcp = ip + ipHeaderLength(family);
    bytes.copyWithin(ethernet, frame.offset, frame.ipOffset);
    bytes.copyWithin(tcp, frame.transportOffset, frame.transportOffset + transportLength);
    emitIp(bytes, ip, frame, transportLength);
    const verdict = stack.input(tcp - buffer + transportLength);
    if (verdict === Input.Taken) return;
    drops.count(verdict < 0 ? (verdict as DropReason) : DropReason.IpUnknownProtocol);
  }

  /**
   * Tells the stack when a router of the guest's reports that a segment of ours was too long for its next link.
   * @returns whether the report was about a flow of the stack
   */
  #updatePathMtu(frame: Frame): boolean {
    if (frame.icmpType < 0 || !isIcmpError(frame.family, frame.icmpType)) return false;
    const tooBig = parseTooBig(frame.bytes, frame, frame);
    if (tooBig === null || !icmpChecksumIsRight(frame.bytes, frame)) return false;
    const { source: peer, sourcePort: peerPort, sequence, mtu } = tooBig;
    const { destination: guest, destinationPort: guestPort } = tooBig;
    return this.#path.stack.updatePathMtu({ guest, guestPort, peer, peerPort }, sequence, mtu);
  }

  /** The frame's virtio header; all zeros where there is none. */
  #vnetOf(frame: Frame): VnetHeader {
    const { frameHeader } = this.#path;
    if (frameHeader > 0) parseVnet(frame.bytes, frame.offset - frameHeader, this.#vnet);
    return this.#vnet;
  }
}
