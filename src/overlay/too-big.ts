import type { Address } from "../base/address.js";
import type { PortLink } from "../network/uplink.js";
import { native } from "../sys/native.js";
import { readU16 } from "../wire/bytes.js";
import { ETHERNET_HEADER_LENGTH, EtherType } from "../wire/ethernet.js";
import { createAddressCaches, Frame, parseFrame } from "../wire/frame.js";
import { IcmpError } from "../wire/icmp.js";
import {
  DEFAULT_HOP_LIMIT,
  emitIcmpErrorFrame,
  icmpErrorFrameLength,
  mayCauseIcmpError,
} from "../wire/reply.js";

/** Offset and bit of DF in an IPv4 header (RFC 791 §3.1). */
const FLAGS = 6;
const DONT_FRAGMENT = 0x40;

/**
 * Whether the sender of a packet may be told that it is too big: IPv6, or IPv4 with DF (RFC 1191 §3). Others are
 * fragmented on their way.
 * @param ethernet offset of the Ethernet header of a frame that has an IP header
 */
export function mayBeTold(bytes: Uint8Array, ethernet: number): boolean {
  const ip = ethernet + ETHERNET_HEADER_LENGTH;
  const isIpv4 = readU16(bytes, ethernet + 12) === EtherType.Ipv4;
  return !isIpv4 || (bytes[ip + FLAGS] & DONT_FRAGMENT) !== 0;
}

/**
 * Answers a frame of a port by a Packet Too Big (RFC 1191 §4, RFC 4443 §3.2), which overwrites the frame.
 * @param offset of the virtio header, and `length` with it, in the memory of `link`
 * @param mtu of the way that it would have taken, in bytes of IP
 * @param gateways of the network: the answer comes from that of the frame's family
 */
export function answerTooBig(
  link: PortLink,
  offset: number,
  length: number,
  mtu: number,
  gateways: readonly Address[],
): void {
  const { stack, frameHeader, memory, fd } = link;
  const at = offset + frameHeader;
  const frame = new Frame(stack.bytes);
  if (parseFrame(frame, at, length - frameHeader, createAddressCaches()) !== 0) return;
  const from = gateways.find(({ family }) => family === frame.family);
  if (from === undefined || !mayCauseIcmpError(frame)) return;
  const answer = new Uint8Array(icmpErrorFrameLength(frame));
  const error = IcmpError.PacketTooBig[frame.family];
  emitIcmpErrorFrame(answer, 0, frame, error, from, { mtu, hopLimit: DEFAULT_HOP_LIMIT });
  stack.bytes.fill(0, offset, at);
  stack.bytes.set(answer, at);
  native.write(fd, memory, offset, frameHeader + answer.length);
}
