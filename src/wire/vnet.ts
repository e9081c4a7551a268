/**
 * The virtio-net header before every frame of a TAP with IFF_VNET_HDR: struct virtio_net_hdr of
 * linux/virtio_net.h. Its 16-bit fields are in host byte order unless TUNSETVNETBE is set; all supported
 * machines are little-endian.
 */
export const VNET_HEADER_LENGTH = 10;

export const VnetFlags = {
  /** The checksum field holds the pseudo-header sum; the receiver completes it or trusts the packet. */
  NeedsChecksum: 1,
  /** The checksum has been verified. */
  DataValid: 2,
} as const;

/** Kinds of segments that the frame is cut into: gso_type without its ECN bit. */
export const VnetGso = { None: 0, TcpV4: 1, TcpV6: 4, UdpL4: 5 } as const;

const GSO_ECN = 0x80;

export interface VnetHeader {
  vnetFlags: number;
  /** One of VnetGso. */
  gsoType: number;
  /** Length of the headers from the Ethernet header to the payload, in bytes; a hint. */
  headersLength: number;
  /** Payload of each segment, in bytes; 0: no segmentation. */
  gsoSize: number;
  /** Offset from the Ethernet header at which the checksum starts. */
  checksumStart: number;
  /** Offset of the checksum field from there. */
  checksumOffset: number;
}

/** A header that asks for nothing. */
export function createVnetHeader(): VnetHeader {
  return {
    vnetFlags: 0,
    gsoType: VnetGso.None,
    headersLength: 0,
    gsoSize: 0,
    checksumStart: 0,
    checksumOffset: 0,
  };
}

/** Reads a vnet header. */
export function parseVnet(bytes: Uint8Array, offset: number, header: VnetHeader): void {
  header.vnetFlags = bytes[offset];
  header.gsoType = bytes[offset + 1] & ~GSO_ECN;
  header.headersLength = readLittle(bytes, offset + 2);
  header.gsoSize = readLittle(bytes, offset + 4);
  header.checksumStart = readLittle(bytes, offset + 6);
  header.checksumOffset = readLittle(bytes, offset + 8);
}

/** Writes a vnet header and returns its length. */
export function emitVnet(bytes: Uint8Array, offset: number, header: Readonly<VnetHeader>): number {
  bytes[offset] = header.vnetFlags;
  bytes[offset + 1] = header.gsoType;
  writeLittle(bytes, offset + 2, header.headersLength);
  writeLittle(bytes, offset + 4, header.gsoSize);
  writeLittle(bytes, offset + 6, header.checksumStart);
  writeLittle(bytes, offset + 8, header.checksumOffset);
  return VNET_HEADER_LENGTH;
}

function readLittle(bytes: Uint8Array, offset: number): number {
  return bytes[offset] | (bytes[offset + 1] << 8);
}

function writeLittle(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value;
  bytes[offset + 1] = value >>> 8;
}
