import { monotonicMs } from "../base/clock.js";
import { type Log, log as processLog } from "../base/log.js";
import { Socket } from "./constants.js";
import { native } from "./native.js";
import { knowOwnNetwork, networkOfPeer, peerOf, seesProcesses } from "./peer.js";
import { type Audience, type RefusalReason, refusalReason } from "./peer-rule.js";

/** Between two warnings, in ms: a client that is refused again and again must not fill the log. */
const WARNING_INTERVAL = 60_000;

/** Clients that may still read why they were refused: how many at once, and for how long, in ms. */
const MOST_LEAVING = 16;
const LEAVING_TIME = 1_000;

/** Refuses clients of a local socket whose namespaces it does not serve. */
export class Gate {
  readonly #what: string;
  readonly #audience: Audience;
  readonly #log: Log;
  /** `#audience`, or "network" where /proc does not show who a peer is; null: not known yet. */
  #effective: Audience | null = null;
  /** In the order in which they came. */
  readonly #leaving: Leaving[] = [];
  #timer: NodeJS.Timeout | null = null;
  #warnedAt = Number.NEGATIVE_INFINITY;
  #untold = 0;

  /**
   * @param what the socket is, for the log
   * @throws UserError when no descriptor is left
   */
  constructor(what: string, audience: Audience, log: Log = processLog) {
    this.#what = what;
    this.#audience = audience;
    this.#log = log;
    knowOwnNetwork();
  }

  /**
   * @param socket that accept(2) gave
   * @returns what keeps its client out; null: nothing does
   */
  refusalReason(socket: number): RefusalReason | null {
    this.#effective ??= this.#effectiveAudience();
    // A guest can ask again and again: for it the files of /proc are not read.
    const network = networkOfPeer(socket);
    const isDecided = network !== "own" && this.#effective !== "containers";
    if (isDecided || this.#effective === "network") return network === "other" ? "network" : null;
    return refusalReason(peerOf(socket), this.#effective);
  }

  /**
   * Sends a client away.
   * @param socket becomes the gate's
   * @param message that tells it why
   */
  refuse(socket: number, reason: RefusalReason, message: Uint8Array): void {
    this.#tell(reason);
    native.sendPassing(socket, message, null);
    native.close(socket);
  }

  /** The same for one that may be sending still: if that met a closed socket, it would not read why. */
  refuseSender(socket: number, reason: RefusalReason, message: Uint8Array): void {
    this.#tell(reason);
    native.sendPassing(socket, message, null);
    native.shutdown(socket, Socket.ShutdownWrite);
    this.#leaving.push({ socket, until: monotonicMs() + LEAVING_TIME });
    if (this.#leaving.length > MOST_LEAVING) this.#closeOldest();
    this.#timer ??= setTimeout(() => this.#closeLate(), LEAVING_TIME).unref();
  }

  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    while (this.#leaving.length > 0) this.#closeOldest();
  }

  #effectiveAudience(): Audience {
    if (this.#audience === "network" || seesProcesses()) return this.#audience;
    this.#log.warn(
      `/proc hides processes (hidepid): who asks at ${this.#what} is known by its network namespace alone`,
    );
    return "network";
  }

  #tell(reason: RefusalReason): void {
    this.#untold += 1;
    const now = monotonicMs();
    if (now - this.#warnedAt < WARNING_INTERVAL) return;
    const who = this.#untold === 1 ? "a client" : `${this.#untold} clients, the last`;
    this.#log.warn(`${this.#what}: refused ${who} ${ATTRIBUTES[reason]}`);
    this.#warnedAt = now;
    this.#untold = 0;
  }

  #closeLate(): void {
    this.#timer = null;
    const now = monotonicMs();
    while (this.#leaving.length > 0 && this.#leaving[0].until <= now) this.#closeOldest();
    if (this.#leaving.length === 0) return;
    const rest = this.#leaving[0].until - now;
    this.#timer = setTimeout(() => this.#closeLate(), rest).unref();
  }

  #closeOldest(): void {
    const oldest = this.#leaving.shift();
    if (oldest !== undefined) native.close(oldest.socket);
  }
}

/** A client that has been told why it is not served. */
interface Leaving {
  readonly socket: number;
  /** When it is closed, as monotonicMs() tells it. */
  readonly until: number;
}

const ATTRIBUTES: Readonly<Record<RefusalReason, string>> = {
  network: "of another network namespace",
  user: "of another user namespace",
  PID: "of another PID namespace",
  process: "whose process has ended",
};
