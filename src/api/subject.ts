import type { Log } from "../base/log.js";
import type { Guest } from "../guest/guest.js";
import type { Answer } from "./answers.js";

/** The guest that requests are about. */
export interface Subject {
  readonly guest: Guest;
  /** Name of the TAP in the namespace. */
  readonly tap: string;
  /** The process with which the network ends, or null. */
  readonly pid: number | null;
  /** Whether ports may be published: not at the gateway of an internal network. */
  readonly mayPublish: boolean;
  /** Carries out a command line of pesto; absent: the API knows no such request. @returns its status, 0 or 1, and its text */
  readonly pesto?: (args: readonly string[]) => Answer;
  /** The log for requests; set_log_level changes its level. */
  readonly log: Log;
}

/** Statistics of the API socket. */
export interface ApiFigures {
  /** Connected clients. */
  clients: number;
  /** Answered requests, including errors. */
  requests: number;
  /** Clients closed because they were late or too many. */
  dropped: number;
}
