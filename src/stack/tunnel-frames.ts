import { DropReason } from "../base/drop.js";
import * as abi from "./abi.js";

/** What a tunnel carries of a frame. */
export const TunnelLayout = {
  /** [8 bytes VXLAN header][Ethernet header]… (RFC 7348 §5) */
  Vxlan: 0,
  /** The IP packet without its Ethernet header: what WireGuard carries. */
  Ip: abi.TUNNEL_IP,
} as const;

export type TunnelLayout = (typeof TunnelLayout)[keyof typeof TunnelLayout];

/** Drop reasons by the negated number of ABI_REFUSED_…. */
const DROP_REASONS: readonly DropReason[] = [
  DropReason.TunnelMalformed, // no reason has number 0
  DropReason.EthernetTruncated,
  DropReason.IpBadLength,
  DropReason.IpBadChecksum,
  DropReason.TunnelMalformed,
  DropReason.TcpBadChecksum,
  DropReason.UdpBadChecksum,
  DropReason.TunnelBadOffload,
  DropReason.TunnelTooBig,
  DropReason.IpHopLimit,
  DropReason.EthernetUnknownType,
  DropReason.TunnelMalformed,
  DropReason.TunnelCongestion,
];

/** What is wrong with the form of a datagram, rather than damaged on its way: whoever sent it does not keep the rules. */
const MALFORMED: readonly number[] = [
  abi.REFUSED_LENGTH,
  abi.REFUSED_IP_HEADER,
  abi.REFUSED_TRANSPORT,
  abi.REFUSED_TUNNEL,
];

/** The same for what a tunnel brought. */
export function receivedDropReasonOf(refused: number): DropReason {
  return MALFORMED.includes(refused) ? DropReason.TunnelMalformed : dropReasonOf(refused);
}

/** @param refused a number of ABI_REFUSED_…, below 0 */
export function dropReasonOf(refused: number): DropReason {
  return DROP_REASONS[-refused] ?? DropReason.TunnelMalformed;
}
