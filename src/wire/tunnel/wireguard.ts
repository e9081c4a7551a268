import type { Family } from "../../base/address.js";
import { readU32le, writeU32le } from "../bytes.js";
import { ipHeaderLength } from "../ip.js";
import { UDP_HEADER_LENGTH } from "../udp.js";

/*
 * Messages of WireGuard (the published protocol, §5.4). Numbers are little-endian. Keys and encrypted fields are ranges
 * of bytes: what is in them belongs to src/wireguard.
 */

export const MessageType = { Initiation: 1, Response: 2, CookieReply: 3, Data: 4 } as const;
export type MessageType = (typeof MessageType)[keyof typeof MessageType];

/** Length of an X25519 key. */
export const KEY_LENGTH = 32;
/** Length of the tag at the end of what ChaCha20-Poly1305 sealed. */
export const TAG_LENGTH = 16;
export const MAC_LENGTH = 16;
export const COOKIE_LENGTH = 16;
export const COOKIE_NONCE_LENGTH = 24;
/** A TAI64N label. */
export const TIMESTAMP_LENGTH = 12;

/** Where the fields of an initiation are. */
export const Initiation = {
  Sender: 4,
  Ephemeral: 8,
  Static: 40,
  Timestamp: 88,
  Mac1: 116,
  Mac2: 132,
  Length: 148,
} as const;

/** Where the fields of a response are. */
export const Response = {
  Sender: 4,
  Receiver: 8,
  Ephemeral: 12,
  Nothing: 44,
  Mac1: 60,
  Mac2: 76,
  Length: 92,
} as const;

/** Where the fields of a cookie reply are. */
export const CookieReply = { Receiver: 4, Nonce: 8, Cookie: 32, Length: 64 } as const;

/** Where the fields of a data message are. Its packet is sealed: the least one is a tag. */
export const Data = { Receiver: 4, Counter: 8, Packet: 16, LeastLength: 32 } as const;

/** Packets are padded with zeros to a multiple of this, but to the tunnel's MTU at most (§5.4.6). */
export const PADDING = 16;

/** What WireGuard adds to an IP packet, without padding: outer IP and UDP headers, its own, and the tag. */
export function wireguardOverhead(family: Family): number {
  return ipHeaderLength(family) + UDP_HEADER_LENGTH + Data.Packet + TAG_LENGTH;
}

/** Length of a packet with its padding. @param most the MTU of its network */
export function paddedLength(length: number, most: number): number {
  return Math.max(length, Math.min(Math.ceil(length / PADDING) * PADDING, most));
}

/**
 * What kind of message it is.
 * @returns null for one that is none: of an unknown type, of a wrong length, with reserved bytes that are not 0
 */
export function messageType(bytes: Uint8Array, offset: number, length: number): MessageType | null {
  if (length < 4) return null;
  switch (readU32le(bytes, offset)) {
    case MessageType.Initiation:
      return length === Initiation.Length ? MessageType.Initiation : null;
    case MessageType.Response:
      return length === Response.Length ? MessageType.Response : null;
    case MessageType.CookieReply:
      return length === CookieReply.Length ? MessageType.CookieReply : null;
    case MessageType.Data:
      return length >= Data.LeastLength ? MessageType.Data : null;
    default:
      return null;
  }
}

/** Writes the type with its reserved bytes. */
export function emitType(bytes: Uint8Array, offset: number, type: MessageType): void {
  writeU32le(bytes, offset, type);
}

/** Counters above 2^53 - 1 are no exact numbers in JavaScript; nobody gets there. */
const HIGH_WORD_LIMIT = 0x20_0000;
const WORD_RANGE = 0x1_0000_0000;

/** The counter of a data message; null for one above 2^53 - 1. */
export function dataCounter(bytes: Uint8Array, offset: number): number | null {
  const high = readU32le(bytes, offset + Data.Counter + 4);
  if (high >= HIGH_WORD_LIMIT) return null;
  return high * WORD_RANGE + readU32le(bytes, offset + Data.Counter);
}

/** Writes the header of a data message, and returns its length. @param counter 0..2^53-1 */
export function emitDataHeader(
  bytes: Uint8Array,
  offset: number,
  receiver: number,
  counter: number,
): number {
  emitType(bytes, offset, MessageType.Data);
  writeU32le(bytes, offset + Data.Receiver, receiver);
  writeU32le(bytes, offset + Data.Counter, counter);
  writeU32le(bytes, offset + Data.Counter + 4, Math.floor(counter / WORD_RANGE));
  return Data.Packet;
}
