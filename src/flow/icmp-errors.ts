import type { Address } from "../base/address.js";
import type { Mac } from "../base/mac.js";
import { type GuestConfig, gatewayMac } from "../base/plan.js";
import { ETHERNET_HEADER_LENGTH, EtherType, emitEthernet } from "../wire/ethernet.js";
import { createAddressCaches, Frame, parseFrame } from "../wire/frame.js";
import type { IcmpCode } from "../wire/icmp.js";
import { emitIp, ipHeaderLength } from "../wire/ip.js";
import {
  DEFAULT_HOP_LIMIT,
  emitIcmpErrorFrame,
  icmpErrorFrameLength,
  mayCauseIcmpError,
} from "../wire/reply.js";
import type { GuestWriter } from "./guest-writer.js";

/** What an error says beside its code. */
export interface ErrorDetail {
  /** Who says so; null for the gateway. */
  readonly from: Address | null;
  /** See emitIcmpError. */
  readonly mtu: number;
  readonly hopLimit: number;
}

const BY_GATEWAY: ErrorDetail = { from: null, mtu: 0, hopLimit: DEFAULT_HOP_LIMIT };

/** Tells the guest what became of its packets. */
export class IcmpErrors {
  readonly #config: GuestConfig;
  readonly #writer: GuestWriter;
  readonly #caches = createAddressCaches();

  constructor(config: GuestConfig, writer: GuestWriter) {
    this.#config = config;
    this.#writer = writer;
  }

  /** About a packet in hand. */
  about(frame: Frame, error: IcmpCode, detail = BY_GATEWAY): void {
    if (!mayCauseIcmpError(frame)) return;
    const reply = new Uint8Array(icmpErrorFrameLength(frame));
    const from = detail.from ?? this.#routerFor(frame);
    emitIcmpErrorFrame(reply, 0, frame, error, from, detail.mtu, detail.hopLimit);
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
  emitIp(packet, 0, source, destination, protocol, transport.length, DEFAULT_HOP_LIMIT, 0);
  packet.set(transport, headers);
  return packet;
}
