import type { Endpoint } from "../sys/sockets/sockaddr.js";

/** What has passed in one direction. */
export interface Volume {
  /** Of payload; of ping the ICMP header, too. */
  readonly bytes: number;
  /** Datagrams; frames of TCP as they crossed the TAP, a superframe is one; 0 if it is spliced. */
  readonly packets: number;
}

/** A volume that grows. */
export class Tally implements Volume {
  bytes = 0;
  packets = 0;

  /** @param segmentSize of each of the datagrams that came as one; 0: it is a single one */
  add(bytes: number, segmentSize: number): void {
    this.bytes += bytes;
    this.packets += segmentSize === 0 ? 1 : Math.ceil(bytes / segmentSize);
  }
}

/** How one side names the two ends of a flow. */
export interface Ends {
  /** This side's own end; the port of ping is its identifier. null: none yet. */
  readonly own: Endpoint | null;
  /** null: none yet; of UDP and ping it is whom the guest has sent to last. */
  readonly peer: Endpoint | null;
}

/**
 * TCP: `connecting` until both sides stand; who has ended its direction; `closing` when both have.
 * UDP and ping: whether anybody has answered.
 */
export type FlowState =
  | "connecting"
  | "established"
  | "guest-ended"
  | "host-ended"
  | "closing"
  | "unanswered"
  | "answered";

/** A connection or mapping, as of now. */
export interface FlowRecord {
  readonly protocol: "tcp" | "udp" | "icmp";
  /** `inbound`: a client of a published port began it. */
  readonly direction: "outbound" | "inbound";
  readonly state: FlowState;
  readonly guest: Ends;
  readonly host: Ends;
  readonly fromGuest: Volume;
  readonly toGuest: Volume;
  /** When it began, in ms of the loop's clock. */
  readonly since: number;
  /** Between the host and its peer, smoothed, in µs; null where it is not known. */
  readonly roundTripTime: number | null;
}
