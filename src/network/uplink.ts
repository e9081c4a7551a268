import type { Address } from "../base/address.js";
import type { DropCounters, DropReasonOrOk } from "../base/drop.js";
import type { Mac } from "../base/mac.js";
import type { Stack } from "../stack/stack.js";

/** The two ends of a port: the stack whose memory its frames are in, and the TAP that frames for it are written to. */
export interface PortLink {
  /** The TAP: a handle of the addon. */
  readonly fd: number;
  /** The memory that its frames are read into: its number in the addon, and whose it is. */
  readonly memory: number;
  readonly stack: Stack;
  /** Length of the virtio header before each frame, in bytes; the same at all ports of a switch. */
  readonly frameHeader: number;
  /** The port's. */
  readonly drops: DropCounters;
}

/** A member that is on another host, or that host as a router, as the switch sees it. */
export interface Remote {
  readonly mac: Mac;
  /**
   * Sends a frame, or a superframe, to the member's host, at the latest at the next flush() of the uplink. The frame
   * is neither changed nor kept: others may read it, too. What is dropped later is counted in `link.drops`.
   * @param offset of the frame's virtio header in the memory of `link`
   * @param length with the virtio header, in bytes
   * @returns 0, or why it was dropped
   */
  send(link: PortLink, offset: number, length: number): DropReasonOrOk;
}

/** A switch's way to the members that are on other hosts. */
export interface Uplink {
  /** Counts changes of its members: they invalidate what ports have cached of it. */
  readonly generation: number;
  /** How often a group frame is sent: once to each place that has members. */
  readonly copies: number;
  /** The member that has a MAC; null: none has. */
  remoteAt(mac: Mac): Remote | null;
  /**
   * Who routes a frame to the gateway's MAC, as the packet in it is for a subnet elsewhere; null: the gateway.
   * @param at offset of its Ethernet header, and `end` of the byte behind it
   */
  routerOf(bytes: Uint8Array, at: number, end: number): Remote | null;
  /** The member that has an address, or the link-local address of its MAC; null: none has. */
  ownerOf(address: Address): Remote | null;
  /** Sends a group frame to each place that has members, as Remote.send(). */
  flood(link: PortLink, offset: number, length: number): void;
  /** Sends what is kept of the frames of a port. Called after each batch of its TAP. */
  flush(link: PortLink): void;
  /** The port's memory goes away: what is kept of its frames is dropped. */
  discard(link: PortLink): void;
}
