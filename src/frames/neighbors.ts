import type { Address } from "../base/address.js";
import { BROADCAST_MAC, isMulticastMac, type Mac } from "../base/mac.js";
import { planOfFamily } from "../config/address-plan.js";
import type { GuestConfig } from "../config/guest-config.js";
import { ARP_LENGTH, ArpOperation, emitArp, parseArp } from "../wire/arp.js";
import { ETHERNET_HEADER_LENGTH, EtherType, emitEthernet } from "../wire/ethernet.js";
import type { Frame } from "../wire/frame.js";
import { icmpChecksumIsRight } from "../wire/icmp.js";
import { IpProtocol } from "../wire/ip.js";
import {
  composeNdpFrame,
  emitNeighbor,
  groupMac,
  NDP_HOP_LIMIT,
  NdpType,
  type NeighborMessage,
  neighborLength,
  parseNeighbor,
  solicitedNodeGroup,
} from "../wire/ndp.js";
import type { GuestWriter } from "./guest-writer.js";

/** How long an answer is valid, in ms, as Linux's base_reachable_time. */
const REACHABLE_TIME = 30_000;

/** RFC 4861 §10: RETRANS_TIMER, in ms. */
const RETRANSMIT_TIME = 1_000;

/** Most addresses remembered; at the limit all are forgotten and asked for again. */
const MOST_ENTRIES = 256;

interface Entry {
  mac: Mac | null;
  /** When the answer came. */
  learnedAt: number;
  askedAt: number;
}

/**
 * Resolves addresses on the guest's network to Ethernet addresses (ARP, NDP), for packets that do not answer
 * one of the guest's. Broadcast would not do: Linux drops TCP received that way.
 */
export class Neighbors {
  readonly #config: GuestConfig;
  readonly #writer: GuestWriter;
  readonly #mac: Mac;
  readonly #entries = new Map<string, Entry>();

  constructor(config: GuestConfig, writer: GuestWriter) {
    this.#config = config;
    this.#writer = writer;
    this.#mac = config.gatewayMac;
  }

  /**
   * The Ethernet address of an address on the guest's network. While it is unknown, sends at most one
   * solicitation per second.
   * @returns null while it is unknown; call again within RETRANSMIT_TIME
   */
  macOf(address: Address, now: number): Mac | null {
    const entry = this.#entryOf(address);
    if (entry.mac !== null && now - entry.learnedAt < REACHABLE_TIME) return entry.mac;
    if (now - entry.askedAt >= RETRANSMIT_TIME) {
      entry.askedAt = now;
      this.#writer.writeFrame(
        address.family === 4 ? this.#arpRequest(address) : this.#solicitation(address),
      );
    }
    return null;
  }

  /** Learns from a frame of ARP or neighbour discovery; ignores any other. */
  observe(frame: Frame, now: number): void {
    if (this.#entries.size === 0) return;
    if (frame.etherType === EtherType.Arp) this.#observeArp(frame, now);
    else if (frame.icmpType === NdpType.NeighborAdvertisement) this.#observeNdp(frame, now);
  }

  #entryOf(address: Address): Entry {
    const key = address.toString();
    const known = this.#entries.get(key);
    if (known !== undefined) return known;
    if (this.#entries.size === MOST_ENTRIES) this.#entries.clear();
    const entry = { mac: null, learnedAt: 0, askedAt: Number.NEGATIVE_INFINITY };
    this.#entries.set(key, entry);
    return entry;
  }

  #observeArp(frame: Frame, now: number): void {
    const message = parseArp(frame.bytes, frame.payloadOffset, frame.payloadLength);
    if (message !== null) this.#learn(message.senderAddress, message.senderMac, now);
  }

  #observeNdp(frame: Frame, now: number): void {
    if (frame.protocol !== IpProtocol.Icmpv6 || frame.hopLimit !== NDP_HOP_LIMIT) return;
    const { bytes, transportOffset, transportLength } = frame;
    const message = parseNeighbor(bytes, transportOffset, transportLength);
    if (message === null || !icmpChecksumIsRight(bytes, frame)) return;
    this.#learn(message.target, message.mac ?? frame.sourceMac, now);
  }

  #learn(address: Address, mac: Mac, now: number): void {
    const entry = this.#entries.get(address.toString());
    if (entry === undefined || isMulticastMac(mac)) return;
    entry.mac = mac;
    entry.learnedAt = now;
    // When this answer expires, the next solicitation need not wait.
    entry.askedAt = Number.NEGATIVE_INFINITY;
  }

  #arpRequest(target: Address): Uint8Array {
    const frame = new Uint8Array(ETHERNET_HEADER_LENGTH + ARP_LENGTH);
    const offset = emitEthernet(frame, 0, BROADCAST_MAC, this.#mac, EtherType.Arp);
    emitArp(frame, offset, {
      operation: ArpOperation.Request,
      senderMac: this.#mac,
      senderAddress: this.#sourceFor(target),
      targetMac: 0,
      targetAddress: target,
    });
    return frame;
  }

  #solicitation(target: Address): Uint8Array {
    const message: NeighborMessage = {
      type: NdpType.NeighborSolicitation,
      flags: 0,
      target,
      mac: this.#mac,
    };
    const bytes = new Uint8Array(neighborLength(message));
    emitNeighbor(bytes, 0, message);
    const group = solicitedNodeGroup(target);
    return composeNdpFrame(this.#sourceFor(target), this.#mac, group, groupMac(group), bytes);
  }

  #sourceFor({ family }: Address): Address {
    return planOfFamily(this.#config.plans, family).router;
  }
}
