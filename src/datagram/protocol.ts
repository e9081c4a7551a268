import type { Address, Family } from "../base/address.js";
import type { DropReasonOrOk } from "../base/drop.js";
import type { Envelope, GuestWriter } from "../frames/guest-writer.js";
import type { Frame } from "../wire/frame.js";

/** A datagram for the guest: its endpoints, and where its payload lies in the stack's memory. */
export interface Exchange {
  /** The guest's port or identifier. */
  readonly guestPort: number;
  /** The other end's port; 0 in ICMP. */
  readonly port: number;
  readonly payload: number;
  readonly length: number;
  /** Bytes of each of the datagrams that came as one, the last of which may be shorter; 0: it is a single one. */
  readonly segmentSize: number;
}

/**
 * What UDP and ICMP echo do differently. The `payload` is what passes through the host's socket: of UDP what
 * follows the header, of ICMP the whole message.
 */
export interface DatagramProtocol {
  readonly name: "udp" | "icmp";
  /** Whether several datagrams may leave the host's socket as one (UDP_SEGMENT). */
  readonly hasSegments: boolean;
  /** Milliseconds without traffic after which a mapping ends. @param isForDns it has sent to port 53 alone */
  timeout(answered: boolean, isForDns: boolean): number;
  /** The least that timeout() returns, in ms. */
  readonly shortestTimeout: number;
  /** The protocol's number in the IP header. */
  number(family: Family): number;
  /**
   * Opens the socket that stands for an endpoint of the guest.
   * @param source its address on the host; null for the kernel's choice
   * @returns a non-blocking socket, or a negative errno
   */
  open(family: Family, guestPort: number, source: Address | null): number;
  /**
   * Whether the packet may be relayed.
   * @param isTrusted the kernel vouches for the transport's checksum
   * @returns 0, or why not
   */
  check(frame: Frame, isTrusted: boolean): DropReasonOrOk;
  /** The guest's port or identifier. */
  guestPort(frame: Frame): number;
  /** The destination's port; 0 in ICMP. */
  port(frame: Frame): number;
  /** Offset of the payload in the stack's memory, and its length in bytes. */
  payload(frame: Frame): number;
  length(frame: Frame): number;
  /** Writes what a host socket received to the guest. */
  deliver(writer: GuestWriter, envelope: Envelope, exchange: Exchange): void;
  /** Rebuilds the transport header and payload of a packet that the guest has sent, for an ICMP error about it. */
  quote(
    source: Address,
    guestPort: number,
    destination: Address,
    port: number,
    payload: Uint8Array,
  ): Uint8Array;
}
