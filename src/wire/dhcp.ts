import { Address, type Prefix } from "../base/address.js";
import { MAC_LENGTH, type Mac, readMac, writeMac } from "../base/mac.js";
import { HARDWARE_ETHERNET } from "./arp.js";
import { readU16, readU32, writeU16, writeU32 } from "./bytes.js";

export const DhcpPort = { Server: 67, Client: 68 } as const;

/** Values of the option MessageType (RFC 2132 §9.6). */
export const DhcpType = {
  Discover: 1,
  Offer: 2,
  Request: 3,
  Decline: 4,
  Acknowledge: 5,
  Refuse: 6,
  Release: 7,
  Inform: 8,
} as const;

/** Option codes (RFC 2132; ClientId in answers: RFC 6842; 119: RFC 3397; 121: RFC 3442). */
export const DhcpOption = {
  SubnetMask: 1,
  Router: 3,
  DnsServers: 6,
  Hostname: 12,
  DomainName: 15,
  InterfaceMtu: 26,
  Broadcast: 28,
  RequestedAddress: 50,
  LeaseTime: 51,
  Overload: 52,
  MessageType: 53,
  ServerId: 54,
  ParameterRequest: 55,
  MaximumSize: 57,
  RenewalTime: 58,
  RebindingTime: 59,
  ClientId: 61,
  DomainSearch: 119,
  ClasslessRoutes: 121,
} as const;

export const DhcpOperation = { Request: 1, Reply: 2 } as const;

/** A DHCP message for IPv4 over Ethernet (RFC 2131 §2), without the fields that are always 0. */
export interface DhcpMessage {
  readonly operation: number;
  readonly transaction: number;
  /** The broadcast flag: whether the client cannot receive unicast yet. */
  readonly broadcast: boolean;
  /** ciaddr: the client's current address. */
  readonly clientAddress: Address;
  /** yiaddr: the address that the client gets. */
  readonly yourAddress: Address;
  /** giaddr: of a relay agent. */
  readonly relayAddress: Address;
  readonly clientMac: Mac;
  /** Values by option code, in the order of the message; the parts of a long option are joined (RFC 3396). */
  readonly options: ReadonlyMap<number, Uint8Array>;
}

const BROADCAST_FLAG = 0x8000;
const MAGIC_COOKIE = 0x6382_5363;

/** Offsets in the message (RFC 2131 §2). The fields for server name and file may hold options, too. */
const At = { name: 44, file: 108, cookie: 236, options: 240 } as const;

/** Shortest BOOTP message, in bytes (RFC 1542 §2.1). */
const LEAST_LENGTH = 300;
/** Longest message, in bytes. Clients send a few hundred; the limit bounds the time to parse options. */
const LONGEST_MESSAGE = 1500;

const PAD = 0;
const END = 255;
const LONGEST_PART = 255;

/** Bits of the option Overload (RFC 2132 §9.3). */
const OVERLOAD_FILE = 1;
const OVERLOAD_NAME = 2;

/** Parses `length` bytes at `offset`; null when malformed, or not for Ethernet. */
export function parseDhcp(bytes: Uint8Array, offset: number, length: number): DhcpMessage | null {
  if (length < At.options || length > LONGEST_MESSAGE) return null;
  if (readU32(bytes, offset + At.cookie) !== MAGIC_COOKIE) return null;
  if (bytes[offset + 1] !== HARDWARE_ETHERNET || bytes[offset + 2] !== MAC_LENGTH) return null;
  const options = parseAllOptions(bytes.subarray(offset, offset + length));
  if (options === null) return null;
  return {
    operation: bytes[offset],
    transaction: readU32(bytes, offset + 4),
    broadcast: (readU16(bytes, offset + 10) & BROADCAST_FLAG) !== 0,
    clientAddress: Address.read(bytes, offset + 12, 4),
    yourAddress: Address.read(bytes, offset + 16, 4),
    relayAddress: Address.read(bytes, offset + 24, 4),
    clientMac: readMac(bytes, offset + 28),
    options,
  };
}

/** Composes the message. */
export function composeDhcp(message: DhcpMessage): Uint8Array {
  const options = composeOptions(message.options);
  const bytes = new Uint8Array(Math.max(LEAST_LENGTH, At.options + options.length));
  bytes[0] = message.operation;
  bytes[1] = HARDWARE_ETHERNET;
  bytes[2] = MAC_LENGTH;
  writeU32(bytes, 4, message.transaction);
  writeU16(bytes, 10, message.broadcast ? BROADCAST_FLAG : 0);
  message.clientAddress.write(bytes, 12);
  message.yourAddress.write(bytes, 16);
  message.relayAddress.write(bytes, 24);
  writeMac(bytes, 28, message.clientMac);
  writeU32(bytes, At.cookie, MAGIC_COOKIE);
  bytes.set(options, At.options);
  return bytes;
}

/** A route of the option ClasslessRoutes. @param router 0.0.0.0: the destination is on the link */
export function composeClasslessRoute(destination: Prefix, router: Address): Uint8Array {
  const { address, length } = destination;
  const significant = address.toBytes().subarray(0, Math.ceil(length / 8));
  return Uint8Array.from([length, ...significant, ...router.toBytes()]);
}

function parseAllOptions(message: Uint8Array): Map<number, Uint8Array> | null {
  const options = new Map<number, Uint8Array>();
  if (!parseOptions(message.subarray(At.options), options)) return null;
  const overload = options.get(DhcpOption.Overload)?.[0] ?? 0;
  // RFC 2131 §4.1: the file first.
  const fields = [
    ...((overload & OVERLOAD_FILE) !== 0 ? [message.subarray(At.file, At.cookie)] : []),
    ...((overload & OVERLOAD_NAME) !== 0 ? [message.subarray(At.name, At.file)] : []),
  ];
  return fields.every((field) => parseOptions(field, options)) ? options : null;
}

/** Reads the options in `bytes` into the map. @returns false when one exceeds `bytes` */
function parseOptions(bytes: Uint8Array, options: Map<number, Uint8Array>): boolean {
  for (let at = 0; at < bytes.length; ) {
    const code = bytes[at];
    if (code === END) return true;
    if (code === PAD) {
      at += 1;
      continue;
    }
    const start = at + 2;
    const end = start + (bytes[at + 1] ?? LONGEST_PART);
    if (end > bytes.length) return false;
    const before = options.get(code) ?? new Uint8Array();
    options.set(code, Uint8Array.from([...before, ...bytes.subarray(start, end)]));
    at = end;
  }
  return true;
}

function composeOptions(options: ReadonlyMap<number, Uint8Array>): Uint8Array {
  const parts = [...options].flatMap(([code, value]) => splitOption(code, value));
  return Uint8Array.from([...parts, END]);
}

/** An option longer than 255 bytes is sent in parts (RFC 3396 §5). */
function splitOption(code: number, value: Uint8Array): number[] {
  const bytes: number[] = [];
  let at = 0;
  do {
    const part = value.subarray(at, at + LONGEST_PART);
    bytes.push(code, part.length, ...part);
    at += LONGEST_PART;
  } while (at < value.length);
  return bytes;
}
