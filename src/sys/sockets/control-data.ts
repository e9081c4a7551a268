import { Address, type Family } from "../../base/address.js";
import { Socket } from "../constants.js";
import { sockaddrAddressOffset, sockaddrFamily } from "./sockaddr.js";

/** struct cmsghdr of 64-bit Linux: length (8 bytes), level, type (4 each). Headers are aligned to 8. */
const HEADER_LENGTH = 16;
const LEVEL = 8;
const TYPE = 12;

/** CMSG_LEN and CMSG_SPACE of one u16. */
const SEGMENT_LENGTH = HEADER_LENGTH + 2;
export const SEGMENT_SPACE = HEADER_LENGTH + 8;

/** CMSG_LEN and CMSG_SPACE of one int. */
const CLASS_LENGTH = HEADER_LENGTH + 4;
export const CLASS_SPACE = HEADER_LENGTH + 8;

/** CMSG_SPACE of a struct in6_pktinfo, the longer of the two: 20 bytes. */
const PACKET_INFO_SPACE = HEADER_LENGTH + 24;

/** Room for segment size, traffic class, hop limit and destination. */
export const RECEIVED_CONTROL_SPACE = 3 * (HEADER_LENGTH + 8) + PACKET_INFO_SPACE;

/** struct sock_extended_err of linux/errqueue.h; the offender's sockaddr follows it. */
const ERROR_LENGTH = 16;
/** Room for the control data of a message from the error queue. */
export const ERROR_CONTROL_SPACE = RECEIVED_CONTROL_SPACE + HEADER_LENGTH + ERROR_LENGTH + 32;

/** The control data that we read: level and type, combined by kind(). */
const Kind = {
  SegmentSize: kind(Socket.LevelUdp, Socket.UdpReceiveOffload),
  Tos: kind(Socket.LevelIp, Socket.IpTos),
  TrafficClass: kind(Socket.LevelIpv6, Socket.Ipv6TrafficClass),
  Ttl: kind(Socket.LevelIp, Socket.IpTtl),
  HopLimit: kind(Socket.LevelIpv6, Socket.Ipv6HopLimit),
  PacketInfo: kind(Socket.LevelIp, Socket.IpPacketInfo),
  PacketInfo6: kind(Socket.LevelIpv6, Socket.Ipv6PacketInfo),
  Error: kind(Socket.LevelIp, Socket.IpReceiveErrors),
  Error6: kind(Socket.LevelIpv6, Socket.Ipv6ReceiveErrors),
} as const;

/** SO_EE_ORIGIN_… */
const Origin = { Local: 1, Icmp: 2, Icmp6: 3 } as const;

/** The control data of a received datagram; one object, refilled for each. */
export interface ReceivedControl {
  /** Length of each of several datagrams that were received as one (UDP_GRO), in bytes; 0: a single datagram. */
  segmentSize: number;
  trafficClass: number;
  /** TTL or hop limit on arrival at the host; 0: unknown. */
  hopLimit: number;
}

/** An error of a socket's error queue. */
export interface QueuedError {
  /** Whether the host itself refused to send (EMSGSIZE), rather than a router. */
  readonly isLocal: boolean;
  readonly type: number;
  readonly code: number;
  /** Path MTU in bytes, of errors that carry one. */
  readonly mtu: number;
  /** TTL or hop limit of the error message on arrival at the host; 0: unknown. */
  readonly hopLimit: number;
  /** The node that sent the error; null for errors of the host, and where the kernel gives none. */
  readonly offender: Address | null;
}

/**
 * Writes control data that has the kernel cut the payload into datagrams of `size` bytes (UDP_SEGMENT, udp(7)).
 * @returns its length, SEGMENT_SPACE
 */
export function emitSegmentSize(bytes: Uint8Array, offset: number, size: number): number {
  bytes.fill(0, offset, offset + SEGMENT_SPACE);
  bytes[offset] = SEGMENT_LENGTH;
  bytes[offset + LEVEL] = Socket.LevelUdp;
  bytes[offset + TYPE] = Socket.UdpSegment;
  bytes[offset + HEADER_LENGTH] = size;
  bytes[offset + HEADER_LENGTH + 1] = size >>> 8;
  return SEGMENT_SPACE;
}

/**
 * Writes control data that sets DSCP and ECN of the datagram's IP header (IP_TOS, IPV6_TCLASS).
 * @param trafficClass 0..255
 * @returns its length, CLASS_SPACE
 */
export function emitTrafficClass(
  bytes: Uint8Array,
  offset: number,
  family: Family,
  trafficClass: number,
): number {
  bytes.fill(0, offset, offset + CLASS_SPACE);
  bytes[offset] = CLASS_LENGTH;
  bytes[offset + LEVEL] = family === 4 ? Socket.LevelIp : Socket.LevelIpv6;
  bytes[offset + TYPE] = family === 4 ? Socket.IpTos : Socket.Ipv6TrafficClass;
  bytes[offset + HEADER_LENGTH] = trafficClass;
  return CLASS_SPACE;
}

/** Reads the control data of a received datagram. */
export function parseReceivedControl(
  bytes: Uint8Array,
  offset: number,
  length: number,
  control: ReceivedControl,
): void {
  control.segmentSize = 0;
  control.trafficClass = 0;
  control.hopLimit = 0;
  const end = offset + length;
  for (let at = offset; at + HEADER_LENGTH < end; at = following(bytes, at)) {
    const value = at + HEADER_LENGTH;
    switch (kindAt(bytes, at)) {
      case Kind.SegmentSize:
        control.segmentSize = bytes[value] | (bytes[value + 1] << 8);
        break;
      // One byte in IPv4, an int in IPv6.
      case Kind.Tos:
      case Kind.TrafficClass:
        control.trafficClass = bytes[value];
        break;
      case Kind.Ttl:
      case Kind.HopLimit:
        control.hopLimit = bytes[value];
        break;
    }
  }
}

/** The destination address of a received datagram; null when the control data has none. */
export function parseDestination(
  bytes: Uint8Array,
  offset: number,
  length: number,
): Address | null {
  const end = offset + length;
  for (let at = offset; at + HEADER_LENGTH < end; at = following(bytes, at)) {
    const value = at + HEADER_LENGTH;
    // struct in_pktinfo has the interface first, in6_pktinfo last (ip(7), ipv6(7)).
    if (kindAt(bytes, at) === Kind.PacketInfo) return Address.read(bytes, value + 4, 4);
    if (kindAt(bytes, at) === Kind.PacketInfo6) return Address.read(bytes, value, 6);
  }
  return null;
}

/** Reads the control data of a message from the error queue; null when it has no error of ICMP or of the host. */
export function parseQueuedError(
  bytes: Uint8Array,
  offset: number,
  length: number,
): QueuedError | null {
  const end = offset + length;
  for (let at = offset; at + HEADER_LENGTH + ERROR_LENGTH <= end; at = following(bytes, at)) {
    const found = kindAt(bytes, at);
    if (found === Kind.Error || found === Kind.Error6) {
      const received = { segmentSize: 0, trafficClass: 0, hopLimit: 0 };
      parseReceivedControl(bytes, offset, length, received);
      return extendedError(bytes, at + HEADER_LENGTH, end, received.hopLimit);
    }
  }
  return null;
}

function extendedError(
  bytes: Uint8Array,
  offset: number,
  end: number,
  hopLimit: number,
): QueuedError | null {
  const origin = bytes[offset + 4];
  if (origin !== Origin.Local && origin !== Origin.Icmp && origin !== Origin.Icmp6) return null;
  return {
    isLocal: origin === Origin.Local,
    type: bytes[offset + 5],
    code: bytes[offset + 6],
    mtu: bytes[offset + 8] | (bytes[offset + 9] << 8) | (bytes[offset + 10] << 16),
    hopLimit,
    offender: origin === Origin.Local ? null : offenderAt(bytes, offset + ERROR_LENGTH, end),
  };
}

function offenderAt(bytes: Uint8Array, offset: number, end: number): Address | null {
  const known = bytes[offset] === Socket.Inet || bytes[offset] === Socket.Inet6;
  if (offset >= end || !known) return null;
  const family: Family = sockaddrFamily(bytes, offset);
  return Address.read(bytes, offset + sockaddrAddressOffset(family), family);
}

/** Offset of the next cmsghdr; headers and data are aligned to 8 (CMSG_NXTHDR). */
function following(bytes: Uint8Array, at: number): number {
  const length = bytes[at] | (bytes[at + 1] << 8);
  return at + ((Math.max(length, HEADER_LENGTH) + 7) & ~7);
}

/** All levels and types above are below 256. */
function kind(level: number, type: number): number {
  return (level << 8) | type;
}

function kindAt(bytes: Uint8Array, at: number): number {
  return kind(bytes[at + LEVEL], bytes[at + TYPE]);
}
