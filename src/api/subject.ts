import type { Log } from "../base/log.js";
import type { Guest } from "../guest/guest.js";

/** What requests are about: one guest, and what its user knows it by. */
export interface Subject {
  readonly guest: Guest;
  /** Name of the TAP in the namespace. */
  readonly tap: string;
  /** The process with which the network ends, or null. */
  readonly pid: number | null;
  /** Where requests are told, and whose level they may change. */
  readonly log: Log;
}

/** What the socket itself has had to do. */
export interface ApiFigures {
  /** Clients that are there. */
  clients: number;
  /** Requests that were answered, errors included. */
  requests: number;
  /** Clients that were dropped: too late, or too many. */
  dropped: number;
}
