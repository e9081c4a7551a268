import { type Address, includesAddress } from "../base/address.js";
import { DropReason, type DropReasonOrOk } from "../base/drop.js";
import { linkLocalOf, type Mac } from "../base/mac.js";
import { ArpOperation, parseArp } from "../wire/arp.js";
import { readU16 } from "../wire/bytes.js";
import { ETHERNET_HEADER_LENGTH, EtherType } from "../wire/ethernet.js";
import { createAddressCaches, Frame, parseFrame } from "../wire/frame.js";
import {
  IPV4_HEADER_LENGTH,
  IPV4_SOURCE,
  IPV6_HEADER_LENGTH,
  IPV6_NEXT_HEADER,
  IPV6_SOURCE,
  IpProtocol,
} from "../wire/ip.js";
import { NdpType, parseNeighbor } from "../wire/ndp.js";

/** The MAC and addresses that an attachment may send from. */
export interface AttachmentIdentity {
  readonly mac: Mac;
  /** At most one of each family. */
  readonly addresses: readonly Address[];
}

/**
 * Decides which frames a port may send: from its own MAC and its own addresses, and in ARP and neighbour discovery
 * nothing but its own MAC and addresses. Only the gateway may send router advertisements and redirects (RFC 6105).
 * A network without IPv6 does not carry it: Linux sends group reports and router solicitations there all the same,
 * which are no lies. Neither does one without IPv4.
 */
export class Guard {
  readonly #mac: Mac;
  readonly #macHigh: number;
  readonly #macLow: number;
  /** null: the port has no IPv4 address. */
  readonly #ipv4: number | null;
  readonly #ipv6: readonly Address[];
  readonly #caches = createAddressCaches();
  #frame: Frame | null = null;

  constructor({ mac, addresses }: AttachmentIdentity) {
    this.#mac = mac;
    this.#macHigh = Math.floor(mac / 0x1_0000_0000);
    this.#macLow = mac | 0;
    this.#ipv4 = addresses.find(({ family }) => family === 4)?.w3 ?? null;
    const global = addresses.filter(({ family }) => family === 6);
    this.#ipv6 = global.length === 0 ? [] : [...global, linkLocalOf(mac)];
  }

  /**
   * @param at offset of the Ethernet header
   * @param length of the frame, from there
   * @param contiguous how many bytes of it are in `bytes`: all headers of TCP and UDP, or the first of another frame
   * @returns 0, or why the frame is dropped
   */
  check(bytes: Uint8Array, at: number, length: number, contiguous = length): DropReasonOrOk {
    if (length < ETHERNET_HEADER_LENGTH) return DropReason.EthernetTruncated;
    const isOwn =
      readU16(bytes, at + 6) === this.#macHigh && signedWord(bytes, at + 8) === this.#macLow;
    if (!isOwn) return DropReason.PolicySpoofed;
    const start = at + ETHERNET_HEADER_LENGTH;
    const ipv4 = this.#ipv4;
    switch (readU16(bytes, at + 12)) {
      case EtherType.Ipv4:
        if (ipv4 === null) break;
        return checkIpv4(bytes, start, at + length, ipv4);
      case EtherType.Ipv6:
        if (this.#ipv6.length === 0) break;
        return this.#checkIpv6(bytes, at, length, contiguous);
      case EtherType.Arp:
        if (ipv4 === null) break;
        return this.#checkArp(bytes, start, at + contiguous, ipv4);
    }
    return DropReason.EthernetUnknownType;
  }

  #checkIpv6(bytes: Uint8Array, at: number, length: number, contiguous: number): DropReasonOrOk {
    const start = at + ETHERNET_HEADER_LENGTH;
    if (length < ETHERNET_HEADER_LENGTH + IPV6_HEADER_LENGTH) return DropReason.IpTruncated;
    const protocol = bytes[start + IPV6_NEXT_HEADER];
    if (!this.#isOwnIpv6(bytes, start + IPV6_SOURCE)) {
      // The unspecified address: duplicate address detection (RFC 4862 §5.4.2), and group reports (RFC 3810 §5.2.13).
      const isControl = protocol !== IpProtocol.Tcp && protocol !== IpProtocol.Udp;
      if (!isControl || !isUnspecified(bytes, start + IPV6_SOURCE)) return DropReason.PolicySpoofed;
    }
    if (protocol === IpProtocol.Tcp || protocol === IpProtocol.Udp) return 0;
    if (protocol === IpProtocol.Icmpv6) {
      return this.#checkIcmpv6(bytes, start + IPV6_HEADER_LENGTH, at + contiguous);
    }
    return this.#checkBehindExtensions(bytes, at, length, contiguous);
  }

  /** Extension headers may hide a router advertisement (RFC 7113). */
  #checkBehindExtensions(
    bytes: Uint8Array,
    at: number,
    length: number,
    contiguous: number,
  ): DropReasonOrOk {
    if (this.#frame?.bytes !== bytes) this.#frame = new Frame(bytes);
    const frame = this.#frame;
    const reason = parseFrame(frame, at, length, this.#caches);
    if (reason !== 0) return reason;
    // What was read behind the contiguous bytes was of other frames.
    if (frame.transportOffset > at + contiguous) return DropReason.IpExtensionLimit;
    if (frame.protocol !== IpProtocol.Icmpv6) return 0;
    return this.#checkIcmpv6(bytes, frame.transportOffset, at + contiguous);
  }

  #checkIcmpv6(bytes: Uint8Array, offset: number, end: number): DropReasonOrOk {
    if (offset >= end) return DropReason.IcmpTruncated;
    switch (bytes[offset]) {
      case NdpType.RouterAdvertisement:
      case NdpType.Redirect:
        return DropReason.PolicySpoofed;
      case NdpType.NeighborSolicitation:
      case NdpType.NeighborAdvertisement:
        return this.#checkNeighbor(bytes, offset, end);
      default:
        return 0;
    }
  }

  #checkNeighbor(bytes: Uint8Array, offset: number, end: number): DropReasonOrOk {
    const message = parseNeighbor(bytes, offset, end - offset);
    if (message === null) return DropReason.NdpMalformed;
    if (message.mac !== null && message.mac !== this.#mac) return DropReason.PolicySpoofed;
    if (message.type === NdpType.NeighborSolicitation) return 0;
    const isOwn = includesAddress(this.#ipv6, message.target);
    return isOwn ? 0 : DropReason.PolicySpoofed;
  }

  #checkArp(bytes: Uint8Array, start: number, end: number, own: number): DropReasonOrOk {
    const message = parseArp(bytes, start, end - start);
    if (message === null) return DropReason.ArpMalformed;
    const { operation, senderMac, senderAddress } = message;
    // RFC 5227 §2.1.1: the sender's address of a probe is zero.
    const isProbe = operation === ArpOperation.Request && senderAddress.isUnspecified;
    const isOwn = isProbe || senderAddress.w3 === own;
    return isOwn && senderMac === this.#mac ? 0 : DropReason.PolicySpoofed;
  }

  #isOwnIpv6(bytes: Uint8Array, offset: number): boolean {
    for (const { w0, w1, w2, w3 } of this.#ipv6) {
      if (
        signedWord(bytes, offset + 12) === (w3 | 0) &&
        signedWord(bytes, offset + 8) === (w2 | 0) &&
        signedWord(bytes, offset + 4) === (w1 | 0) &&
        signedWord(bytes, offset) === (w0 | 0)
      ) {
        return true;
      }
    }
    return false;
  }
}

/** A DHCP client without an address sends from 0.0.0.0; the switch forwards that to the gateway only. */
function checkIpv4(bytes: Uint8Array, start: number, end: number, own: number): DropReasonOrOk {
  if (end - start < IPV4_HEADER_LENGTH) return DropReason.IpTruncated;
  const source = signedWord(bytes, start + IPV4_SOURCE);
  return source === (own | 0) || source === 0 ? 0 : DropReason.PolicySpoofed;
}

/** 32 bits as a signed integer, which V8 passes between functions without allocating. */
export function signedWord(bytes: Uint8Array, offset: number): number {
  return (
    (bytes[offset] << 24) | (bytes[offset + 1] << 16) | (bytes[offset + 2] << 8) | bytes[offset + 3]
  );
}

function isUnspecified(bytes: Uint8Array, offset: number): boolean {
  for (let at = offset; at < offset + 16; at += 4) if (signedWord(bytes, at) !== 0) return false;
  return true;
}
