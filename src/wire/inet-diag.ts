import { Address, type Family } from "../base/address.js";
import { ADDRESS_FAMILY, NETLINK_HEADER_LENGTH, NLM_F_REQUEST } from "./netlink.js";

/** What to ask the kernel for: the sockets of one protocol and family that wait for clients. */
export interface ListenerQuery {
  readonly protocol: "tcp" | "udp";
  /** Of the sockets: those of IPv6 may take clients of IPv4, too. */
  readonly family: Family;
}

/** A socket that waits for clients. */
export interface Listener {
  readonly protocol: "tcp" | "udp";
  /** To which it is bound; unspecified for all. */
  readonly address: Address;
  /** 1..65535. */
  readonly port: number;
  /** Whether a socket bound to :: is for IPv6 alone; false in IPv4. */
  readonly isIpv6Only: boolean;
}

/** How one buffer of an answer ends. */
export const DiagEnd = {
  /** More is to be read. */
  More: 1,
  /** That was all. */
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

/** net/tcp_states.h; a UDP socket that is not connected is said to be closed. */
const TCP_CLOSE = 7;
const TCP_LISTEN = 10;
const WAITING_STATES = { tcp: 1 << TCP_LISTEN, udp: 1 << TCP_CLOSE } as const;

const PROTOCOL_NUMBER = { tcp: 6, udp: 17 } as const;
/**
 * A request to a socket of NETLINK_SOCK_DIAG (sock_diag(7)), in the machine's byte order; the kernel
 * answers with one message for each socket of the socket's own network namespace.
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

/** What emitListenerQuery wrote; null for anything else. */
export function parseListenerQuery(bytes: Uint8Array): ListenerQuery | null {
  if (bytes.length !== NETLINK_HEADER_LENGTH + REQUEST_LENGTH) return null;
  const view = viewOf(bytes);
  const isDump = view.getUint16(6, true) === (NLM_F_REQUEST | NLM_F_DUMP);
  if (view.getUint16(4, true) !== SOCK_DIAG_BY_FAMILY || !isDump) return null;
  const family = familyOf(bytes[NETLINK_HEADER_LENGTH]);
  const protocol = protocolOf(bytes[NETLINK_HEADER_LENGTH + 1]);
  return family === null || protocol === null ? null : { protocol, family };
}

/** One socket of an answer, as the kernel tells of it. */
export function emitListener({ protocol, address, port, isIpv6Only }: Listener): Uint8Array {
  const isIpv6 = address.family === 6;
  const attribute = isIpv6 ? 8 : 0;
  const message = new Uint8Array(NETLINK_HEADER_LENGTH + MESSAGE_LENGTH + attribute);
  const view = new DataView(message.buffer);
  view.setUint32(0, message.length, true);
  view.setUint16(4, SOCK_DIAG_BY_FAMILY, true);
  const body = NETLINK_HEADER_LENGTH;
  view.setUint8(body, ADDRESS_FAMILY[address.family]);
  view.setUint8(body + 1, protocol === "tcp" ? TCP_LISTEN : TCP_CLOSE);
  view.setUint16(body + SOURCE_PORT, port);
  address.write(message, body + SOURCE_ADDRESS);
  if (isIpv6) {
    const at = body + MESSAGE_LENGTH;
    view.setUint16(at, ATTRIBUTE_LENGTH + 1, true);
    view.setUint16(at + 2, INET_DIAG_SKV6ONLY, true);
    view.setUint8(at + ATTRIBUTE_LENGTH, isIpv6Only ? 1 : 0);
  }
  return message;
}

/**
 * Reads the messages of an answer to `query` and adds the sockets in them to `found`; sockets with
 * no port, and what the query did not ask for, are left out.
 * @param bytes what one read(2) gave
 * @returns DiagEnd, or a negative errno of the kernel's; null for what is no answer
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

/** struct nlmsgerr: an error of 0 would be an acknowledgement, which was not asked for. */
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

/** First byte of an attribute's value; 0 when there is none. */
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

function protocolOf(number: number): "tcp" | "udp" | null {
  if (number === PROTOCOL_NUMBER.tcp) return "tcp";
  return number === PROTOCOL_NUMBER.udp ? "udp" : null;
}
