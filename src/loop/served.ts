import type { DescriptorQuota } from "../admission/descriptors.js";
import { log } from "../base/log.js";
import type { Guest } from "../guest/guest.js";

/** How many failures of its stack within so many ms a guest survives. */
const MOST_FAULTS = 3;
const FAULT_MEMORY = 60_000;

/**
 * Called when a guest has ended by itself.
 * @param isFault its stack failed again and again; otherwise its TAP was deleted
 */
export type OnGone = (why: string, isFault: boolean) => void;

/** A guest of the loop, and what the loop keeps about it. */
export class Served {
  readonly guest: Guest;
  readonly quota: DescriptorQuota;
  readonly onGone: OnGone;
  /** When the guest wants its next turn, in ms; NEVER for not before an event. */
  dueAt = 0;
  /** Whether the loop serves it no more. */
  isGone = false;
  #fault: string | null = null;
  /** When its stack failed in the last FAULT_MEMORY ms. */
  #faults: number[] = [];

  constructor(guest: Guest, quota: DescriptorQuota, onGone: OnGone) {
    this.guest = guest;
    this.quota = quota;
    this.onGone = onGone;
  }

  /** What its stack failed with in this wake-up, after which nothing may be asked of it; null: it has not. */
  get fault(): string | null {
    return this.#fault;
  }

  /** Whether the guest takes events: not after its end, and not between a failure and recover(). */
  get isUp(): boolean {
    return this.#fault === null && !this.isGone;
  }

  /** A trap in WebAssembly, or a bug of ours, in what was done for this guest. It gets a turn at once, to recover. */
  fail(error: unknown, now: number): void {
    this.#fault = String(error);
    this.#faults = this.#faults.filter((at) => now - at < FAULT_MEMORY);
    this.#faults.push(now);
    this.dueAt = now;
  }

  /** Builds the stack again that has failed. @returns false when the guest cannot go on */
  recover(): boolean {
    const fault = this.#fault;
    this.#fault = null;
    if (this.#faults.length > MOST_FAULTS || !this.#restart()) return false;
    log.error(`the stack failed (${fault}) and was built again: its connections are reset`);
    return true;
  }

  #restart(): boolean {
    try {
      this.guest.restart();
      return true;
    } catch {
      return false;
    }
  }
}
