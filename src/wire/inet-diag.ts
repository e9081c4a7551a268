import { Address, type Family } from "../base/address.js";
import { ADDRESS_FAMILY, NETLINK_HEADER_LENGTH, NLM_F_REQUEST } from "./netlink.js";

/** A request for the listening sockets of one protocol and family. */
export interface ListenerQuery {
  readonly protocol: "tcp" | "udp";
  /** The sockets' family; IPv6 sockets may take IPv4 clients, too. */
  readonly family: Family;
}

/** A socket that listens (TCP), or is bound and not connected (UDP). */
export interface Listener {
  readonly protocol: "tcp" | "udp";
  /** Local address; unspecified: all. */
  readonly address: Address;
  /** 1..65535. */
  readonly port: number;
  /** IPV6_V6ONLY; false for IPv4. */
  readonly isIpv6Only: boolean;
}

/** Whether an answer ends with a buffer. */
export const DiagEnd = {
  /** There is more to read. */
  More: 1,
  /** This was the last. */
  Done: 0,
} as const;

// linux/netlink.h
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLM_F_DUMP = 0x300;

// linux/sock_diag.h
const SOCK_DIAG_BY_FAMILY = 20;

// linux/inet_diag.h: struct inet_diag_req_v2 and inet_diag_msg, with a struct inet_diag_sockid each
const REQUEST_LENGTH = 56;
const MESSAGE_LENGTH = 72;
const SOURCE_PORT = 4;
const SOURCE_ADDRESS = 8;
const ATTRIBUTE_LENGTH = 4;
const INET_DIAG_SKV6ONLY = 11;

/** net/tcp_states.h. The state of a UDP socket that is not connected is TCP_CLOSE. */
const TCP_CLOSE = 7;
const TCP_LISTEN = 10;
const WAITING_STATES = { tcp: 1 << TCP_LISTEN, udp: 1 << TCP_CLOSE } as const;

const PROTOCOL_NUMBER = { tcp: 6, udp: 17 } as const;

/**
 * A request to a NETLINK_SOCK_DIAG socket (sock_diag(7)), in host byte order. The kernel answers with
 * one message for each socket in the network namespace of that socket.
 */
export function emitListenerQuery({ protocol, family }: ListenerQuery): Uint8Array {
  const message = new Uint8Array(NETLINK_HEADER_LENGTH + REQUEST_LENGTH);
  const view = new DataView(message.buffer);
  view.setUint32(0, message.length, true);
  view.setUint16(4, SOCK_DIAG_BY_FAMILY, true);
  view.setUint16(6, NLM_F_REQUEST | NLM_F_DUMP, true);
  view.setUint8(NETLINK_HEADER_LENGTH, ADDRESS_FAMILY[family]);
  view.setUint8(NETLINK_HEADER_LENGTH + 1, PROTOCOL_NUMBER[protocol]);
  view.setUint32(NETLINK_HEADER_LENGTH + 4, WAITING_STATES[protocol], true);
  return message;
}

/**
 * Reads the messages of an answer to `query` and adds their sockets to `found`, except sockets without a port.
 * @param bytes the result of one read(2)
 * @returns DiagEnd, or a negative errno from the kernel; null: malformed
 */
export function parseListeners(
  bytes: Uint8Array,
  query: ListenerQuery,
  found: Listener[],
): number | null {
  const view = viewOf(bytes);
  for (let at = 0; at < bytes.length; ) {
    const length = at + NETLINK_HEADER_LENGTH <= bytes.length ? view.getUint32(at, true) : 0;
    if (length < NETLINK_HEADER_LENGTH || at + length > bytes.length) return null;
    const type = view.getUint16(at + 4, true);
    if (type === NLMSG_DONE) return DiagEnd.Done;
    if (type === NLMSG_ERROR) return errorIn(view, at, length);
    if (type !== SOCK_DIAG_BY_FAMILY) return null;
    const listener = listenerIn(bytes.subarray(at + NETLINK_HEADER_LENGTH, at + length), query);
    if (listener === null) return null;
    if (listener.port > 0) found.push(listener);
    at += (length + 3) & ~3;
  }
  return DiagEnd.More;
}

/** struct nlmsgerr. Error 0 would be an acknowledgment, which the query does not ask for. */
function errorIn(view: DataView, at: number, length: number): number | null {
  if (length < NETLINK_HEADER_LENGTH + 4) return null;
  const error = view.getInt32(at + NETLINK_HEADER_LENGTH, true);
  return error < 0 ? error : null;
}

function listenerIn(message: Uint8Array, { protocol }: ListenerQuery): Listener | null {
  if (message.length < MESSAGE_LENGTH) return null;
  const family = familyOf(message[0]);
  if (family === null) return null;
  return {
    protocol,
    address: Address.read(message, SOURCE_ADDRESS, family),
    port: (message[SOURCE_PORT] << 8) | message[SOURCE_PORT + 1],
    isIpv6Only: family === 6 && attributeIn(message, INET_DIAG_SKV6ONLY) === 1,
  };
}

/** The first byte of an attribute's value; 0 without such an attribute. */
function attributeIn(message: Uint8Array, type: number): number {
  const view = viewOf(message);
  for (let at = MESSAGE_LENGTH; at + ATTRIBUTE_LENGTH < message.length; ) {
    const length = view.getUint16(at, true);
    if (length <= ATTRIBUTE_LENGTH) return 0;
    if (view.getUint16(at + 2, true) === type) return message[at + ATTRIBUTE_LENGTH];
    at += (length + 3) & ~3;
  }
  return 0;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function familyOf(number: number): Family | null {
  if (number === ADDRESS_FAMILY[4]) return 4;
  return number === ADDRESS_FAMILY[6] ? 6 : null;
}
