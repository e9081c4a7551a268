/** Kinds of watched descriptors. */
export const TokenKind = {
  /** The TAP of a guest; the id is 0. */
  Tap: 0,
  /** The host socket of a TCP flow; the id is the stack's flow id. */
  Tcp: 1,
  /** The host socket of a mapping of UDP or ICMP echo. */
  Datagram: 2,
  /** The host socket of a DNS query. */
  Resolver: 5,
  /** A client of the forwarder over TCP, or the name server that is asked for it. */
  DnsStream: 6,
  /** A descriptor of the cold path; the id is the watcher's, the guest is 0. */
  Watcher: 3,
  /** The listening socket of a published port; the id is the rule's. */
  Published: 4,
  /**
   * A socket of a connection to the guest's loopback; the id is twice the connection's, plus 1 for the socket inside.
   */
  Loopback: 7,
  /** A socket that brings frames from other hosts; the guest is 0. */
  Tunnel: 8,
  /** As Published, of a port of the host that appears on the guest's loopback: the socket is inside. */
  HostPort: 9,
  /** As Loopback, of a client of such a port: its own socket is inside, and the other one is not. */
  HostLoopback: 10,
} as const;

export type TokenKind = (typeof TokenKind)[keyof typeof TokenKind];

const KIND_BITS = 4;
const GUEST_BITS = 9;

/** Guests that a token can tell apart. */
export const MAX_GUESTS = 1 << GUEST_BITS;

/** The 32-bit token of a descriptor, which its events carry. @param id below 2^19, unique for its kind and guest */
export function tokenOf(kind: TokenKind, guest: number, id: number): number {
  return (kind | (guest << KIND_BITS) | (id << (KIND_BITS + GUEST_BITS))) >>> 0;
}

export function kindOf(token: number): TokenKind {
  // All tokens come from tokenOf.
  return (token & ((1 << KIND_BITS) - 1)) as TokenKind;
}

export function guestOf(token: number): number {
  return (token >>> KIND_BITS) & (MAX_GUESTS - 1);
}

export function idOf(token: number): number {
  return token >>> (KIND_BITS + GUEST_BITS);
}
