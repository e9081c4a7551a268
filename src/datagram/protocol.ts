import type { Address, Family } from "../base/address.js";
import type { DropReasonOrOk } from "../base/drop.js";
import type { Envelope, GuestWriter } from "../frames/guest-writer.js";
import type { Frame } from "../wire/frame.js";

/** A datagram that the guest sent or shall get: its endpoints and where its payload lies. */
export interface Exchange {
  /** The guest's port or identifier. */
  readonly guestPort: number;
  /** The other end's port; 0 in ICMP. */
  readonly port: number;
  readonly payload: number;
  readonly length: number;
  /** Of each of the datagrams that came as one, 0: it is a single one. */
  readonly segmentSize: number;
}

/**
 * What UDP and ICMP echo do differently. The `payload` is what passes through the host's socket:
 * of UDP what stands behind the header, of ICMP the whole message.
 */
export interface DatagramProtocol {
  /** Whether several datagrams may leave the host's socket as one (UDP_SEGMENT). */
  readonly hasSegments: boolean;
  /** Milliseconds without traffic after which a mapping ends. */
  timeout(answered: boolean, isForDns: boolean): number;
  /** The least that timeout() may say. */
  readonly shortestTimeout: number;
  number(family: Family): number;
  /**
   * The socket that stands for an endpoint of the guest.
   * @param source its address on the host; null for the one that the kernel takes
   * @returns the socket, or a negative errno
   */
  open(family: Family, guestPort: number, source: Address | null): number;
  /** Whether the packet may be relayed; its checksum, too, unless the kernel vouches for it. */
  check(frame: Frame, isTrusted: boolean): DropReasonOrOk;
  guestPort(frame: Frame): number;
  port(frame: Frame): number;
  payload(frame: Frame): number;
  length(frame: Frame): number;
  /** Writes what a host socket received to the guest. */
  deliver(writer: GuestWriter, envelope: Envelope, exchange: Exchange): void;
  /** The transport header and payload of a packet that the guest has sent, for a quotation. */
  quote(
    source: Address,
    guestPort: number,
    destination: Address,
    port: number,
    payload: Uint8Array,
  ): Uint8Array;
}
