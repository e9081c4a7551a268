/** Longest label of a name, in bytes (RFC 1035 §2.3.4). */
export const LONGEST_LABEL = 63;
const LONGEST_NAME = 255;

/**
 * Encodes a list of domain names, uncompressed (RFC 1035 §3.1), for options of DHCP (RFC 3397), DHCPv6
 * (RFC 3646) and router advertisements (RFC 8106). Invalid names are left out.
 *
 * @param room most bytes; the list ends before the first name that does not fit
 */
export function encodeDomainNames(names: readonly string[], room: number): Uint8Array {
  const bytes: number[] = [];
  for (const name of names) {
    const encoded = encodeDomainName(name);
    if (encoded === null) continue;
    if (bytes.length + encoded.length > room) break;
    bytes.push(...encoded);
  }
  return Uint8Array.from(bytes);
}

function encodeDomainName(name: string): number[] | null {
  const labels = name.replace(/\.$/, "").split(".");
  const bytes = labels.flatMap((label) => {
    const text = Buffer.from(label);
    return [text.length, ...text];
  });
  const fits = labels.every((label) => {
    const length = Buffer.byteLength(label);
    return length > 0 && length <= LONGEST_LABEL;
  });
  return fits && bytes.length < LONGEST_NAME ? [...bytes, 0] : null;
}
