/** Packets of TCP and UDP made from scratch: what cuts and joins them is compared with these. */
import fc from "fast-check";
import { VnetGso } from "../../src/wire/vnet.js";

export const VNET = 10;
export const ETHERNET = 14;
const SOURCE = Buffer.from("02aabbccdd01", "hex");
const DESTINATION = Buffer.from("02aabbccdd02", "hex");

export const Flag = { Fin: 1, Syn: 2, Rst: 4, Push: 8, Ack: 16, Urgent: 32, Cwr: 128 } as const;

export interface PacketSpec {
  readonly family: 4 | 6;
  readonly protocol: "tcp" | "udp";
  readonly payload: Uint8Array;
  readonly ports: readonly [number, number];
  readonly trafficClass: number;
  readonly hops: number;
  /** IPv4 only. */
  readonly id: number;
  readonly dontFragment: boolean;
  /** A multiple of 4 bytes: of IPv4. */
  readonly ipOptions: Uint8Array;
  /** TCP only. */
  readonly sequence: number;
  readonly acknowledgment: number;
  readonly flags: number;
  readonly window: number;
  /** A multiple of 4 bytes: of TCP. */
  readonly options: Uint8Array;
}

export const PLAIN: PacketSpec = {
  family: 4,
  protocol: "tcp",
  payload: new Uint8Array(0),
  ports: [40_000, 80],
  trafficClass: 0,
  hops: 64,
  id: 7,
  dontFragment: true,
  ipOptions: new Uint8Array(0),
  sequence: 1000,
  acknowledgment: 2000,
  flags: Flag.Ack,
  window: 500,
  options: Uint8Array.of(1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2),
};

/** RFC 1071 by the letter; what is odd is filled with a zero. */
export function referenceSum(...parts: readonly Uint8Array[]): number {
  const bytes = Buffer.concat([...parts, new Uint8Array(1)]);
  let sum = 0;
  for (let at = 0; at + 1 < bytes.length; at += 2) {
    sum += bytes[at] * 256 + bytes[at + 1];
    if (sum > 0xffff) sum -= 0xffff;
  }
  return sum;
}

/** The pseudo header of the packet's transport segment of `length` bytes. */
function pseudoHeader(spec: PacketSpec, length: number): Buffer {
  const end = Buffer.alloc(spec.family === 4 ? 4 : 8);
  const protocol = spec.protocol === "tcp" ? 6 : 17;
  if (spec.family === 4) end.writeUInt32BE((protocol << 16) | length, 0);
  else end.set([0, length >>> 16, length >>> 8, length, 0, 0, 0, protocol]);
  return Buffer.concat([addresses(spec.family), end]);
}

function addresses(family: 4 | 6): Buffer {
  if (family === 4) return Buffer.of(198, 51, 100, 100, 203, 0, 113, 7);
  return Buffer.from("20010db800000000000000000000010020010db8000100000000000000000007", "hex");
}

function transportHeader(spec: PacketSpec): Buffer {
  const { ports, payload, options } = spec;
  if (spec.protocol === "udp") {
    const udp = Buffer.alloc(8);
    udp.writeUInt16BE(8 + payload.length, 4);
    udp.writeUInt16BE(ports[0], 0);
    udp.writeUInt16BE(ports[1], 2);
    return udp;
  }
  const tcp = Buffer.alloc(20);
  tcp.writeUInt16BE(ports[0], 0);
  tcp.writeUInt16BE(ports[1], 2);
  tcp.writeUInt32BE(spec.sequence >>> 0, 4);
  tcp.writeUInt32BE(spec.acknowledgment >>> 0, 8);
  tcp[12] = (5 + options.length / 4) << 4;
  tcp[13] = spec.flags;
  tcp.writeUInt16BE(spec.window, 14);
  return Buffer.concat([tcp, options]);
}

function ipHeader(spec: PacketSpec, length: number): Buffer {
  const protocol = spec.protocol === "tcp" ? 6 : 17;
  if (spec.family === 6) {
    const ip = Buffer.alloc(8);
    ip.writeUInt32BE(((0x60 << 24) | (spec.trafficClass << 20)) >>> 0, 0);
    ip.writeUInt16BE(length, 4);
    ip[6] = protocol;
    ip[7] = spec.hops;
    return Buffer.concat([ip, addresses(6)]);
  }
  const ip = Buffer.alloc(12);
  ip[0] = 0x45 + spec.ipOptions.length / 4;
  ip[1] = spec.trafficClass;
  ip.writeUInt16BE(20 + spec.ipOptions.length + length, 2);
  ip.writeUInt16BE(spec.id & 0xffff, 4);
  ip.writeUInt16BE(spec.dontFragment ? 0x4000 : 0, 6);
  ip[8] = spec.hops;
  ip[9] = protocol;
  const header = Buffer.concat([ip, addresses(4), spec.ipOptions]);
  header.writeUInt16BE(0xffff ^ referenceSum(header), 10);
  return header;
}

/** How long the headers are, in bytes. */
export function headersOf(spec: PacketSpec): { ip: number; transport: number; checksum: number } {
  const ip = spec.family === 4 ? 20 + spec.ipOptions.length : 40;
  if (spec.protocol === "udp") return { ip, transport: 8, checksum: 6 };
  return { ip, transport: 20 + spec.options.length, checksum: 16 };
}

/** @param isOpen whether the checksum field has the sum of the pseudo header alone */
export function packetOf(spec: PacketSpec, isOpen = false): Buffer {
  const transport = transportHeader(spec);
  const length = transport.length + spec.payload.length;
  const pseudo = pseudoHeader(spec, length);
  const sum = isOpen
    ? referenceSum(pseudo)
    : 0xffff ^ referenceSum(pseudo, transport, spec.payload);
  const at = spec.protocol === "tcp" ? 16 : 6;
  transport.writeUInt16BE(sum === 0 && !isOpen && spec.protocol === "udp" ? 0xffff : sum, at);
  return Buffer.concat([ipHeader(spec, length), transport, spec.payload]);
}

/** The packet in a frame, without virtio header. */
export function frameOf(spec: PacketSpec, isOpen = false): Buffer {
  return Buffer.concat([ethernetOf(spec.family), packetOf(spec, isOpen)]);
}

export function ethernetOf(family: 4 | 6): Buffer {
  const type = Buffer.from(family === 4 ? "0800" : "86dd", "hex");
  return Buffer.concat([DESTINATION, SOURCE, type]);
}

export interface VnetSpec {
  readonly flags?: number;
  readonly gso?: number;
  readonly headers?: number;
  readonly size?: number;
  readonly start?: number;
  readonly offset?: number;
}

export function vnetOf(fields: VnetSpec): Buffer {
  const vnet = Buffer.alloc(VNET);
  vnet[0] = fields.flags ?? 0;
  vnet[1] = fields.gso ?? 0;
  vnet.writeUInt16LE(fields.headers ?? 0, 2);
  vnet.writeUInt16LE(fields.size ?? 0, 4);
  vnet.writeUInt16LE(fields.start ?? 0, 6);
  vnet.writeUInt16LE(fields.offset ?? 0, 8);
  return vnet;
}

/** A superframe, with its virtio header. */
export function superframeOf(spec: PacketSpec, size: number): Buffer {
  const { ip, transport, checksum } = headersOf(spec);
  const tcp = spec.family === 4 ? VnetGso.TcpV4 : VnetGso.TcpV6;
  const isCwr = spec.protocol === "tcp" && (spec.flags & Flag.Cwr) !== 0;
  const vnet = vnetOf({
    flags: 1,
    gso: (spec.protocol === "tcp" ? tcp : VnetGso.UdpL4) | (isCwr ? 0x80 : 0),
    headers: ETHERNET + ip + transport,
    size,
    start: ETHERNET + ip,
    offset: checksum,
  });
  return Buffer.concat([vnet, frameOf(spec, true)]);
}

/** The packets that a superframe stands for (RFC 9293, and what GSO is in Linux). */
export function segmentsOf(spec: PacketSpec, size: number): PacketSpec[] {
  const count = Math.max(1, Math.ceil(spec.payload.length / size));
  return Array.from({ length: count }, (_, index) => {
    let { flags } = spec;
    if (index > 0) flags &= ~Flag.Cwr;
    if (index < count - 1) flags &= ~(Flag.Fin | Flag.Push);
    return {
      ...spec,
      payload: spec.payload.subarray(index * size, (index + 1) * size),
      sequence: (spec.sequence + index * size) >>> 0,
      id: (spec.id + index) & 0xffff,
      flags,
    };
  });
}

const words = (most: number) =>
  fc.nat(most).chain((count) => fc.uint8Array({ minLength: 4 * count, maxLength: 4 * count }));

/** Bytes that are cheap to make in any length. */
export const bytesUpTo = (most: number) =>
  fc.tuple(fc.nat(most), fc.nat(255)).map(([length, seed]) => {
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length; at += 1) bytes[at] = (at * at + seed * (at >>> 3)) & 0xff;
    return bytes;
  });

/** @param flags TCP flags that it may have beside ACK */
export function anyPacket(most: number, flags: number): fc.Arbitrary<PacketSpec> {
  return fc
    .record({
      family: fc.constantFrom<4 | 6>(4, 6),
      protocol: fc.constantFrom<"tcp" | "udp">("tcp", "udp"),
      payload: bytesUpTo(most),
      ports: fc.tuple(fc.integer({ min: 1, max: 65_535 }), fc.integer({ min: 1, max: 65_535 })),
      trafficClass: fc.nat(255),
      hops: fc.integer({ min: 2, max: 255 }),
      id: fc.nat(65_535),
      dontFragment: fc.boolean(),
      ipOptions: words(10),
      sequence: fc.nat(0xffff_ffff),
      acknowledgment: fc.nat(0xffff_ffff),
      flags: fc.nat(255).map((bits) => (bits & flags) | Flag.Ack),
      window: fc.nat(65_535),
      options: words(10),
    })
    .map((spec) => (spec.family === 6 ? { ...spec, ipOptions: new Uint8Array(0) } : spec));
}
