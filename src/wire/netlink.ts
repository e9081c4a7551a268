import type { Family } from "../base/address.js";

// linux/netlink.h
const NETLINK_HEADER_LENGTH = 16;
const NLM_F_REQUEST = 0x1;
export const NLM_F_DUMP = 0x300;
const NLM_F_DUMP_INTR = 0x10;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;

/** Length of struct nlattr and struct rtattr, which are alike. */
export const ATTRIBUTE_HEADER_LENGTH = 4;
/** NLA_F_NESTED and NLA_F_NET_BYTEORDER are flags in the type. */
const ATTRIBUTE_TYPE_MASK = 0x3fff;

/** AF_INET and AF_INET6. */
export const ADDRESS_FAMILY: Readonly<Record<Family, number>> = { 4: 2, 6: 10 };

/**
 * Composes a request: struct nlmsghdr and its parts. Sequence number and port id are 0.
 * @param flags besides NLM_F_REQUEST
 */
export function composeRequest(
  type: number,
  flags: number,
  parts: readonly Uint8Array[],
): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, NETLINK_HEADER_LENGTH);
  const message = new Uint8Array(length);
  const view = viewOf(message);
  view.setUint32(0, length, true);
  view.setUint16(4, type, true);
  view.setUint16(6, NLM_F_REQUEST | flags, true);
  let at = NETLINK_HEADER_LENGTH;
  for (const part of parts) {
    message.set(part, at);
    at += part.length;
  }
  return message;
}

/** Whether a dump ends with a buffer. */
export const DumpEnd = {
  /** There is more to read. */
  More: 1,
  /** This was the last. */
  Done: 0,
} as const;

/** What a dump is about. */
export interface DumpReader {
  /**
   * Takes the body of a message, what is behind its header.
   * @returns false: malformed
   */
  take(type: number, body: Uint8Array): boolean;
  /** Something changed meanwhile: entries may be missing, or there twice. */
  interrupted?(): void;
}

/**
 * Reads the messages of an answer to a dump request.
 * @param bytes the result of one read(2)
 * @returns DumpEnd, or a negative errno from the kernel; null: malformed
 */
export function readDump(bytes: Uint8Array, reader: DumpReader): number | null {
  const view = viewOf(bytes);
  for (let at = 0; at < bytes.length; ) {
    const length = at + NETLINK_HEADER_LENGTH <= bytes.length ? view.getUint32(at, true) : 0;
    if (length < NETLINK_HEADER_LENGTH || at + length > bytes.length) return null;
    const type = view.getUint16(at + 4, true);
    if ((view.getUint16(at + 6, true) & NLM_F_DUMP_INTR) !== 0) reader.interrupted?.();
    if (type === NLMSG_DONE) return DumpEnd.Done;
    if (type === NLMSG_ERROR) return errorIn(view, at, length);
    if (!reader.take(type, bytes.subarray(at + NETLINK_HEADER_LENGTH, at + length))) return null;
    at += (length + 3) & ~3;
  }
  return DumpEnd.More;
}

/** struct nlmsgerr. Error 0 would be an acknowledgment, which no dump asks for. */
function errorIn(view: DataView, at: number, length: number): number | null {
  if (length < NETLINK_HEADER_LENGTH + 4) return null;
  const error = view.getInt32(at + NETLINK_HEADER_LENGTH, true);
  return error < 0 ? error : null;
}

/**
 * The values of a message's attributes by type; of several of one type, the last. Those behind a malformed one are
 * left out.
 * @param at where they begin
 */
export function attributesIn(body: Uint8Array, at: number): ReadonlyMap<number, Uint8Array> {
  const view = viewOf(body);
  const found = new Map<number, Uint8Array>();
  for (let next = at; next + ATTRIBUTE_HEADER_LENGTH <= body.length; ) {
    const length = view.getUint16(next, true);
    if (length < ATTRIBUTE_HEADER_LENGTH || next + length > body.length) break;
    const type = view.getUint16(next + 2, true) & ATTRIBUTE_TYPE_MASK;
    found.set(type, body.subarray(next + ATTRIBUTE_HEADER_LENGTH, next + length));
    next += (length + 3) & ~3;
  }
  return found;
}

/** @returns null for another family's number */
export function familyOfNumber(number: number): Family | null {
  if (number === ADDRESS_FAMILY[4]) return 4;
  return number === ADDRESS_FAMILY[6] ? 6 : null;
}

/** The same bytes as numbers. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
