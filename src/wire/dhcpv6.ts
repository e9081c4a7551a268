import { Address } from "../base/address.js";
import { readU16, readU32, writeU16, writeU32 } from "./bytes.js";

export const Dhcpv6Port = { Server: 547, Client: 546 } as const;

/** Message types (RFC 8415 §7.3). */
export const Dhcpv6Type = {
  Solicit: 1,
  Advertise: 2,
  Request: 3,
  Confirm: 4,
  Renew: 5,
  Rebind: 6,
  Reply: 7,
  Release: 8,
  Decline: 9,
  InformationRequest: 11,
} as const;

/** Option codes (RFC 8415 §21; DNS: RFC 3646). */
export const Dhcpv6Option = {
  ClientId: 1,
  ServerId: 2,
  IdentityAssociation: 3,
  Address: 5,
  OptionRequest: 6,
  Preference: 7,
  StatusCode: 13,
  RapidCommit: 14,
  DnsServers: 23,
  DomainList: 24,
} as const;

/** Status codes (RFC 8415 §21.13). */
export const Dhcpv6Status = {
  Success: 0,
  NoAddressAvailable: 2,
  NotOnLink: 4,
} as const;

const HEADER_LENGTH = 4;
/** Longest message, in bytes. Clients send a few hundred; the limit bounds the time for associations. */
const LONGEST_MESSAGE = 1500;
const OPTION_HEADER_LENGTH = 4;
const ASSOCIATION_LENGTH = 12;
const ADDRESS_LENGTH = 24;

export interface Dhcpv6OptionValue {
  readonly code: number;
  readonly value: Uint8Array;
}

/** A message between client and server (RFC 8415 §8). */
export interface Dhcpv6Message {
  readonly type: number;
  /** 24 bits. */
  readonly transaction: number;
  readonly options: readonly Dhcpv6OptionValue[];
}

/** An identity association for addresses, IA_NA (RFC 8415 §21.4); times in seconds. */
export interface IdentityAssociation {
  readonly id: number;
  readonly renewalTime: number;
  readonly rebindingTime: number;
  readonly options: readonly Dhcpv6OptionValue[];
}

/** An address in an identity association (RFC 8415 §21.6); times in seconds. */
export interface AssociatedAddress {
  readonly address: Address;
  readonly preferredLifetime: number;
  readonly validLifetime: number;
}

/** Parses `length` bytes at `offset`; null when they are too many or malformed. */
export function parseDhcpv6(
  bytes: Uint8Array,
  offset: number,
  length: number,
): Dhcpv6Message | null {
  if (length < HEADER_LENGTH || length > LONGEST_MESSAGE) return null;
  // A copy: values are kept, and the frame's memory is reused.
  const options = parseOptions(bytes.slice(offset + HEADER_LENGTH, offset + length));
  if (options === null) return null;
  return { type: bytes[offset], transaction: readU32(bytes, offset) % 0x100_0000, options };
}

/** Composes the message. */
export function composeDhcpv6(message: Dhcpv6Message): Uint8Array {
  const header = new Uint8Array(HEADER_LENGTH);
  writeU32(header, 0, message.transaction);
  header[0] = message.type;
  return Buffer.concat([header, composeOptions(message.options)]);
}

/** Parses the value of an IA_NA option; null when malformed. */
export function parseAssociation(value: Uint8Array): IdentityAssociation | null {
  if (value.length < ASSOCIATION_LENGTH) return null;
  const options = parseOptions(value.subarray(ASSOCIATION_LENGTH));
  if (options === null) return null;
  return {
    id: readU32(value, 0),
    renewalTime: readU32(value, 4),
    rebindingTime: readU32(value, 8),
    options,
  };
}

export function composeAssociation(association: IdentityAssociation): Uint8Array {
  const header = new Uint8Array(ASSOCIATION_LENGTH);
  writeU32(header, 0, association.id);
  writeU32(header, 4, association.renewalTime);
  writeU32(header, 8, association.rebindingTime);
  return Buffer.concat([header, composeOptions(association.options)]);
}

/** Parses the value of an address option, without the options in it; null when malformed. */
export function parseAssociatedAddress(value: Uint8Array): AssociatedAddress | null {
  if (value.length < ADDRESS_LENGTH) return null;
  return {
    address: Address.read(value, 0, 6),
    preferredLifetime: readU32(value, 16),
    validLifetime: readU32(value, 20),
  };
}

export function composeAssociatedAddress(associated: AssociatedAddress): Uint8Array {
  const bytes = new Uint8Array(ADDRESS_LENGTH);
  associated.address.write(bytes, 0);
  writeU32(bytes, 16, associated.preferredLifetime);
  writeU32(bytes, 20, associated.validLifetime);
  return bytes;
}

function parseOptions(bytes: Uint8Array): Dhcpv6OptionValue[] | null {
  const options: Dhcpv6OptionValue[] = [];
  let at = 0;
  while (at < bytes.length) {
    const start = at + OPTION_HEADER_LENGTH;
    if (start > bytes.length) return null;
    const end = start + readU16(bytes, at + 2);
    if (end > bytes.length) return null;
    options.push({ code: readU16(bytes, at), value: bytes.subarray(start, end) });
    at = end;
  }
  return options;
}

function composeOptions(options: readonly Dhcpv6OptionValue[]): Uint8Array {
  return Buffer.concat(
    options.flatMap(({ code, value }) => {
      const header = new Uint8Array(OPTION_HEADER_LENGTH);
      writeU16(header, 0, code);
      writeU16(header, 2, value.length);
      return [header, value];
    }),
  );
}
