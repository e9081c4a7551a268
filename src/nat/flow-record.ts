import type { Endpoint } from "../sys/sockets/sockaddr.js";

/** What a flow has carried in one direction. */
export interface Volume {
  /** Bytes of payload; for ping including the ICMP header. */
  readonly bytes: number;
  /** Datagrams, or frames of TCP on the TAP (a superframe counts as one); 0 for a spliced connection. */
  readonly packets: number;
}

/** A volume that is counted up. */
export class Tally implements Volume {
  bytes = 0;
  packets = 0;

  /** @param segmentSize bytes of each datagram of a superframe; 0 for a single datagram */
  add(bytes: number, segmentSize: number): void {
    this.bytes += bytes;
    this.packets += segmentSize === 0 ? 1 : Math.ceil(bytes / segmentSize);
  }
}

/** The two ends of a flow, as the guest or the host sees them. */
export interface Ends {
  /** This side's own end; for ping the port is the identifier; null when it has none yet. */
  readonly own: Endpoint | null;
  /** The other end; for UDP and ping the last destination of the guest; null when it has none yet. */
  readonly peer: Endpoint | null;
}

/**
 * TCP: `connecting` until both sides are established; then which side has sent FIN; `closing` when both have.
 * UDP and ping: whether a datagram was answered.
 */
export type FlowState =
  | "connecting"
  | "established"
  | "guest-ended"
  | "host-ended"
  | "closing"
  | "unanswered"
  | "answered";

/** A connection or mapping at the time of asking. */
export interface FlowRecord {
  readonly protocol: "tcp" | "udp" | "icmp";
  /** `inbound`: opened by a client of a published port. */
  readonly direction: "outbound" | "inbound";
  readonly state: FlowState;
  readonly guest: Ends;
  readonly host: Ends;
  readonly fromGuest: Volume;
  readonly toGuest: Volume;
  /** When it began, in ms of the loop's clock. */
  readonly since: number;
  /** Smoothed, between the host and its peer, in µs; null when unknown. */
  readonly roundTripTime: number | null;
}
