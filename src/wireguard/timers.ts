import { NEVER } from "../base/clock.js";
import {
  KEEPALIVE_TIMEOUT,
  REJECT_AFTER_TIME,
  REKEY_ATTEMPT_TIME,
  REKEY_JITTER,
  REKEY_TIMEOUT,
} from "./limits.js";

/** When a device wants to run; its peers move it forward. */
export class Schedule {
  at = NEVER;

  wake(at: number): void {
    if (at < this.at) this.at = at;
  }
}

/** What is due at a peer: bits. */
export const Due = {
  /** The handshake has taken too long: whatever waits for it is dropped. */
  GiveUp: 1,
  Initiate: 2,
  Keepalive: 4,
  /** Nobody has made a new session for long: all keys are forgotten. */
  Wipe: 8,
} as const;

/** Keys are forgotten when there was no new session for so long (§6.3). */
const WIPE_AFTER = 3 * REJECT_AFTER_TIME;
/** The other end should have answered by then, at least with a keepalive (§6.5). */
const SILENCE = KEEPALIVE_TIMEOUT + REKEY_TIMEOUT;

/**
 * The timers of a peer (§6). Each is a deadline, or NEVER; nothing else says in which state a peer is:
 *
 *   deadline    | set by                                 | until                  | what is due then
 *   initiate    | data without a session, an old session,| a session is confirmed | an initiation; again after 5 s
 *               | silence                                |                        |
 *   giveUp      | the first initiation, further data     | a session is confirmed | the handshake ends, the queue is dropped
 *   keepalive   | data received                          | anything is sent       | a keepalive
 *   silence     | data sent                              | anything is received   | a handshake begins
 *   persistent  | anything sent or received              | —                      | a keepalive, or a handshake if it can't be sent
 *   wipe        | a session is made                      | the next one           | all keys are forgotten
 *
 * So a peer is idle when all are NEVER; a handshake is under way while giveUp is not.
 */
export class Timers {
  readonly #schedule: Schedule;
  readonly #persistence: number;
  readonly #jitter: () => number;
  #initiate = NEVER;
  #giveUp = NEVER;
  #keepalive = NEVER;
  #silence = NEVER;
  #persistent = NEVER;
  #wipe = NEVER;
  /** When we last initiated: not more often than every REKEY_TIMEOUT. */
  #initiated = Number.NEGATIVE_INFINITY;

  /**
   * @param persistence ms of silence after which a keepalive is sent anyway; Infinity: never
   * @param jitter 0..1, another one each time
   */
  constructor(schedule: Schedule, persistence: number, jitter: () => number) {
    this.#schedule = schedule;
    this.#persistence = persistence;
    this.#jitter = jitter;
    // A tunnel that must always be open is opened at once.
    if (persistence !== NEVER) this.#persistent = this.#wake(0);
  }

  get isShakingHands(): boolean {
    return this.#giveUp !== NEVER;
  }

  /** A handshake is wanted. @param patience ms that the other end has for the one that it began */
  want(now: number, patience = 0): void {
    if (this.isShakingHands) return;
    this.#giveUp = this.#wake(now + REKEY_ATTEMPT_TIME);
    this.#initiate = this.#wake(Math.max(now + patience, this.#initiated + REKEY_TIMEOUT));
  }

  /** Something waits for the handshake: it is tried on. */
  insist(now: number): void {
    if (this.isShakingHands) this.#giveUp = now + REKEY_ATTEMPT_TIME;
  }

  /** We sent an initiation. */
  initiated(now: number): void {
    this.#initiated = now;
    this.#initiate = this.#wake(now + REKEY_TIMEOUT + this.#jitter() * REKEY_JITTER);
    this.#spoke(now);
  }

  /** There are keys for a session. */
  made(now: number): void {
    this.#wipe = this.#wake(now + WIPE_AFTER);
  }

  /** Both ends have the keys of a session. */
  confirmed(): void {
    this.#initiate = NEVER;
    this.#giveUp = NEVER;
  }

  /** @param hasData not a keepalive */
  sent(hasData: boolean, now: number): void {
    this.#keepalive = NEVER;
    if (hasData && this.#silence === NEVER) {
      this.#silence = this.#wake(now + SILENCE + this.#jitter() * REKEY_JITTER);
    }
    this.#spoke(now);
  }

  /** Something authentic came. @param hasData not a keepalive, nor of a handshake */
  received(hasData: boolean, now: number): void {
    this.#silence = NEVER;
    if (hasData && this.#keepalive === NEVER) {
      this.#keepalive = this.#wake(now + KEEPALIVE_TIMEOUT);
    }
    this.#spoke(now);
  }

  /** What is due now, as bits of Due: each is told once. @param canSend whether there is a session to send by */
  due(now: number, canSend: boolean): number {
    if (now >= this.#silence) {
      this.#silence = NEVER;
      this.want(now);
    }
    let due = 0;
    if (now >= this.#keepalive) {
      this.#keepalive = NEVER;
      due |= Due.Keepalive;
    }
    if (now >= this.#persistent) {
      this.#persistent = now + this.#persistence;
      if (canSend) due |= Due.Keepalive;
      else this.want(now);
    }
    if (now >= this.#giveUp) {
      this.confirmed();
      due |= Due.GiveUp;
    }
    if (now >= this.#initiate) due |= Due.Initiate;
    if (now >= this.#wipe) {
      this.#wipe = NEVER;
      due |= Due.Wipe;
    }
    return due;
  }

  /** When something is due next. */
  get nextAt(): number {
    return Math.min(
      this.#initiate,
      this.#giveUp,
      this.#keepalive,
      this.#silence,
      this.#persistent,
      this.#wipe,
    );
  }

  /** Something authentic was sent or received. */
  #spoke(now: number): void {
    if (this.#persistence !== NEVER) this.#persistent = this.#wake(now + this.#persistence);
  }

  #wake(at: number): number {
    this.#schedule.wake(at);
    return at;
  }
}
