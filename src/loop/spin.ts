import { availableParallelism } from "node:os";
import { native } from "../sys/native.js";
import { PollingTrial } from "./polling-trial.js";

/** How long to poll before blocking while traffic is requests and answers, in µs. */
const SPIN_TIME = 50;
/** A wake-up that moved no more bytes than this is small: requests and answers. */
const SMALL_WAKE = 4096;
/** After so many small wake-ups in a row polling begins. */
const SMALL_WAKES = 16;

/** Decides whether the loop polls for a moment before it blocks. */
export class Spin {
  /** Whether another processor is there for those whom polling would keep from this one. */
  readonly #maySpin = availableParallelism() > 1;
  /** Whether polling pays while frames cross between members. */
  readonly #betweenMembers = new PollingTrial();
  #isSpinning = false;
  /** Small wake-ups in a row, and wake-ups since a frame crossed from one member to another. */
  #smallWakes = 0;
  #wakesSinceSwitched = 0;

  /** Whether the last wake-ups moved more than requests and answers: others are to give way. */
  get carriesBulk(): boolean {
    return this.#smallWakes < SMALL_WAKES;
  }

  /**
   * Called once for each wake-up.
   * @param moved bytes between the guests and the host
   * @param switched bytes between members
   * @param isFlooded whether heavy guests are served
   */
  adapt(moved: number, switched: number, isFlooded: boolean, now: number): void {
    this.#smallWakes = moved + switched > SMALL_WAKE ? 0 : this.#smallWakes + 1;
    this.#wakesSinceSwitched = switched > 0 ? 0 : this.#wakesSinceSwitched + 1;
    if (switched > 0) this.#betweenMembers.note(now);
    const isBetween = this.#wakesSinceSwitched < SMALL_WAKES;
    const pays = !isBetween || this.#betweenMembers.isPolling;
    const isQuiet = !this.carriesBulk && !isFlooded;
    const spins = this.#maySpin && pays && isQuiet;
    if (spins === this.#isSpinning) return;
    this.#isSpinning = spins;
    native.loopSpin(spins ? SPIN_TIME : 0);
  }
}
