import type { Address } from "../../src/base/address.js";
import { BROADCAST_MAC } from "../../src/base/mac.js";
import { composeDatagram } from "../../src/wire/datagram.js";
import { composeDhcp, type DhcpMessage, DhcpOption, parseDhcp } from "../../src/wire/dhcp.js";
import {
  composeDhcpv6,
  type Dhcpv6Message,
  type Dhcpv6OptionValue,
  parseDhcpv6,
} from "../../src/wire/dhcpv6.js";
import type { Frame } from "../../src/wire/frame.js";
import { address } from "../base/addresses.js";
import { parseOk } from "../wire/parsing.js";
import { GUEST_MAC } from "./frames.js";

const ANY = address("0.0.0.0");
const BROADCAST = address("255.255.255.255");

interface Ask {
  readonly type: number;
  readonly options?: readonly (readonly [number, Uint8Array])[];
  readonly changes?: Partial<DhcpMessage>;
  readonly destination?: Address;
}

/** A frame with a DHCP message from a client. */
export function asked({ type, options = [], changes = {}, destination = BROADCAST }: Ask): Frame {
  const message: DhcpMessage = {
    operation: 1,
    transaction: 0x1234_5678,
    broadcast: false,
    clientAddress: ANY,
    yourAddress: ANY,
    relayAddress: ANY,
    clientMac: GUEST_MAC,
    options: new Map([[DhcpOption.MessageType, Uint8Array.of(type)], ...options]),
    ...changes,
  };
  const from = { mac: GUEST_MAC, address: message.clientAddress, port: 68 };
  const to = { mac: BROADCAST_MAC, address: destination, port: 67 };
  return parseOk(composeDatagram(from, to, composeDhcp(message)));
}

/** The message of a DHCP server's frame. */
export function dhcpIn({ bytes, payloadOffset, payloadLength }: Frame): DhcpMessage {
  const message = parseDhcp(bytes, payloadOffset, payloadLength);
  if (message === null) throw new Error("no DHCP message");
  return message;
}

/** A frame with a DHCPv6 message from a client. */
export function askedV6(type: number, ...options: Dhcpv6OptionValue[]): Frame {
  const from = { mac: GUEST_MAC, address: address("fe80::64"), port: 546 };
  const to = { mac: 0x3333_0001_0002, address: address("ff02::1:2"), port: 547 };
  return parseOk(composeDatagram(from, to, composeDhcpv6({ type, transaction: 42, options })));
}

/** The message of a DHCPv6 server's frame. */
export function dhcpv6In({ bytes, payloadOffset, payloadLength }: Frame): Dhcpv6Message {
  const message = parseDhcpv6(bytes, payloadOffset, payloadLength);
  if (message === null) throw new Error("no DHCPv6 message");
  return message;
}
