import { monotonicMs } from "../base/clock.js";
import { HeavyShare } from "./heavy-share.js";
import type { Served } from "./served.js";

/** Guests share the loop for so many ms after an event of another guest than the one before. */
const SHARED = 100;

/**
 * Decides in which order the TAPs of a wake-up are read. While guests share the loop, the TAPs of heavy guests come
 * after the others, and heavy guests rest as HeavyShare says.
 */
export class Fairness {
  readonly #read: (served: Served, now: number) => void;
  readonly #share = new HeavyShare();
  /** Guests whose TAPs are read after all events of this wake-up. */
  readonly #heavy: Served[] = [];
  /** Guests whose TAPs are not watched for the length of a rest. */
  readonly #resting: Served[] = [];
  /** Index of the last event's guest, and when that was last another one than before, in ms. */
  #lastGuest = -1;
  #sharedAt = Number.NEGATIVE_INFINITY;

  /** @param read reads a batch of a guest's frames; throws nothing */
  constructor(read: (served: Served, now: number) => void) {
    this.#read = read;
  }

  /** Whether several guests want something. */
  isShared(now: number): boolean {
    return now - this.#sharedAt < SHARED;
  }

  /** Whether heavy guests have been served in the last ms. */
  isFlooded(now: number): boolean {
    return this.#share.isFlooded(now);
  }

  /** Called first in a wake-up. */
  beginWake(): void {
    if (this.#resting.length > 0 && this.#share.hasRested(monotonicMs())) this.#endRest();
  }

  /** An event of a guest, of whatever kind. @param index of the guest in tokens */
  note(index: number, now: number): void {
    if (index !== this.#lastGuest) this.#sharedAt = now;
    this.#lastGuest = index;
  }

  /** There are frames in a TAP: reads them now or in readHeavy(). */
  onTap(served: Served, now: number): void {
    if (served.guest.isHeavy && this.isShared(now)) this.#heavy.push(served);
    else if (this.#share.isFlooded(now)) this.#readBeside(served, now);
    else this.#read(served, now);
  }

  /** Called after all events of a wake-up: reads the TAPs that were put off. */
  readHeavy(now: number): void {
    if (this.#heavy.length === 0) return;
    this.#share.begin(now, monotonicMs());
    // An event of this wake-up may have ended the guest.
    for (const served of this.#heavy) if (served.isUp) this.#read(served, now);
  }

  /** Called after the guests' turns, which are part of the time that heavy guests take. */
  endWake(now: number): void {
    if (this.#heavy.length === 0) return;
    if (this.#share.end(now, monotonicMs())) this.#beginRest();
    this.#heavy.length = 0;
  }

  /** @param wait whole ms until the next wake-up, or Infinity @returns the same, or less, with fractions, while a rest lasts */
  limitWait(wait: number): number {
    if (this.#resting.length === 0 || wait === 0) return wait;
    return Math.min(wait, this.#share.restLeft(monotonicMs()));
  }

  /** Reads a TAP beside heavy guests. What is sent to one of them, such as ACKs of bulk, counts as its time. */
  #readBeside(served: Served, now: number): void {
    const began = monotonicMs();
    this.#read(served, now);
    if (served.guest.isModest(this.#share.modestSince(now))) this.#share.noteModest(now);
    else this.#share.spend(monotonicMs() - began);
  }

  #beginRest(): void {
    for (const served of this.#heavy) {
      // A TAP that is deleted is reported even while it is not watched: the guest may come here twice.
      if (!this.#resting.includes(served)) this.#resting.push(served);
      served.guest.setTapWanted(false);
    }
  }

  #endRest(): void {
    for (const served of this.#resting) if (!served.isGone) served.guest.setTapWanted(true);
    this.#resting.length = 0;
  }
}
