import type { Address, Family } from "../../base/address.js";
import { Socket } from "../constants.js";

/** An address and port of the host's network. */
export interface Endpoint {
  readonly address: Address;
  readonly port: number;
}

/** An endpoint whose address may be link-local. */
export interface ScopedEndpoint extends Endpoint {
  /** Interface index of a link-local IPv6 address (sin6_scope_id); 0 for other addresses. */
  readonly scope: number;
}

/** Size of the longest socket address in use, struct sockaddr_in6, in bytes. */
export const SOCKADDR_SIZE = 28;

const SOCKADDR_LENGTH: Readonly<Record<Family, number>> = { 4: 16, 6: SOCKADDR_SIZE };
const ADDRESS_OFFSET: Readonly<Record<Family, number>> = { 4: 4, 6: 8 };
/** sin6_scope_id */
const SCOPE_OFFSET = 24;

/**
 * Writes a struct sockaddr_in or sockaddr_in6: family in host byte order, port and address in network
 * byte order, zeros elsewhere.
 * @param scope interface index of a link-local IPv6 address; 0: none. Ignored for IPv4.
 * @returns its length in bytes
 */
export function writeSockaddr(
  bytes: Uint8Array,
  offset: number,
  address: Address,
  port: number,
  scope = 0,
): number {
  const { family } = address;
  const length = SOCKADDR_LENGTH[family];
  bytes.fill(0, offset, offset + length);
  bytes[offset] = family === 4 ? Socket.Inet : Socket.Inet6;
  bytes[offset + 2] = port >>> 8;
  bytes[offset + 3] = port;
  address.write(bytes, offset + ADDRESS_OFFSET[family]);
  if (scope !== 0 && family === 6) writeScope(bytes, offset + SCOPE_OFFSET, scope);
  return length;
}

/** The address family of a sockaddr that the kernel wrote. */
export function sockaddrFamily(bytes: Uint8Array, offset: number): Family {
  return bytes[offset] === Socket.Inet ? 4 : 6;
}

/** Offset of the address in a sockaddr of that family, in bytes. */
export function sockaddrAddressOffset(family: Family): number {
  return ADDRESS_OFFSET[family];
}

/** The port in a sockaddr, as a number. */
export function sockaddrPort(bytes: Uint8Array, offset: number): number {
  return (bytes[offset + 2] << 8) | bytes[offset + 3];
}

/** The interface index of a link-local IPv6 address in a sockaddr that the kernel wrote; otherwise 0. */
export function sockaddrScope(bytes: Uint8Array, offset: number): number {
  if (sockaddrFamily(bytes, offset) === 4) return 0;
  return readScope(bytes, offset + SCOPE_OFFSET);
}

function readScope(bytes: Uint8Array, at: number): number {
  return bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
}

function writeScope(bytes: Uint8Array, at: number, scope: number): void {
  for (let byte = 0; byte < 4; byte += 1) bytes[at + byte] = scope >>> (8 * byte);
}
