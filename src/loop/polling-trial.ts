/** Wake-ups by which each way is judged, and for how many of them the faster one stays. */
const TRIAL = 2048;
const SETTLED = 16 * TRIAL;

type Phase = "polling" | "sleeping" | "settled";

/**
 * Whether to poll before blocking while frames cross between members. A request wakes two processes
 * beside ours, and what is best hangs on where the scheduler has put them: each on a processor that
 * would fall asleep, polling brings 18 thousand requests a second for 11; all on one, where whoever
 * polls keeps the others from it, 30–40 for 55 (measured, 2 processors). That cannot be asked, so both
 * ways are tried in turn, and the one in which wake-ups follow faster stays for a while.
 */
export class PollingTrial {
  #phase: Phase = "polling";
  #isPolling = true;
  /** Wake-ups of this phase so far, and when it began, in ms. */
  #wakes = 0;
  #since = -1;
  /** How long the phase of polling took, in ms. */
  #polling = 0;

  get isPolling(): boolean {
    return this.#isPolling;
  }

  /** To be called at each wake-up in which a frame crossed. @param now in ms */
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
