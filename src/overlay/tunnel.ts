import type { Address } from "../base/address.js";
import type { DropCounters, DropReasonOrOk } from "../base/drop.js";
import type { Mac } from "../base/mac.js";
import type { MemberSubnet } from "../network/plans.js";
import type { PortLink } from "../network/uplink.js";

/** How the packets of a network reach other hosts. */
export type Carrier =
  | { readonly kind: "wireguard" }
  /** @property vni below 2^24 */
  | { readonly kind: "vxlan"; readonly vni: number };

/** An overlay network. */
export interface OverlayNetwork {
  readonly id: string;
  /** At most one of each family. */
  readonly subnets: readonly MemberSubnet[];
  /** In bytes, without the Ethernet header. */
  readonly mtu: number;
  readonly carrier: Carrier;
}

/** Another host of the cluster. */
export interface OverlayHost {
  readonly id: string;
  /** Where this host reaches it. */
  readonly address: Address;
  readonly vxlanPort: number;
  readonly wireguardPort: number;
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
}

/** Where a remote member is. */
export type Location =
  /** Another host, or a client of it. `host`: its id */
  | { readonly kind: "host"; readonly host: string }
  /** A machine without Slipway, by VXLAN. */
  | { readonly kind: "vtep"; readonly address: Address; readonly port: number }
  /** A WireGuard client of this host. `publicKey`: 32 bytes */
  | { readonly kind: "wireguard"; readonly publicKey: Uint8Array };

/** A place that has members of a network, and to which a tunnel leads. */
export type Place =
  | { readonly kind: "host"; readonly host: OverlayHost }
  | Exclude<Location, { readonly kind: "host" }>;

/** What the store says of a member on another host. */
export interface RemoteIdentity {
  readonly mac: Mac;
  /** At most one of each family. */
  readonly addresses: readonly Address[];
  readonly location: Location;
}

/** The way to one place, for the frames of one network. */
export interface Destination {
  /** The longest IP packet that goes there now, in bytes; at most the network's MTU. */
  readonly mtu: number;
  /**
   * Parameters and result as of `Remote.send` in src/network/uplink.ts.
   * @returns DropReason.TunnelTooBig when a packet is longer than `mtu`: the caller tells the sender (Packet Too Big)
   */
  send(link: PortLink, offset: number, length: number): DropReasonOrOk;
}

/** What tunnels have done. */
export interface TunnelCounts {
  readonly drops: DropCounters;
  /** Frames and bytes from tunnels for members, then those into tunnels; a superframe counts as one. */
  readonly counters: Float64Array;
}

/**
 * The end of a tunnel on this host. The loop watches its sockets and calls it within wake-ups: nothing here may throw,
 * but by a bug.
 */
export interface TunnelEnd {
  /** Handles of the addon that the loop watches (EPOLLIN) for as long as the tunnel is open. */
  readonly sockets: readonly number[];
  /**
   * A socket is readable. Takes a bounded amount: epoll is level-triggered and reports what is left.
   * @param socket index in `sockets`
   * @param now ms of the loop's clock
   * @returns how many bytes it brought for members
   */
  onReadable(socket: number, now: number): number;
  /**
   * After the events of each wake-up.
   * @returns when it wants its next turn, in ms; NEVER for not before an event
   */
  turn(now: number): number;
  /** It threw, by a trap in WebAssembly or a bug: it starts over, without what it had received. */
  recover(): void;
  /** Closes the sockets. */
  close(): void;
}

/** Carries frames of overlays to and from other hosts. */
export interface Tunnel extends TunnelEnd {
  /** The way to a place; null: the tunnel does not lead there. Cold path: called anew when the place has changed. */
  destinationOf(network: OverlayNetwork, place: Place): Destination | null;
  /** Sends what is kept of the frames of a port. */
  flush(link: PortLink): void;
  /** Drops what is kept of the frames of a port, whose memory goes away. */
  discard(link: PortLink): void;
}
