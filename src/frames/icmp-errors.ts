import type { Address } from "../base/address.js";
import { type DropCounters, DropReason } from "../base/drop.js";
import type { Mac } from "../base/mac.js";
import { TokenBucket } from "../base/token-bucket.js";
import { gatewayMac } from "../config/address-plan.js";
import type { GuestConfig } from "../config/guest-config.js";
import { ETHERNET_HEADER_LENGTH, EtherType, emitEthernet } from "../wire/ethernet.js";
import { createAddressCaches, Frame, parseFrame } from "../wire/frame.js";
import { type IcmpCode, IcmpError } from "../wire/icmp.js";
import { emitIp, ipHeaderLength } from "../wire/ip.js";
import {
  DEFAULT_HOP_LIMIT,
  type ErrorDetail,
  emitIcmpErrorFrame,
  icmpErrorFrameLength,
  mayCauseIcmpError,
} from "../wire/reply.js";
import type { GuestWriter } from "./guest-writer.js";

/** What an error says beside its code, and who says so: null for the gateway. */
export interface SourcedDetail extends ErrorDetail {
  readonly from: Address | null;
}

/**
 * Errors a second, and at once (RFC 4443 §2.4 (f), RFC 1812 §4.3.2.8): as many as Linux sends in all
 * (net.ipv4.icmp_msgs_per_sec, before 6.12), in bursts that hold what a batch of frames may cause.
 */
const RATE = 1000;
const BURST = 200;

const BY_GATEWAY: SourcedDetail = { from: null, mtu: 0, hopLimit: DEFAULT_HOP_LIMIT };

/** Tells the guest what became of its packets, at a limited rate. */
export class IcmpErrors {
  readonly #config: GuestConfig;
  readonly #writer: GuestWriter;
  readonly #drops: DropCounters;
  readonly #caches = createAddressCaches();
  readonly #budget = new TokenBucket(RATE, BURST);
  /** Of its own: others must not keep the guest from learning a path's MTU, as Linux has it, too. */
  readonly #tooBigBudget = new TokenBucket(RATE, BURST);
  #now = 0;

  constructor(config: GuestConfig, writer: GuestWriter, drops: DropCounters) {
    this.#config = config;
    this.#writer = writer;
    this.#drops = drops;
  }

  /** To be called in every wake-up, before anything else. */
  advance(now: number): void {
    this.#now = now;
  }

  /** About a packet in hand. */
  about(frame: Frame, error: IcmpCode, detail = BY_GATEWAY): void {
    if (!mayCauseIcmpError(frame)) return;
    const tooBig = IcmpError.PacketTooBig[frame.family];
    const isTooBig = error.type === tooBig.type && error.code === tooBig.code;
    if (!(isTooBig ? this.#tooBigBudget : this.#budget).take(this.#now)) {
      this.#drops.count(DropReason.LimitIcmpErrors);
      return;
    }
    const reply = new Uint8Array(icmpErrorFrameLength(frame));
    const from = detail.from ?? this.#routerFor(frame);
    emitIcmpErrorFrame(reply, 0, frame, error, from, detail);
    this.#writer.writeFrame(reply);
  }

  /** About a packet that is known from its IP header on. */
  aboutPacket(packet: Uint8Array, mac: Mac, error: IcmpCode, detail = BY_GATEWAY): void {
    const bytes = new Uint8Array(ETHERNET_HEADER_LENGTH + packet.length);
    const etherType = packet[0] >>> 4 === 4 ? EtherType.Ipv4 : EtherType.Ipv6;
    emitEthernet(bytes, 0, gatewayMac(this.#config.plans), mac, etherType);
    bytes.set(packet, ETHERNET_HEADER_LENGTH);
    this.aboutFrame(bytes, 0, bytes.length, error, detail);
  }

  /** About the frame at (offset, length). */
  aboutFrame(
    bytes: Uint8Array,
    offset: number,
    length: number,
    error: IcmpCode,
    detail = BY_GATEWAY,
  ): void {
    const frame = new Frame(bytes);
    if (parseFrame(frame, offset, length, this.#caches) === 0) this.about(frame, error, detail);
  }

  /** The address that speaks for Slipway as a router, of the frame's family. */
  #routerFor(frame: Frame): Address {
    const plan = this.#config.plans.find(({ gateway }) => gateway.family === frame.family);
    return plan?.gateway ?? frame.destination;
  }
}

/** The packet that the guest has sent, as far as it is known, from its IP header on. */
export function rebuildPacket(
  source: Address,
  destination: Address,
  protocol: number,
  transport: Uint8Array,
): Uint8Array {
  const headers = ipHeaderLength(source.family);
  const packet = new Uint8Array(headers + transport.length);
  const hopLimit = DEFAULT_HOP_LIMIT;
  emitIp(packet, 0, { source, destination, protocol, hopLimit, trafficClass: 0 }, transport.length);
  packet.set(transport, headers);
  return packet;
}
