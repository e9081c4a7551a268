/** Wake-ups in which each way is tried, and wake-ups for which the faster way stays. */
const TRIAL = 2048;
const SETTLED = 16 * TRIAL;

type Phase = "polling" | "sleeping" | "settled";

/**
 * Decides whether to poll before blocking while frames cross between members. A request wakes two processes beside
 * ours, and what is best depends on where the scheduler has put them. If each has a processor that would fall
 * asleep, polling raises the rate from 11 to 18 thousand requests a second. If all share one processor, a process
 * that polls keeps the others from it, and the rate falls from 55 to 30–40 (measured, 2 processors). The kernel does
 * not say which, so both ways are tried in turn, and the one with more wake-ups per second stays for a while.
 */
export class PollingTrial {
  #phase: Phase = "polling";
  #isPolling = true;
  /** Wake-ups of this phase, and when it began, in ms. */
  #wakes = 0;
  #since = -1;
  /** How long the polling phase took, in ms. */
  #polling = 0;

  get isPolling(): boolean {
    return this.#isPolling;
  }

  /** Called for each wake-up in which a frame crossed. @param now in ms */
  note(now: number): void {
    if (this.#since < 0) this.#since = now;
    this.#wakes += 1;
    if (this.#wakes < (this.#phase === "settled" ? SETTLED : TRIAL)) return;
    this.#end(now - this.#since);
    this.#wakes = 0;
    this.#since = now;
  }

  #end(took: number): void {
    switch (this.#phase) {
      case "polling":
        this.#polling = took;
        this.#phase = "sleeping";
        this.#isPolling = false;
        return;
      case "sleeping":
        this.#phase = "settled";
        this.#isPolling = this.#polling < took;
        return;
      case "settled":
        this.#phase = "polling";
        this.#isPolling = true;
        return;
    }
  }
}
