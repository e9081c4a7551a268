import { type Address, AddressCache, type Family, UNSPECIFIED } from "../base/address.js";
import { DropReason, type DropReasonOrOk } from "../base/drop.js";
import type { Mac } from "../base/mac.js";
import {
  ETHERNET_HEADER_LENGTH,
  type EthernetHeader,
  EtherType,
  parseEthernet,
} from "./ethernet.js";
import { isFragment } from "./fragment.js";
import { type IcmpHeader, icmpProtocol, parseIcmp } from "./icmp.js";
import { type AddressCaches, type IpHeader, IpProtocol, parseIpv4, parseIpv6 } from "./ip.js";
import { parseUdp, type UdpHeader } from "./udp.js";

/** Frame.protocol of a frame that is not IP. */
export const NO_PROTOCOL = -1;

const NO_ICMP_TYPE = -1;

/**
 * An Ethernet frame and the fields of its headers. There is one object per guest, which parseFrame refills
 * for each packet: copy values that are needed later. Addresses are immutable and may be kept.
 *
 * After parseFrame returned 0 these fields are valid: those of the Ethernet header always; those of the IP
 * header when `protocol` is not NO_PROTOCOL; ports and payload, or ICMP fields and payload, when `protocol`
 * is UDP or the family's ICMP and the packet is not a fragment.
 */
export class Frame implements EthernetHeader, IpHeader, UdpHeader, IcmpHeader {
  readonly bytes: Uint8Array;
  /** Offset of the Ethernet header in `bytes`. */
  offset = 0;
  /** Length of the frame as read, including padding. */
  length = 0;

  destinationMac: Mac = 0;
  sourceMac: Mac = 0;
  etherType = 0;

  family: Family = 4;
  ipOffset = 0;
  source: Address = UNSPECIFIED[6];
  destination: Address = UNSPECIFIED[6];
  protocol = NO_PROTOCOL;
  hopLimit = 0;
  trafficClass = 0;
  identification = 0;
  fragmentOffset = 0;
  moreFragments = false;
  dontFragment = false;
  transportOffset = 0;
  transportLength = 0;

  sourcePort = 0;
  destinationPort = 0;

  icmpType = NO_ICMP_TYPE;
  icmpCode = 0;
  identifier = 0;
  sequence = 0;

  /** Payload of UDP or ICMP; in a frame that is not IP, of Ethernet. */
  payloadOffset = 0;
  payloadLength = 0;

  /** @param bytes the memory that frames are read into */
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  get isFragment(): boolean {
    return isFragment(this);
  }

  /** Length of the IP packet by its own header, without Ethernet padding. */
  get packetLength(): number {
    return this.transportOffset + this.transportLength - this.ipOffset;
  }
}

/** Makes the caches for parseFrame; one pair per guest. */
export function createAddressCaches(): AddressCaches {
  return { source: new AddressCache(), destination: new AddressCache() };
}

/**
 * Reads the headers of the frame at `offset` into `frame`. When it returns a reason, the fields are not valid.
 *
 * @param offset of the Ethernet header in frame.bytes; the caller checks that offset + length is inside
 * @param length in bytes
 * @returns 0, or why the frame must be dropped
 */
export function parseFrame(
  frame: Frame,
  offset: number,
  length: number,
  caches: AddressCaches,
): DropReasonOrOk {
  const { bytes } = frame;
  frame.offset = offset;
  frame.length = length;
  frame.protocol = NO_PROTOCOL;
  frame.icmpType = NO_ICMP_TYPE;
  frame.sourcePort = 0;
  frame.destinationPort = 0;
  const reason = parseEthernet(bytes, offset, length, frame);
  if (reason !== 0) return reason;
  const start = offset + ETHERNET_HEADER_LENGTH;
  const end = offset + length;
  switch (frame.etherType) {
    case EtherType.Ipv4:
      return parseIpv4(bytes, start, end, frame, caches) || parseTransport(frame);
    case EtherType.Ipv6:
      return parseIpv6(bytes, start, end, frame, caches) || parseTransport(frame);
    case EtherType.Arp:
      frame.payloadOffset = start;
      frame.payloadLength = end - start;
      return 0;
    default:
      return DropReason.EthernetUnknownType;
  }
}

/** TCP is not parsed here: lwIP does that in WebAssembly. */
function parseTransport(frame: Frame): DropReasonOrOk {
  if (isFragment(frame)) return 0;
  if (frame.protocol === IpProtocol.Udp) return parseUdp(frame.bytes, frame, frame);
  if (frame.protocol === icmpProtocol(frame.family)) return parseIcmp(frame.bytes, frame, frame);
  return 0;
}
