import { DropReason, type DropReasonOrOk } from "../base/drop.js";

/** Longest payload of a reassembled datagram, in bytes: a length field has 16 bits. */
const MAX_PAYLOAD = 0xffff;

/** The fields of an IP header that fragmentation uses. */
export interface FragmentFields {
  /** 16 bits in IPv4, 32 in IPv6 (0 without a fragment header). */
  identification: number;
  /** In bytes, a multiple of 8. */
  fragmentOffset: number;
  moreFragments: boolean;
}

/** Whether the packet is part of a larger one; an atomic fragment (RFC 6946) is not. */
export function isFragment(
  header: Pick<FragmentFields, "fragmentOffset" | "moreFragments">,
): boolean {
  return header.moreFragments || header.fragmentOffset > 0;
}

/**
 * RFC 791 §3.2, RFC 8200 §4.5: a fragment is not empty, ends within 64 KiB, and has a length that is a multiple of 8
 * unless it is the last.
 */
export function checkFragment(
  header: Readonly<FragmentFields & { transportLength: number }>,
): DropReasonOrOk {
  if (!isFragment(header)) return 0;
  const { fragmentOffset, transportLength } = header;
  if (transportLength === 0 || fragmentOffset + transportLength > MAX_PAYLOAD) {
    return DropReason.IpBadFragment;
  }
  return header.moreFragments && transportLength % 8 !== 0 ? DropReason.IpBadFragment : 0;
}
