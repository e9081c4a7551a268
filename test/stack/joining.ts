/** Datagrams into a joiner, frames out of it, and what these stand for. */
import { Joiner, type JoinOptions } from "../../src/stack/joiner.js";
import { TunnelLayout } from "../../src/stack/tunnel-frames.js";
import { ETHERNET, ethernetOf, type PacketSpec, packetOf, VNET } from "./packets.js";

export const VNI = 0xabcdef;
export const OVER_VXLAN: JoinOptions = {
  layout: TunnelLayout.Vxlan,
  offload: true,
  udpOffload: true,
  routed: false,
};
export const OVER_IP: JoinOptions = { ...OVER_VXLAN, layout: TunnelLayout.Ip };

export interface JoinedFrame {
  /** With its virtio header, if it has one. */
  readonly bytes: Buffer;
  readonly headerLength: number;
  readonly vni: number;
  readonly datagrams: number;
  readonly isExpired: boolean;
}

export interface Datagram {
  readonly bytes: Uint8Array;
  readonly trafficClass?: number;
}

/** What a tunnel of that layout carries of a packet. */
export function datagramOf(spec: PacketSpec, { layout }: JoinOptions, vni = VNI): Datagram {
  const packet = packetOf(spec);
  if (layout === TunnelLayout.Ip) return { bytes: packet };
  return { bytes: vxlanOf(Buffer.concat([ethernetOf(spec.family), packet]), vni) };
}

export function vxlanOf(frame: Uint8Array, vni = VNI): Buffer {
  const header = Buffer.alloc(8);
  header[0] = 8;
  header.writeUInt32BE((vni << 8) >>> 0, 4);
  return Buffer.concat([header, frame]);
}

export class Receiver {
  readonly joiner = new Joiner();

  /** Puts the datagrams into the memory, each with others' bytes around it, and joins them. */
  join(datagrams: readonly Datagram[], options: JoinOptions): JoinedFrame[] {
    const { joiner } = this;
    joiner.clear();
    let at = joiner.arena;
    for (const { bytes, trafficClass } of datagrams) {
      joiner.bytes.fill(0xff, at, at + bytes.length + 32);
      joiner.bytes.set(bytes, at + 16);
      joiner.add(at + 16, bytes.length, trafficClass ?? 0);
      at += bytes.length + 17;
    }
    const frames = joiner.join(options);
    return Array.from({ length: frames }, (_, index) => this.#frame(index, options.layout));
  }

  #frame(index: number, layout: TunnelLayout): JoinedFrame {
    const { joiner } = this;
    if (layout === TunnelLayout.Ip) {
      joiner.bytes.set(ethernetOf(4).subarray(0, 12), joiner.ethernetAt(index));
    }
    const pieces = new Uint32Array(joiner.memory, joiner.iovAt(index), 2 * joiner.iovCount(index));
    const parts: Uint8Array[] = [];
    for (let piece = 0; piece < pieces.length; piece += 2) {
      parts.push(joiner.bytes.slice(pieces[piece], pieces[piece] + pieces[piece + 1]));
    }
    const bytes = Buffer.concat(parts);
    const ethernet = joiner.ethernetAt(index) - pieces[0];
    if (bytes.length - ethernet !== joiner.length(index)) throw new Error("wrong length");
    return {
      bytes,
      headerLength: joiner.headerLength(index),
      vni: joiner.vni(index),
      datagrams: joiner.datagrams(index),
      isExpired: joiner.isExpired(index),
    };
  }
}

/** The packets of a frame with virtio header that a kernel would cut it into, from the IP header on. */
export function cut(frame: Buffer): Buffer[] {
  const packet = frame.subarray(VNET + ETHERNET);
  const size = frame.readUInt16LE(4);
  if (frame[1] === 0) return [packet];
  const isV6 = packet[0] >>> 4 === 6;
  const start = frame.readUInt16LE(6) - ETHERNET;
  const isTcp = frame.readUInt16LE(8) === 16;
  const headers = frame.readUInt16LE(2) - ETHERNET;
  const payload = packet.subarray(headers);
  const segments: Buffer[] = [];
  for (let at = 0; at < payload.length; at += size) {
    const part = payload.subarray(at, at + size);
    const isLast = at + size >= payload.length;
    const segment = Buffer.concat([packet.subarray(0, headers), part]);
    if (isV6) segment.writeUInt16BE(segment.length - 40, 4);
    else {
      segment.writeUInt16BE(segment.length, 2);
      segment.writeUInt16BE((packet.readUInt16BE(4) + segments.length) & 0xffff, 4);
    }
    if (isTcp) {
      segment.writeUInt32BE((packet.readUInt32BE(start + 4) + at) % 2 ** 32, start + 4);
      if (!isLast) segment[start + 13] &= ~9;
      if (at > 0) segment[start + 13] &= ~0x80;
    } else segment.writeUInt16BE(segment.length - start, start + 4);
    segments.push(segment);
  }
  return segments;
}

/** Without what only a checksum says: of the IP header and of what is behind it. */
export function withoutChecksums(packet: Buffer): string {
  const copy = Buffer.from(packet);
  const isV6 = copy[0] >>> 4 === 6;
  const start = isV6 ? 40 : (copy[0] & 15) * 4;
  const protocol = copy[isV6 ? 6 : 9];
  if (!isV6) copy.writeUInt16BE(0, 10);
  if (protocol === 6) copy.writeUInt16BE(0, start + 16);
  if (protocol === 17) copy.writeUInt16BE(0, start + 6);
  return copy.toString("hex");
}
