import { Address, type Family } from "../base/address.js";
import { Errno, Socket } from "./constants.js";
import { native } from "./native.js";

/** Bytes of the longest socket address we use, struct sockaddr_in6. */
export const SOCKADDR_SIZE = 28;

const SOCKADDR_LENGTH: Readonly<Record<Family, number>> = { 4: 16, 6: SOCKADDR_SIZE };
const ADDRESS_OFFSET: Readonly<Record<Family, number>> = { 4: 4, 6: 8 };

/** Where addresses pass to and from the kernel when no WASM memory is concerned. */
const scratch = new Uint8Array(new ArrayBuffer(64));
const scratchMemory = native.registerMemory(scratch.buffer);

/**
 * Writes a struct sockaddr_in or sockaddr_in6: family in the machine's order, port and address in
 * the network's, zeros elsewhere.
 * @returns its length in bytes
 */
export function writeSockaddr(
  bytes: Uint8Array,
  offset: number,
  address: Address,
  port: number,
): number {
  const { family } = address;
  const length = SOCKADDR_LENGTH[family];
  bytes.fill(0, offset, offset + length);
  bytes[offset] = family === 4 ? Socket.Inet : Socket.Inet6;
  bytes[offset + 2] = port >>> 8;
  bytes[offset + 3] = port;
  address.write(bytes, offset + ADDRESS_OFFSET[family]);
  return length;
}

/** The address family of a sockaddr that the kernel wrote. */
export function sockaddrFamily(bytes: Uint8Array, offset: number): Family {
  return bytes[offset] === Socket.Inet ? 4 : 6;
}

/** Where the address stands in a sockaddr of that family, in bytes from its start. */
export function sockaddrAddressOffset(family: Family): number {
  return ADDRESS_OFFSET[family];
}

/** The port in a sockaddr, in host order. */
export function sockaddrPort(bytes: Uint8Array, offset: number): number {
  return (bytes[offset + 2] << 8) | bytes[offset + 3];
}

/** @returns a non-blocking socket, or a negative errno */
export function openSocket(family: Family, type: number): number {
  return native.socket(family === 4 ? Socket.Inet : Socket.Inet6, type, 0);
}

/** @returns 0, -EINPROGRESS, or another negative errno */
export function connectSocket(fd: number, address: Address, port: number): number {
  return native.connect(fd, scratchMemory, 0, writeSockaddr(scratch, 0, address, port));
}

/** @returns 0 or a negative errno */
export function bindSocket(fd: number, address: Address, port: number): number {
  return native.bind(fd, scratchMemory, 0, writeSockaddr(scratch, 0, address, port));
}

/** The address and port a socket is bound to, or null when it has none. */
export function localAddress(fd: number): { address: Address; port: number } | null {
  if (native.getsockname(fd, scratchMemory, 0, scratch.length) < 0) return null;
  const family = sockaddrFamily(scratch, 0);
  return {
    address: Address.read(scratch, ADDRESS_OFFSET[family], family),
    port: sockaddrPort(scratch, 0),
  };
}

/** Ends a TCP connection by RST: connect(2) to AF_UNSPEC dissolves the association. */
export function resetSocket(fd: number): void {
  scratch.fill(0, 0, SOCKADDR_LENGTH[4]);
  native.connect(fd, scratchMemory, 0, SOCKADDR_LENGTH[4]);
  native.close(fd);
}

/** The socket's pending error as a positive errno, 0 when there is none. */
export function pendingError(fd: number): number {
  const error = native.getsockopt(fd, Socket.LevelSocket, Socket.Error);
  return error < 0 ? Errno.EBADF : error;
}
