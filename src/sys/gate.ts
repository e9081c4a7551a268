import { monotonicMs } from "../base/clock.js";
import { type Log, log as processLog } from "../base/log.js";
import { Socket } from "./constants.js";
import { native } from "./native.js";
import { knowOwnNetwork, networkOfPeer, peerOf, seesProcesses } from "./peer.js";
import { type Door, type Obstacle, obstacleOf } from "./peer-rule.js";

/** Nobody who is refused can fill the log, in ms. */
const WARNING_INTERVAL = 60_000;

/** So many who are refused may still read why, and for how long, in ms. */
const MOST_LEAVING = 16;
const LEAVING_TIME = 1_000;

/** Keeps those out who connect to a local socket from where they must not. */
export class Gate {
  readonly #what: string;
  readonly #door: Door;
  readonly #log: Log;
  /** As the door is, or for the network alone where /proc hides who it is. */
  #effective: Door | null = null;
  /** In the order in which they came. */
  readonly #leaving: Leaving[] = [];
  #timer: NodeJS.Timeout | null = null;
  #warnedAt = Number.NEGATIVE_INFINITY;
  #untold = 0;

  /**
   * @param what the socket is, for the log
   * @throws UserError when no descriptor is left
   */
  constructor(what: string, door: Door, log: Log = processLog) {
    this.#what = what;
    this.#door = door;
    this.#log = log;
    knowOwnNetwork();
  }

  /**
   * @param socket that accept(2) gave
   * @returns what keeps its client out; null: nothing does
   */
  obstacleOf(socket: number): Obstacle | null {
    this.#effective ??= this.#effectiveDoor();
    // A guest can ask again and again: for it the files of /proc are not read.
    const network = networkOfPeer(socket);
    const isDecided = network !== "own" && this.#effective !== "containers";
    if (isDecided || this.#effective === "network") return network === "other" ? "network" : null;
    return obstacleOf(peerOf(socket), this.#effective);
  }

  /**
   * Sends a client away.
   * @param socket becomes the gate's
   * @param message that tells it why
   */
  refuse(socket: number, obstacle: Obstacle, message: Uint8Array): void {
    this.#tell(obstacle);
    native.sendPassing(socket, message, null);
    native.close(socket);
  }

  /** The same for one that may be sending still: if that met a closed socket, it would not read why. */
  refuseSender(socket: number, obstacle: Obstacle, message: Uint8Array): void {
    this.#tell(obstacle);
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

  #effectiveDoor(): Door {
    if (this.#door === "network" || seesProcesses()) return this.#door;
    this.#log.warn(
      `/proc hides processes (hidepid): who asks at ${this.#what} is known by its network namespace alone`,
    );
    return "network";
  }

  #tell(obstacle: Obstacle): void {
    this.#untold += 1;
    const now = monotonicMs();
    if (now - this.#warnedAt < WARNING_INTERVAL) return;
    const who = this.#untold === 1 ? "a client" : `${this.#untold} clients, the last`;
    this.#log.warn(`${this.#what}: refused ${who} ${ATTRIBUTES[obstacle]}`);
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

const ATTRIBUTES: Readonly<Record<Obstacle, string>> = {
  network: "of another network namespace",
  user: "of another user namespace",
  PID: "of another PID namespace",
  process: "whose process has ended",
};
