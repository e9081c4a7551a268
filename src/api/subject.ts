import type { Guest } from "../guest.js";

/** What requests are about: one guest, and what its user knows it by. */
export interface Subject {
  readonly guest: Guest;
  /** Name of the TAP in the namespace. */
  readonly tap: string;
  /** The process with which the network ends, or null. */
  readonly pid: number | null;
}
