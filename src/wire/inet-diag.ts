import { Address, type Family } from "../base/address.js";
import {
  ADDRESS_FAMILY,
  attributesIn,
  composeRequest,
  familyOfNumber,
  NLM_F_DUMP,
  readDump,
  viewOf,
} from "./netlink.js";

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

// linux/sock_diag.h
const SOCK_DIAG_BY_FAMILY = 20;

// linux/inet_diag.h: struct inet_diag_req_v2 and inet_diag_msg, with a struct inet_diag_sockid each
const REQUEST_LENGTH = 56;
const MESSAGE_LENGTH = 72;
const SOURCE_PORT = 4;
const SOURCE_ADDRESS = 8;
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
  const body = new Uint8Array(REQUEST_LENGTH);
  const view = viewOf(body);
  view.setUint8(0, ADDRESS_FAMILY[family]);
  view.setUint8(1, PROTOCOL_NUMBER[protocol]);
  view.setUint32(4, WAITING_STATES[protocol], true);
  return composeRequest(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, [body]);
}

/**
 * Reads the messages of an answer to `query` and adds their sockets to `found`, except sockets without a port.
 * @param bytes the result of one read(2)
 * @returns DumpEnd, or a negative errno from the kernel; null: malformed
 */
export function parseListeners(
  bytes: Uint8Array,
  query: ListenerQuery,
  found: Listener[],
): number | null {
  return readDump(bytes, {
    take: (type, body) => {
      const listener = type === SOCK_DIAG_BY_FAMILY ? listenerIn(body, query) : null;
      if (listener === null) return false;
      if (listener.port > 0) found.push(listener);
      return true;
    },
  });
}

function listenerIn(message: Uint8Array, { protocol }: ListenerQuery): Listener | null {
  if (message.length < MESSAGE_LENGTH) return null;
  const family = familyOfNumber(message[0]);
  if (family === null) return null;
  const isIpv6Only =
    family === 6 && attributesIn(message, MESSAGE_LENGTH).get(INET_DIAG_SKV6ONLY)?.[0] === 1;
  return {
    protocol,
    address: Address.read(message, SOURCE_ADDRESS, family),
    port: (message[SOURCE_PORT] << 8) | message[SOURCE_PORT + 1],
    isIpv6Only,
  };
}
