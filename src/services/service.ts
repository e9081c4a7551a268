import type { DropReason } from "../base/drop.js";
import type { AddressPlan } from "../config/address-plan.js";
import type { LinkEndpoint } from "../wire/datagram.js";
import type { DnsQuery } from "../wire/dns.js";
import type { Frame } from "../wire/frame.js";

/** What a service decides about a frame that it claims. */
export type Verdict =
  /** Send this Ethernet frame to the guest. Its checksums are complete: no vnet header is needed. */
  | { readonly kind: "reply"; readonly frame: Uint8Array }
  /** Ask the host's name servers; the answer goes to `client`, from `server`. */
  | {
      readonly kind: "resolve";
      readonly query: DnsQuery;
      readonly client: LinkEndpoint;
      readonly server: LinkEndpoint;
    }
  | { readonly kind: "drop"; readonly reason: DropReason }
  /** Count the frame as dropped and send the guest this frame, an error. */
  | { readonly kind: "refuse"; readonly frame: Uint8Array; readonly reason: DropReason }
  /** The frame was handled and gets no answer. */
  | { readonly kind: "done" }
  /** Treat the frame as if no service had claimed it. */
  | { readonly kind: "pass" };

/** A server that Slipway runs on the guest's network, such as DNS. */
export interface Service {
  readonly name: string;
  /** Whether the rate of requests is limited (Limits.newMappings), as an answer costs some µs. */
  readonly isLimited: boolean;
  /** Whether a frame is for this service. Called for every frame that parseFrame accepted and is not TCP. */
  claims(frame: Frame): boolean;
  /**
   * Decides about a claimed frame. The verdict must not refer to the frame's memory.
   * @param now in ms of the loop's clock
   */
  handle(frame: Frame, now: number): Verdict;
}

/** A service that also sends without being asked. */
export interface Announcer extends Service {
  /** When it wants to send, in ms of the loop's clock; NEVER when nothing is planned. */
  readonly announceAt: number;
  /** Has it send in the next turn. */
  announceSoon(): void;
  /** Makes the Ethernet frame that is due, with complete checksums, and plans the next. */
  announcement(now: number): Uint8Array;
  /** The frame that takes back what is not in the plans that follow; null: the guest was told nothing else. */
  farewell(plans: readonly AddressPlan[]): Uint8Array | null;
}

export const PASS: Verdict = { kind: "pass" };
export const DONE: Verdict = { kind: "done" };

export function drop(reason: DropReason): Verdict {
  return { kind: "drop", reason };
}
