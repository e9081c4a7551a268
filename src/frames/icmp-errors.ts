import type { Address } from "../base/address.js";
import { type DropCounters, DropReason } from "../base/drop.js";
import type { Mac } from "../base/mac.js";
import { TokenBucket } from "../base/token-bucket.js";
import type { GuestConfig } from "../config/guest-config.js";
import { composeEthernet } from "../wire/ethernet.js";
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

/** What an error says beside its code, and the address that it comes from: null for the gateway. */
export interface SourcedDetail extends ErrorDetail {
  readonly from: Address | null;
}

/**
 * Errors per second, and in a burst (RFC 4443 §2.4 (f), RFC 1812 §4.3.2.8). The rate is that of Linux
 * (net.ipv4.icmp_msgs_per_sec, before 6.12); the burst is enough for one batch of frames.
 */
const RATE = 1000;
const BURST = 200;

const BY_GATEWAY: SourcedDetail = { from: null, mtu: 0, hopLimit: DEFAULT_HOP_LIMIT };

/** Sends the guest ICMP errors about its packets, at a limited rate. */
export class IcmpErrors {
  readonly #config: GuestConfig;
  readonly #writer: GuestWriter;
  readonly #drops: DropCounters;
  readonly #caches = createAddressCaches();
  readonly #budget = new TokenBucket(RATE, BURST);
  /** Apart, as in Linux: other errors must not keep the guest from learning a path's MTU. */
  readonly #tooBigBudget = new TokenBucket(RATE, BURST);
  #now = 0;

  constructor(config: GuestConfig, writer: GuestWriter, drops: DropCounters) {
    this.#config = config;
    this.#writer = writer;
    this.#drops = drops;
  }

  /** Sets the time, in ms. Call it first in every wake-up. */
  advance(now: number): void {
    this.#now = now;
  }

  /** Sends an error about a parsed frame, if it may cause one (RFC 1122 §3.2.2) and the rate allows. */
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

  /** Sends an error about a packet of which only the IP packet is known, not its frame. */
  aboutPacket(packet: Uint8Array, mac: Mac, error: IcmpCode, detail = BY_GATEWAY): void {
    const frame = composeEthernet(this.#config.gatewayMac, mac, packet);
    this.aboutFrame(frame, 0, frame.length, error, detail);
  }

  /** Sends an error about the frame at (offset, length). */
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

  /** The gateway's address of the frame's family, from which Slipway's own errors come. */
  #routerFor(frame: Frame): Address {
    const plan = this.#config.plans.find(({ gateway }) => gateway.family === frame.family);
    return plan?.gateway ?? frame.destination;
  }
}

/** Builds the IP packet that the guest sent, as far as it is known, for an error about it. */
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
