/** The inverses of src/wire/inet-diag.ts: what the kernel reads of a query, and what it writes of a socket. */
import type { Family } from "../../src/base/address.js";
import type { Listener, ListenerQuery } from "../../src/wire/inet-diag.js";
import { ADDRESS_FAMILY } from "../../src/wire/netlink.js";

// linux/netlink.h, linux/sock_diag.h, linux/inet_diag.h
const NETLINK_HEADER_LENGTH = 16;
const NLM_F_REQUEST = 0x1;
const NLM_F_DUMP = 0x300;
const SOCK_DIAG_BY_FAMILY = 20;
const REQUEST_LENGTH = 56;
const MESSAGE_LENGTH = 72;
const SOURCE_PORT = 4;
const SOURCE_ADDRESS = 8;
const ATTRIBUTE_LENGTH = 4;
const INET_DIAG_SKV6ONLY = 11;

// net/tcp_states.h
const TCP_CLOSE = 7;
const TCP_LISTEN = 10;

const PROTOCOL_NUMBER = { tcp: 6, udp: 17 } as const;

/** Reads what emitListenerQuery wrote; null for anything else. */
export function parseListenerQuery(bytes: Uint8Array): ListenerQuery | null {
  if (bytes.length !== NETLINK_HEADER_LENGTH + REQUEST_LENGTH) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const isDump = view.getUint16(6, true) === (NLM_F_REQUEST | NLM_F_DUMP);
  if (view.getUint16(4, true) !== SOCK_DIAG_BY_FAMILY || !isDump) return null;
  const family = familyOf(bytes[NETLINK_HEADER_LENGTH]);
  const protocol = protocolOf(bytes[NETLINK_HEADER_LENGTH + 1]);
  return family === null || protocol === null ? null : { protocol, family };
}

/** The kernel's message about one socket of an answer. */
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

function familyOf(number: number): Family | null {
  if (number === ADDRESS_FAMILY[4]) return 4;
  return number === ADDRESS_FAMILY[6] ? 6 : null;
}

function protocolOf(number: number): "tcp" | "udp" | null {
  if (number === PROTOCOL_NUMBER.tcp) return "tcp";
  return number === PROTOCOL_NUMBER.udp ? "udp" : null;
}
