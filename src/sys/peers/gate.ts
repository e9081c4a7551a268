import { monotonicMs } from "../../base/clock.js";
import { type Log, log as processLog } from "../../base/log.js";
import { Socket } from "../constants.js";
import { native } from "../native.js";
import { type Audience, type RefusalReason, refusalReason } from "./access.js";
import { networkOfPeer, peerOf, recordOwnNetwork, seesProcesses } from "./peer.js";

/** Between two warnings about refused clients, in ms: they must not fill the log. */
const WARNING_INTERVAL = 60_000;

/** Refused clients whose sockets stay open until they have read the reason: how many, and for how long, in ms. */
const MOST_LINGERING = 16;
const LINGER_TIME = 1_000;

/** Decides which clients of a local socket are served, and refuses the others. */
export class Gate {
  readonly #what: string;
  readonly #audience: Audience;
  readonly #log: Log;
  /** The audience as it can be enforced: by network alone where /proc hides processes. Null until the first client. */
  #effective: Audience | null = null;
  /** Oldest first. */
  readonly #lingering: Lingering[] = [];
  #timer: NodeJS.Timeout | null = null;
  #warnedAt = Number.NEGATIVE_INFINITY;
  #unreported = 0;

  /**
   * @param what names the socket in the log
   * @throws UserError when no descriptor is left
   */
  constructor(what: string, audience: Audience, log: Log = processLog) {
    this.#what = what;
    this.#audience = audience;
    this.#log = log;
    recordOwnNetwork();
  }

  /**
   * @param socket a client, from accept(2)
   * @returns why the client is denied; null: it is served
   */
  refusalReason(socket: number): RefusalReason | null {
    this.#effective ??= this.#effectiveAudience();
    // A guest may connect again and again: the files of /proc are not read for it.
    const network = networkOfPeer(socket);
    const isDecided = network !== "own" && this.#effective !== "containers";
    if (isDecided || this.#effective === "network") return network === "other" ? "network" : null;
    return refusalReason(peerOf(socket), this.#effective);
  }

  /**
   * Sends a client the reason and closes its socket.
   * @param socket becomes the gate's
   */
  refuse(socket: number, reason: RefusalReason, message: Uint8Array): void {
    this.#warn(reason);
    native.sendPassing(socket, message, null);
    native.close(socket);
  }

  /**
   * Same as refuse(), for a client that may still be sending. Data that reaches a closed socket resets the connection,
   * and the client would not read the message; so the socket is closed for writing now and for good after LINGER_TIME.
   */
  refuseSender(socket: number, reason: RefusalReason, message: Uint8Array): void {
    this.#warn(reason);
    native.sendPassing(socket, message, null);
    native.shutdown(socket, Socket.ShutdownWrite);
    this.#lingering.push({ socket, until: monotonicMs() + LINGER_TIME });
    if (this.#lingering.length > MOST_LINGERING) this.#closeOldest();
    this.#timer ??= setTimeout(() => this.#closeDue(), LINGER_TIME).unref();
  }

  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    while (this.#lingering.length > 0) this.#closeOldest();
  }

  #effectiveAudience(): Audience {
    if (this.#audience === "network" || seesProcesses()) return this.#audience;
    this.#log.warn(
      `/proc hides processes (hidepid): ${this.#what} checks clients by their network namespace only`,
    );
    return "network";
  }

  #warn(reason: RefusalReason): void {
    this.#unreported += 1;
    const now = monotonicMs();
    if (now - this.#warnedAt < WARNING_INTERVAL) return;
    const who = this.#unreported === 1 ? "a client" : `${this.#unreported} clients, the last`;
    this.#log.warn(`${this.#what}: refused ${who} ${ATTRIBUTES[reason]}`);
    this.#warnedAt = now;
    this.#unreported = 0;
  }

  #closeDue(): void {
    this.#timer = null;
    const now = monotonicMs();
    while (this.#lingering.length > 0 && this.#lingering[0].until <= now) this.#closeOldest();
    if (this.#lingering.length === 0) return;
    const rest = this.#lingering[0].until - now;
    this.#timer = setTimeout(() => this.#closeDue(), rest).unref();
  }

  #closeOldest(): void {
    const oldest = this.#lingering.shift();
    if (oldest !== undefined) native.close(oldest.socket);
  }
}

/** A refused client that may still read the reason. */
interface Lingering {
  readonly socket: number;
  /** When its socket is closed, by monotonicMs(). */
  readonly until: number;
}

const ATTRIBUTES: Readonly<Record<RefusalReason, string>> = {
  network: "of another network namespace",
  user: "of another user namespace",
  PID: "of another PID namespace",
  process: "whose process has ended",
};
