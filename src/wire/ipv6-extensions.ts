import { DropReason, type DropReasonOrOk } from "../base/drop.js";
import { readU16, writeU16 } from "./bytes.js";
import { type FragmentFields, isFragment } from "./fragment.js";

export const FRAGMENT_HEADER_LENGTH = 8;

/** Next-header values that are extension headers (RFC 8200 §4). */
export const Extension = {
  HopByHop: 0,
  Routing: 43,
  Fragment: 44,
  DestinationOptions: 60,
} as const;

/**
 * Most extension headers of a packet. RFC 8200 §4.1 recommends at most six of these kinds; a sender of more wastes our
 * time, and RFC 8504 §5.3 allows a limit.
 */
const MAX_EXTENSIONS = 8;

/** The only option of IPv6 without a length (RFC 8200 §4.2). */
const IPV6_PAD1 = 0;

/** The fields of an IP header that its extension headers change. */
export interface ExtensionFields extends FragmentFields {
  protocol: number;
  dontFragment: boolean;
  transportOffset: number;
  transportLength: number;
}

/**
 * Moves the start of the payload past the extension headers, up to and with the fragment header of a fragment.
 * @param header `transportOffset` and `protocol` are those of the first header after the IPv6 header
 */
export function walkExtensions(bytes: Uint8Array, header: ExtensionFields): DropReasonOrOk {
  for (let count = 0; count < MAX_EXTENSIONS; count += 1) {
    const type = header.protocol;
    if (!isExtension(type)) return 0;
    // RFC 8200 §4.1: hop-by-hop options come first or not at all.
    if (type === Extension.HopByHop && count > 0) return DropReason.IpBadExtension;
    const reason = checkExtension(bytes, header, type);
    if (reason !== 0) return reason;
    const length = extensionLength(bytes, header.transportOffset, type);
    header.protocol = bytes[header.transportOffset];
    header.transportOffset += length;
    header.transportLength -= length;
    if (isFragment(header)) return 0;
  }
  return isExtension(header.protocol) ? DropReason.IpExtensionLimit : 0;
}

function isExtension(protocol: number): boolean {
  return (
    protocol === Extension.HopByHop ||
    protocol === Extension.Routing ||
    protocol === Extension.Fragment ||
    protocol === Extension.DestinationOptions
  );
}

/** Checks the extension header at the start of the payload, and reads the fields of a fragment header. */
function checkExtension(bytes: Uint8Array, header: ExtensionFields, type: number): DropReasonOrOk {
  const offset = header.transportOffset;
  if (header.transportLength < 8) return DropReason.IpBadExtension;
  const length = extensionLength(bytes, offset, type);
  if (length > header.transportLength) return DropReason.IpBadExtension;
  switch (type) {
    case Extension.Fragment:
      readFragmentHeader(bytes, header);
      return 0;
    case Extension.Routing:
      // RFC 8200 §4.4: with no segments left any routing header is ignored; RFC 5095 forbids more.
      return bytes[offset + 3] === 0 ? 0 : DropReason.IpSourceRoute;
    default:
      return checkIpv6Options(bytes, offset + 2, offset + length);
  }
}

/** A fragment header has a reserved byte where the others have their length (RFC 8200 §4.5). */
function extensionLength(bytes: Uint8Array, offset: number, type: number): number {
  return type === Extension.Fragment ? FRAGMENT_HEADER_LENGTH : (bytes[offset + 1] + 1) * 8;
}

function readFragmentHeader(bytes: Uint8Array, header: ExtensionFields): void {
  const offset = header.transportOffset;
  const fragment = readU16(bytes, offset + 2);
  header.fragmentOffset = fragment & 0xfff8;
  header.moreFragments = (fragment & 1) !== 0;
  header.dontFragment = false;
  header.identification = readU16(bytes, offset + 4) * 0x1_0000 + readU16(bytes, offset + 6);
}

/** Only padding is known; the two top bits of other types say whether they may be skipped (RFC 8200 §4.2). */
function checkIpv6Options(bytes: Uint8Array, offset: number, end: number): DropReasonOrOk {
  let at = offset;
  while (at < end) {
    const type = bytes[at];
    if (type === IPV6_PAD1) {
      at += 1;
      continue;
    }
    if (type >>> 6 !== 0 || at + 1 >= end) return DropReason.IpBadOption;
    at += 2 + bytes[at + 1];
  }
  return at === end ? 0 : DropReason.IpBadOption;
}

/**
 * Writes a fragment header and returns its length.
 * @param protocol of the payload
 */
export function emitFragmentHeader(
  bytes: Uint8Array,
  offset: number,
  protocol: number,
  { identification, fragmentOffset, moreFragments }: Readonly<FragmentFields>,
): number {
  bytes[offset] = protocol;
  bytes[offset + 1] = 0;
  writeU16(bytes, offset + 2, fragmentOffset | (moreFragments ? 1 : 0));
  writeU16(bytes, offset + 4, identification >>> 16);
  writeU16(bytes, offset + 6, identification);
  return FRAGMENT_HEADER_LENGTH;
}
