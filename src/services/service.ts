import type { DropReason } from "../base/drop.js";
import type { LinkEndpoint } from "../wire/datagram.js";
import type { DnsQuery } from "../wire/dns.js";
import type { Frame } from "../wire/frame.js";

/** What shall happen to a frame that a service has claimed. */
export type Verdict =
  /** Send this Ethernet frame to the guest. Its checksums are complete: no vnet header is needed. */
  | { readonly kind: "reply"; readonly frame: Uint8Array }
  /** Ask the host's DNS servers; the answer comes back to the client as the server's. */
  | {
      readonly kind: "resolve";
      readonly query: DnsQuery;
      readonly client: LinkEndpoint;
      readonly server: LinkEndpoint;
    }
  | { readonly kind: "drop"; readonly reason: DropReason }
  /** Count it as dropped, and send the guest this frame, which says so. */
  | { readonly kind: "refuse"; readonly frame: Uint8Array; readonly reason: DropReason }
  /** The frame has had its effect and gets no answer. */
  | { readonly kind: "done" }
  /** Treat the frame as if no service had claimed it. */
  | { readonly kind: "pass" };

/** Something on the guest's network that Slipway itself is, such as its DNS server. */
export interface Service {
  readonly name: string;
  /** Whether a guest may ask only so often (Limits.newMappings): an answer costs some µs. */
  readonly isLimited: boolean;
  /** Whether a frame that parseFrame accepted is for this service; asked for every such frame. */
  claims(frame: Frame): boolean;
  /**
   * Decides about a frame that it claims. The verdict holds nothing of the frame's memory.
   * @param now in ms of the loop
   */
  handle(frame: Frame, now: number): Verdict;
}

/** A service that also speaks unasked. */
export interface Announcer extends Service {
  /** When it wants to, in ms of the loop; NEVER for not before it is asked. */
  readonly announceAt: number;
  /** The Ethernet frame that is due, its checksums complete. */
  announcement(now: number): Uint8Array;
}

export const PASS: Verdict = { kind: "pass" };
export const DONE: Verdict = { kind: "done" };

export function drop(reason: DropReason): Verdict {
  return { kind: "drop", reason };
}
