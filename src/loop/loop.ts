import { availableParallelism } from "node:os";
import type { DescriptorLedger } from "../admission/descriptor-ledger.js";
import { makeLedger } from "../admission/descriptor-limit.js";
import {
  type DescriptorHolder,
  type DescriptorQuota,
  DescriptorQuotas,
} from "../admission/descriptors.js";
import { monotonicMs, NEVER } from "../base/clock.js";
import { IdPool } from "../base/id-pool.js";
import { log } from "../base/log.js";
import { programName } from "../base/program.js";
import type { GuestConfig } from "../config/guest-config.js";
import type { Uploads } from "../engine/engine.js";
import type { CaptureFile } from "../frames/capture.js";
import { Guest } from "../guest/guest.js";
import type { TapHandle } from "../guest/tap-handle.js";
import type { SwitchPort } from "../network/switch.js";
import { Epoll } from "../sys/constants.js";
import { native } from "../sys/native.js";
import { reclaimMemory } from "../sys/reclaim.js";
import { guestOf, idOf, kindOf, MAX_GUESTS, TokenKind, tokenOf } from "../sys/token.js";
import { HeavyShare } from "./heavy-share.js";
import { PollingTrial } from "./polling-trial.js";

/** Events fetched by one wake-up. */
const MAX_EVENTS = 256;

/** How long to poll before blocking while traffic is requests and answers, in µs. */
const SPIN_TIME = 50;
/** A wake-up that moved no more bytes than this is one of requests and answers. */
const SMALL_WAKE = 4096;
/** So many in a row, and polling begins. */
const SMALL_WAKES = 16;

/** How often drain() looks, and for how long nothing must have come, in ms. */
const DRAIN_LOOK = 5;
/** Above the least retransmission time of Linux, TCP_RTO_MIN: 200. */
const DRAIN_QUIET = 250;

/** Memory is given back after the start, and after so many wake-ups … */
const RECLAIM_WAKES = 10_000;
/** … once no traffic has come for so long, in ms. */
const RECLAIM_QUIET = 1_000;

/** Seconds of processor time after which a wake-up does not end any more: the longest takes ms. */
const WAKE_LIMIT = 5;
const LAST_WORDS = `nothing has been relayed for ${WAKE_LIMIT} s of processor time, a fault of ours: ended`;

/** For so long after another guest has wanted something guests share the loop, in ms. */
const SHARED = 100;

/** So often within so many ms a guest's stack may fail and is made anew. */
const FAULTS_MOST = 3;
const FAULT_MEMORY = 60_000;

/**
 * Called when a guest has ended by itself.
 * @param isFault its stack failed again and again; otherwise its TAP was deleted
 */
export type OnGone = (why: string, isFault: boolean) => void;

/** Not among those that Node names. */
const EBADFD = 77;

/**
 * Whether an errno of a TAP says that it was deleted (drivers/net/tun.c: EBADFD). Others pass: EAGAIN,
 * EIO while the link is down, for as long as the guest wants, ENOMEM.
 */
function isGone(errno: number): boolean {
  return errno === EBADFD;
}

/** A guest of the loop and what is to be told about it. */
interface Served {
  readonly guest: Guest;
  readonly quota: DescriptorQuota;
  readonly onGone: OnGone;
  /** When it wants its next turn, in ms; NEVER: not before an event. */
  dueAt: number;
  /** What its stack failed with in this wake-up. */
  fault: string | null;
  /** When that happened, in the last FAULT_MEMORY ms. */
  faults: number[];
}

/**
 * The event loop of all guests of a process: one switch over epoll tokens. Hosted under Node's own
 * loop by the addon, so that timers, signals and promises go on as always.
 */
export class Loop {
  readonly #events = new Int32Array(2 * MAX_EVENTS);
  readonly #served: (Served | undefined)[] = [];
  readonly #watchers: (((events: number) => void) | undefined)[] = [];
  readonly #watcherIds = new Map<number, number>();
  readonly #ids = new IdPool();
  /** Whether another processor is there for those whom we would keep from this one. */
  readonly #maySpin = availableParallelism() > 1;
  /** The same while frames cross between members. */
  readonly #betweenMembers = new PollingTrial();
  #isSpinning = false;
  #smallWakes = 0;
  /** Wake-ups since a frame crossed from one member to another. */
  #wakesSinceSwitched = 0;
  /** The index of the last event's guest, and when that was another one than the time before, in ms. */
  #lastGuest = -1;
  #sharedAt = Number.NEGATIVE_INFINITY;
  /** Guests whose TAPs are read when the others have had theirs. */
  readonly #heavy: Served[] = [];
  /** Those whose TAPs are not watched for the length of a rest. */
  readonly #resting: Served[] = [];
  readonly #heavyShare = new HeavyShare();
  /** Bytes that crossed so in this wake-up. */
  #switched = 0;
  #wakes = 0;
  /** Number of the wake-up after which memory is given back; none is while that is waited for. */
  #reclaimAt = 0;
  /** While a pause is waited for. */
  #reclaimTimer: NodeJS.Timeout | null = null;
  /** Who may have how many descriptors; null before the first guest, where no ledger was given. */
  #quotas: DescriptorQuotas | null;
  /** Of the last wake-up, in ms. */
  #now = 0;
  /** Whether a flow was ended for another guest's sake: its own has to have a turn. */
  #hasEnded = false;

  /** Called when memory has been given back, in a pause: what was compiled may have gone with it. */
  onReclaimed: (() => void) | null = null;

  /** @param ledger of all threads of the process; null: this one alone serves guests */
  constructor(ledger: DescriptorLedger | null = null) {
    this.#quotas = ledger === null ? null : new DescriptorQuotas(ledger, monotonicMs);
  }

  /** How many wake-ups there have been: one number is one wake-up. */
  get wakes(): number {
    return this.#wakes;
  }

  /** Whether the last wake-ups moved more than requests and answers: others are to give way. */
  get carriesBulk(): boolean {
    return this.#smallWakes < SMALL_WAKES;
  }

  /** Runs until stop(). */
  start(): void {
    this.reclaimWhenQuiet();
    native.loopStart((count, now) => this.#onWake(count, now), this.#events);
    // Where the user has no timer left there is no limit, and all else is as always.
    native.loopLimit(WAKE_LIMIT, Buffer.from(`${programName()}: ${LAST_WORDS}\n`));
  }

  /** Ends all guests; nothing of the loop keeps the process alive afterwards. */
  stop(): void {
    for (const served of this.#served) {
      served?.guest.close();
      served?.quota.close();
    }
    this.#served.length = 0;
    native.loopStop();
  }

  /**
   * Calls back when nothing is under way any more from the guests to the host by TCP: every
   * connection has been closed by its guest and passed on, or those that are left are silent.
   * @param limit ms after which it calls back anyway
   * @param only the guest that it is about; null: all
   */
  drain(limit: number, onDrained: () => void, only: Guest | null = null): void {
    const start = monotonicMs();
    let sent = -1;
    let changedAt = start;
    const look = (): void => {
      const now = monotonicMs();
      const uploads = this.#uploads(only);
      if (uploads.sent !== sent) changedAt = now;
      sent = uploads.sent;
      const isQuiet = !uploads.blocked && now - changedAt >= DRAIN_QUIET;
      if (uploads.open === 0 || isQuiet || now - start >= limit) onDrained();
      else setTimeout(look, DRAIN_LOOK);
    };
    // Not at once: the guest's last frames may be in the TAP still.
    setTimeout(look, DRAIN_LOOK);
  }

  /**
   * Serves a guest from now on.
   * @param tap becomes the loop's
   * @param capture gets every frame of the guest, both ways
   * @param port its port of a network's switch; null when it is alone
   * @throws RangeError when the process serves MAX_GUESTS already, or has too few descriptors for one more
   */
  addGuest(
    tap: TapHandle,
    config: GuestConfig,
    onGone: OnGone,
    capture: CaptureFile | null = null,
    port: SwitchPort | null = null,
  ): Guest {
    let index = this.#served.indexOf(undefined);
    if (index < 0) index = this.#served.length;
    if (index >= MAX_GUESTS)
      throw new RangeError(`one process serves at most ${MAX_GUESTS} guests`);
    const quota = this.descriptors.add();
    try {
      const guest = new Guest(index, tap, config, quota, capture, port);
      const served = { guest, quota, onGone, dueAt: 0, fault: null, faults: [] };
      this.#served[index] = served;
      quota.holder = this.#holderOf(served);
      return guest;
    } catch (error) {
      quota.close();
      throw error;
    }
  }

  /** Who of the guests may have how many descriptors. */
  get descriptors(): DescriptorQuotas {
    this.#quotas ??= new DescriptorQuotas(makeLedger(1), monotonicMs);
    return this.#quotas;
  }

  #holderOf(served: Served): DescriptorHolder {
    const { guest } = served;
    return {
      get descriptors() {
        return guest.descriptors;
      },
      get endable() {
        return guest.endable;
      },
      endOldest: () => this.#endOldest(served),
    };
  }

  /** For another guest's sake. A stack that fails at it is its own guest's concern. */
  #endOldest(served: Served): boolean {
    if (served.fault !== null) return false;
    served.dueAt = this.#now;
    this.#hasEnded = true;
    try {
      return served.guest.endOldest(this.#now);
    } catch (error) {
      this.#onFault(served, error, this.#now);
      return false;
    }
  }

  /** Ends all flows of a guest and closes its TAP. */
  removeGuest(guest: Guest): void {
    const index = this.#served.findIndex((served) => served?.guest === guest);
    const served = this.#served[index];
    if (served === undefined) return;
    this.#served[index] = undefined;
    guest.close();
    served.quota.close();
    // V8 does not see how much of it there is, and would not look for it soon: wasm/index.cjs.
    this.reclaimWhenQuiet();
  }

  /** Calls back on any poll event of a handle: exit-fd, pidfd. @returns 0 or a negative errno */
  watchFd(fd: number, callback: (events: number) => void): number {
    // Outside of the wake-up, so that the callback may use promises.
    return this.watch(fd, Epoll.In, (events) => {
      setImmediate(() => {
        if (this.#watcherIds.has(fd)) callback(events);
      });
    });
  }

  /**
   * Calls back within the wake-up, where promises are not served: for what is answered at once.
   * @param events bits of Epoll
   * @returns 0 or a negative errno
   */
  watch(fd: number, events: number, callback: (events: number) => void): number {
    const id = this.#ids.take();
    const result = native.watch(fd, events, tokenOf(TokenKind.Watcher, 0, id));
    if (result < 0) {
      this.#ids.release(id);
      return result;
    }
    this.#watchers[id] = callback;
    this.#watcherIds.set(fd, id);
    return 0;
  }

  /** Asks for other events of a descriptor that is watched. */
  rewatch(fd: number, events: number): void {
    const id = this.#watcherIds.get(fd);
    if (id !== undefined) native.rewatch(fd, events, tokenOf(TokenKind.Watcher, 0, id));
  }

  /** To be called before the descriptor is closed. */
  unwatch(fd: number): void {
    const id = this.#watcherIds.get(fd);
    if (id === undefined) return;
    native.unwatch(fd);
    this.#watcherIds.delete(fd);
    this.#watchers[id] = undefined;
    this.#ids.release(id);
  }

  /** Gives back memory that nobody uses any more, once no traffic comes. */
  reclaimWhenQuiet(): void {
    if (this.#reclaimTimer !== null) return;
    const before = this.#wakes;
    this.#reclaimTimer = setTimeout(() => {
      this.#reclaimTimer = null;
      if (this.#wakes !== before) {
        this.reclaimWhenQuiet();
        return;
      }
      reclaimMemory();
      this.#reclaimAt = before + RECLAIM_WAKES;
      this.onReclaimed?.();
    }, RECLAIM_QUIET);
    this.#reclaimTimer.unref();
  }

  #onWake(count: number, now: number): number {
    this.#wakes += 1;
    this.#now = now;
    if (this.#wakes === this.#reclaimAt) this.reclaimWhenQuiet();
    if (this.#resting.length > 0 && this.#heavyShare.hasRested(monotonicMs())) this.#endRest();
    for (let index = 0; index < count; index += 1) {
      this.#onEvent(this.#events[2 * index] >>> 0, this.#events[2 * index + 1], now);
    }
    this.#readHeavy(now);
    const next = this.#turn(now);
    this.#ids.reap();
    return next;
  }

  #readHeavy(now: number): void {
    if (this.#heavy.length === 0) return;
    this.#heavyShare.begin(now, monotonicMs());
    for (const served of this.#heavy) {
      // An event of this wake-up may have ended it.
      if (served.fault === null && this.#served.includes(served)) this.#onTap(served, now);
    }
  }

  /** Reads a TAP beside heavy guests. What is sent to one of them, such as ACKs of bulk, is of its time. */
  #readBeside(served: Served, now: number): void {
    const began = monotonicMs();
    this.#onTap(served, now);
    if (served.guest.isModest(this.#heavyShare.modestSince(now))) this.#heavyShare.noteModest(now);
    else this.#heavyShare.spend(monotonicMs() - began);
  }

  #endHeavy(now: number): void {
    if (this.#heavyShare.end(now, monotonicMs())) this.#beginRest();
    this.#heavy.length = 0;
  }

  #beginRest(): void {
    for (const served of this.#heavy) {
      // That a TAP was deleted is told even when it is not watched.
      if (!this.#resting.includes(served)) this.#resting.push(served);
      served.guest.setTapWanted(false);
    }
  }

  #endRest(): void {
    for (const served of this.#resting)
      if (this.#served.includes(served)) served.guest.setTapWanted(true);
    this.#resting.length = 0;
  }

  #onEvent(token: number, events: number, now: number): void {
    const kind = kindOf(token);
    if (kind === TokenKind.Watcher) {
      // A request may have given any guest something to do.
      for (const served of this.#served) if (served !== undefined) served.dueAt = now;
      this.#watchers[idOf(token)]?.(events);
      return;
    }
    const served = this.#served[guestOf(token)];
    if (served === undefined || served.fault !== null) return;
    if (guestOf(token) !== this.#lastGuest) this.#sharedAt = now;
    this.#lastGuest = guestOf(token);
    if (kind === TokenKind.Tap) {
      if (served.guest.isHeavy && this.#isShared(now)) {
        this.#heavy.push(served);
        return;
      }
      if (this.#heavyShare.isFlooded(now)) this.#readBeside(served, now);
      else this.#onTap(served, now);
      return;
    }
    served.dueAt = now;
    try {
      served.guest.onEvents(kind, idOf(token), events, now);
    } catch (error) {
      this.#onFault(served, error, now);
    }
  }

  /**
   * What was for other members alone asks nothing of the guest itself. A deleted TAP reports an error
   * for ever: the guest ends.
   */
  #onTap(served: Served, now: number): void {
    try {
      this.#readTap(served, now);
    } catch (error) {
      this.#onFault(served, error, now);
    }
  }

  #isShared(now: number): boolean {
    return now - this.#sharedAt < SHARED;
  }

  #readTap(served: Served, now: number): void {
    const { guest, onGone } = served;
    const result = guest.onTap(now, this.#isShared(now));
    this.#switched += guest.takeSwitched();
    if (result > 0) served.dueAt = now;
    if (result >= 0 || !isGone(-result)) return;
    this.removeGuest(guest);
    setImmediate(onGone, "the TAP was deleted", false);
  }

  /**
   * A trap in WASM, or a fault of ours: the one guest that met it gets a new stack. At the end of the
   * wake-up, as events of its old sockets may still be on their way.
   */
  #onFault(served: Served, error: unknown, now: number): void {
    served.fault = String(error);
    served.faults = served.faults.filter((at) => now - at < FAULT_MEMORY);
    served.faults.push(now);
    served.dueAt = now;
  }

  /** @returns whether the guest goes on */
  #recover(served: Served, fault: string): boolean {
    served.fault = null;
    if (served.faults.length <= FAULTS_MOST && this.#restart(served.guest)) {
      log.error(`the stack failed (${fault}): made anew, connections are reset`);
      return true;
    }
    this.#served[this.#served.indexOf(served)] = undefined;
    served.guest.abandon();
    served.quota.close();
    setImmediate(served.onGone, `the stack failed (${fault})`, true);
    return false;
  }

  #restart(guest: Guest): boolean {
    try {
      guest.restart();
      return true;
    } catch {
      return false;
    }
  }

  #uploads(only: Guest | null): Uploads {
    const sum: Uploads = { open: 0, blocked: false, sent: 0 };
    for (const served of this.#served) {
      if (served === undefined || (only !== null && served.guest !== only)) continue;
      served.guest.addUploads(sum);
    }
    return sum;
  }

  #turn(now: number): number {
    let next = NEVER;
    let moved = 0;
    for (const served of this.#served) {
      if (served === undefined) continue;
      if (served.dueAt <= now) {
        served.dueAt = this.#turnOf(served, now);
        served.quota.settle();
        moved += served.guest.takeMoved();
      }
      next = Math.min(next, served.dueAt);
    }
    if (this.#hasEnded) next = now;
    this.#hasEnded = false;
    if (this.#heavy.length > 0) this.#endHeavy(now);
    this.#adaptSpin(moved, this.#switched, now);
    this.#switched = 0;
    return this.#waitUntil(next, now);
  }

  /**
   * The border to the addon, which counts from now on.
   * @returns ms from now, 0 for at once, -1 for never; of a rest, which is short, with fractions
   */
  #waitUntil(next: number, now: number): number {
    const wait = Math.max(0, Math.ceil(next - now));
    const rests = this.#resting.length > 0 && wait > 0;
    const least = rests ? Math.min(wait, this.#heavyShare.restLeft(monotonicMs())) : wait;
    return least === NEVER ? -1 : least;
  }

  /** @returns when it wants its next turn */

  #turnOf(served: Served, now: number): number {
    if (served.fault !== null && !this.#recover(served, served.fault)) return NEVER;
    try {
      return served.guest.turn(now);
    } catch (error) {
      this.#onFault(served, error, now);
      return now;
    }
  }

  #adaptSpin(moved: number, switched: number, now: number): void {
    this.#smallWakes = moved + switched > SMALL_WAKE ? 0 : this.#smallWakes + 1;
    this.#wakesSinceSwitched = switched > 0 ? 0 : this.#wakesSinceSwitched + 1;
    if (switched > 0) this.#betweenMembers.note(now);
    const isBetween = this.#wakesSinceSwitched < SMALL_WAKES;
    const pays = !isBetween || this.#betweenMembers.isPolling;
    const isQuiet = !this.carriesBulk && !this.#heavyShare.isFlooded(now);
    const spins = this.#maySpin && pays && isQuiet;
    if (spins === this.#isSpinning) return;
    this.#isSpinning = spins;
    native.loopSpin(spins ? SPIN_TIME : 0);
  }
}
