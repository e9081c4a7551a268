/**
 * Frames as a hostile guest writes them: every field can be wrong. They are made of bytes, not by
 * src/wire, so that a mistake there is not repeated here. Each has a virtio_net_hdr in front.
 */

export const vnetLength = 10;

export const ethernet = { arp: 0x0806, ipv4: 0x0800, ipv6: 0x86dd, vlan: 0x8100 } as const;
export const protocol = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58 } as const;
export const flag = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16, urg: 32 } as const;

/** The gateway's Ethernet address in 10.0.2.0/24. */
export const gatewayMac = "52:55:0a:00:02:02";
/** A host beside the guest's own kernel, so that the kernel does not answer for it. */
export const ghostMac = "02:00:00:00:00:77";
export const ghost = "10.0.2.77";
export const ghost6 = "fd00::77";

export const u16 = (value: number): number[] => [(value >>> 8) & 255, value & 255];
export const u32 = (value: number): number[] => [...u16(value >>> 16), ...u16(value & 0xffff)];
export const zeros = (length: number): Uint8Array => new Uint8Array(length);

export function bytes(...parts: readonly (ArrayLike<number> | number)[]): Uint8Array {
  const lengths = parts.map((part) => (typeof part === "number" ? 1 : part.length));
  const all = new Uint8Array(lengths.reduce((sum, length) => sum + length, 0));
  let at = 0;
  parts.forEach((part, index) => {
    if (typeof part === "number") all[at] = part;
    else all.set(part, at);
    at += lengths[index];
  });
  return all;
}

/** An IPv4 address or an IPv6 address with at most one "::". */
export function address(text: string): number[] {
  if (!text.includes(":")) return text.split(".").map(Number);
  const [head = "", tail] = text.split("::");
  const words = (part: string) => (part === "" ? [] : part.split(":").map((word) => `0x${word}`));
  const [first, last] = [words(head), words(tail ?? "")];
  const middle = tail === undefined ? [] : Array(8 - first.length - last.length).fill(0);
  return [...first, ...middle, ...last].flatMap((word) => u16(Number(word)));
}

export const mac = (text: string): number[] => text.split(":").map((byte) => Number(`0x${byte}`));

/** RFC 1071 */
export function checksum(...parts: readonly ArrayLike<number>[]): number {
  let sum = 0;
  for (const part of parts) {
    // Only the last part may be odd.
    for (let i = 0; i < part.length; i += 2) sum += (part[i] << 8) | (part[i + 1] ?? 0);
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x1_0000);
  return ~sum & 0xffff;
}

export interface VnetFields {
  readonly flags?: number;
  readonly gsoType?: number;
  readonly headerLength?: number;
  readonly gsoSize?: number;
  readonly checksumStart?: number;
  readonly checksumOffset?: number;
}

const le16 = (value: number): number[] => u16(value).reverse();

/** virtio 1.2 §5.1.6, little-endian as on the machines that Slipway runs on */
export function vnet(fields: VnetFields = {}): number[] {
  const { flags = 0, gsoType = 0, headerLength = 0, gsoSize = 0 } = fields;
  const { checksumStart = 0, checksumOffset = 0 } = fields;
  const words = [headerLength, gsoSize, checksumStart, checksumOffset];
  return [flags, gsoType, ...words.flatMap(le16)];
}

export interface FrameFields {
  readonly vnet?: VnetFields;
  readonly from?: string;
  readonly to?: string;
}

export function frame(
  type: number,
  payload: ArrayLike<number>,
  { vnet: header = {}, from = ghostMac, to = gatewayMac }: FrameFields = {},
): Uint8Array {
  return bytes(vnet(header), mac(to), mac(from), u16(type), payload);
}

export interface Ipv4Fields {
  readonly source?: string;
  readonly ttl?: number;
  readonly id?: number;
  /** in bytes, a multiple of 8 */
  readonly fragmentOffset?: number;
  readonly moreFragments?: boolean;
  readonly options?: ArrayLike<number>;
  /** what the header claims instead of the real value */
  readonly totalLength?: number;
  readonly headerWords?: number;
  readonly checksum?: number;
}

export function ipv4(
  to: string,
  number: number,
  payload: ArrayLike<number>,
  fields: Ipv4Fields = {},
): Uint8Array {
  const { source = ghost, ttl = 64, id = 0, options = [] } = fields;
  const fragment = ((fields.fragmentOffset ?? 0) >> 3) | (fields.moreFragments ? 0x2000 : 0);
  const headerLength = 20 + options.length;
  const words = fields.headerWords ?? headerLength / 4;
  const total = fields.totalLength ?? headerLength + payload.length;
  const header = bytes(
    ...[0x40 | words, 0, u16(total), u16(id), u16(fragment), ttl, number, u16(0)],
    ...[address(source), address(to), options],
  );
  header.set(u16(fields.checksum ?? checksum(header)), 10);
  return bytes(header, payload);
}

export function ipv6(
  to: string,
  nextHeader: number,
  payload: ArrayLike<number>,
  fields: { source?: string; hopLimit?: number; payloadLength?: number } = {},
): Uint8Array {
  const { source = ghost6, hopLimit = 64, payloadLength = payload.length } = fields;
  return bytes(
    ...[u32(0x6000_0000), u16(payloadLength), nextHeader, hopLimit],
    ...[address(source), address(to), payload],
  );
}

function pseudoHeader(source: string, to: string, number: number, length: number): Uint8Array {
  return bytes(address(source), address(to), u32(length), u32(number));
}

export interface TcpFields {
  readonly sequence?: number;
  readonly acknowledgment?: number;
  readonly window?: number;
  readonly urgent?: number;
  /** padded to words with the kind that ends the list */
  readonly options?: ArrayLike<number>;
  readonly payload?: ArrayLike<number>;
  /** in words, instead of the real value */
  readonly dataOffset?: number;
  readonly source?: string;
}

/** A segment with a correct checksum in a packet of the destination's family. */
export function tcpPacket(
  to: string,
  sourcePort: number,
  port: number,
  flags: number,
  fields: TcpFields = {},
): Uint8Array {
  const { sequence = 0, acknowledgment = 0, window = 65_535, urgent = 0 } = fields;
  const { options = [], payload = [] } = fields;
  const dataOffset = fields.dataOffset ?? 5 + options.length / 4;
  const source = fields.source ?? (to.includes(":") ? ghost6 : ghost);
  const segment = bytes(
    ...[u16(sourcePort), u16(port), u32(sequence >>> 0), u32(acknowledgment >>> 0)],
    ...[(dataOffset << 4) & 255, flags, u16(window), u16(0), u16(urgent), options, payload],
  );
  const pseudo = pseudoHeader(source, to, protocol.tcp, segment.length);
  segment.set(u16(checksum(pseudo, segment)), 16);
  return to.includes(":")
    ? ipv6(to, protocol.tcp, segment, { source })
    : ipv4(to, protocol.tcp, segment, { source });
}

export function tcp(...fields: Parameters<typeof tcpPacket>): Uint8Array {
  const [to] = fields;
  return frame(to.includes(":") ? ethernet.ipv6 : ethernet.ipv4, tcpPacket(...fields));
}

export function udpDatagram(
  source: string,
  to: string,
  sourcePort: number,
  port: number,
  payload: ArrayLike<number>,
  claimedLength = 8 + payload.length,
): Uint8Array {
  const datagram = bytes(u16(sourcePort), u16(port), u16(claimedLength), u16(0), payload);
  const pseudo = pseudoHeader(source, to, protocol.udp, datagram.length);
  datagram.set(u16(checksum(pseudo, datagram) || 0xffff), 6);
  return datagram;
}

export function udp(
  to: string,
  sourcePort: number,
  port: number,
  payload: ArrayLike<number>,
  source = to.includes(":") ? ghost6 : ghost,
): Uint8Array {
  const datagram = udpDatagram(source, to, sourcePort, port, payload);
  return to.includes(":")
    ? frame(ethernet.ipv6, ipv6(to, protocol.udp, datagram, { source }))
    : frame(ethernet.ipv4, ipv4(to, protocol.udp, datagram, { source }));
}

export function icmp(
  type: number,
  code: number,
  rest: ArrayLike<number>,
  pseudo: ArrayLike<number> = [],
): Uint8Array {
  const message = bytes(type, code, u16(0), rest);
  message.set(u16(checksum(pseudo, message)), 2);
  return message;
}

export function icmpv6(
  source: string,
  to: string,
  type: number,
  code: number,
  rest: ArrayLike<number>,
): Uint8Array {
  const pseudo = pseudoHeader(source, to, protocol.icmpv6, 4 + rest.length);
  return icmp(type, code, rest, pseudo);
}

/** operation, sender and target, as RFC 826 has them */
export function arp(
  operation: number,
  senderMac: ArrayLike<number>,
  sender: string,
  target: string,
) {
  const addresses = [senderMac, address(sender), zeros(6), address(target)];
  return bytes(u16(1), u16(0x0800), 6, 4, u16(operation), ...addresses);
}
