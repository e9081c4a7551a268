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

/** @param refused a number of ABI_REFUSED_…, below 0 */
export function dropReasonOf(refused: number): DropReason {
  return DROP_REASONS[-refused] ?? DropReason.TunnelMalformed;
}
