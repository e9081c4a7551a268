import type { DescriptorLedger } from "../admission/descriptor-ledger.js";
import { makeLedger } from "../admission/descriptor-limit.js";
import { type DescriptorHolder, DescriptorQuotas } from "../admission/descriptors.js";
import { monotonicMs, NEVER } from "../base/clock.js";
import { programName } from "../base/program.js";
import type { GuestConfig } from "../config/guest-config.js";
import type { Uploads } from "../engine/engine.js";
import type { CaptureFile } from "../frames/capture.js";
import { Guest } from "../guest/guest.js";
import type { TapHandle } from "../guest/tap-handle.js";
import type { SwitchPort } from "../network/switch.js";
import type { TunnelEnd } from "../overlay/tunnel.js";
import { native } from "../sys/native.js";
import type { Watcher } from "../sys/sockets/line-socket.js";
import { guestOf, idOf, kindOf, MAX_GUESTS, TokenKind } from "../sys/token.js";
import { drain } from "./drain.js";
import { Fairness } from "./fairness.js";
import { Reclaimer } from "./reclaim.js";
import { type OnGone, Served } from "./served.js";
import { Spin } from "./spin.js";
import { LoopTunnels } from "./tunnels.js";
import { Watchers } from "./watchers.js";

/** Events fetched by one wake-up. */
const MAX_EVENTS = 256;

/** The longest wake-up takes ms: one that has used so many seconds of processor time will not end any more. */
const WAKE_LIMIT = 5;
const LAST_WORDS = `stuck for ${WAKE_LIMIT} s of processor time, a bug in Slipway: exiting`;

/** Not among those that Node names. */
const EBADFD = 77;

/**
 * Whether an errno of a TAP says that it was deleted (drivers/net/tun.c: EBADFD). Others pass: EAGAIN; EIO while
 * the link is down, for as long as the guest wants; ENOMEM.
 */
function isDeleted(errno: number): boolean {
  return errno === EBADFD;
}

/**
 * The event loop of all guests of a process: one switch over epoll tokens. The addon hosts it under Node's own loop,
 * so that timers, signals and promises go on as always.
 */
export class Loop implements Watcher {
  readonly #events = new Int32Array(2 * MAX_EVENTS);
  /** By the guest's index in tokens. */
  readonly #served: (Served | undefined)[] = [];
  readonly #watchers = new Watchers();
  readonly #tunnels = new LoopTunnels();
  readonly #fairness = new Fairness((served, now) => this.#readTap(served, now));
  readonly #spin = new Spin();
  readonly #reclaimer = new Reclaimer();
  /** null: before the first guest, without a ledger. */
  #quotas: DescriptorQuotas | null;
  /** When the last wake-up was, in ms. */
  #now = 0;
  /** Bytes that crossed between members in this wake-up, also by tunnels. */
  #switched = 0;
  /** Whether a flow was ended for another guest's sake: its own has to have a turn. */
  #hasEnded = false;

  /** @param ledger of all threads of the process; null: this thread alone serves guests */
  constructor(ledger: DescriptorLedger | null = null) {
    this.#quotas = ledger === null ? null : new DescriptorQuotas(ledger, monotonicMs);
  }

  /** How many wake-ups there have been: the same number means the same wake-up. */
  get wakes(): number {
    return this.#reclaimer.wakes;
  }

  /** Whether the last wake-ups moved more than requests and answers: others are to give way. */
  get carriesBulk(): boolean {
    return this.#spin.carriesBulk;
  }

  /** How many descriptors each guest may have. */
  get descriptors(): DescriptorQuotas {
    this.#quotas ??= new DescriptorQuotas(makeLedger(1), monotonicMs);
    return this.#quotas;
  }

  /** Runs until stop(). */
  start(): void {
    this.reclaimWhenQuiet();
    native.loopStart((count, now) => this.#onWake(count, now), this.#events);
    // If the user has no timer left there is no limit, and everything else works as always.
    native.loopLimit(WAKE_LIMIT, Buffer.from(`${programName()}: ${LAST_WORDS}\n`));
  }

  /** Ends all guests. Afterwards nothing of the loop keeps the process alive. */
  stop(): void {
    for (const served of this.#served) {
      if (served === undefined) continue;
      served.isGone = true;
      served.guest.close();
      served.quota.close();
    }
    this.#served.length = 0;
    native.loopStop();
  }

  /**
   * Calls back when nothing is under way by TCP from the guests to the host any more, see drain().
   * @param limit ms after which it calls back in any case
   * @param only the guest that it is about; null: all
   */
  drain(limit: number, onDrained: () => void, only: Guest | null = null): void {
    drain(() => this.#uploads(only), limit, onDrained);
  }

  #uploads(only: Guest | null): Uploads {
    const sum: Uploads = { open: 0, blocked: false, sent: 0 };
    for (const served of this.#served) {
      if (served === undefined || (only !== null && served.guest !== only)) continue;
      served.guest.addUploads(sum);
    }
    return sum;
  }

  /** Calls back after the wake-up of any poll event of a handle: exit-fd, pidfd. @returns 0 or a negative errno */
  watchFd(fd: number, callback: (events: number) => void): number {
    return this.#watchers.watchFd(fd, callback);
  }

  /** Calls back within the wake-up, where promises are not served. @returns 0 or a negative errno */
  watch(fd: number, events: number, callback: (events: number) => void): number {
    return this.#watchers.watch(fd, events, callback);
  }

  /** Changes the events for which a watched descriptor is reported. */
  rewatch(fd: number, events: number): void {
    this.#watchers.rewatch(fd, events);
  }

  /** To be called before the descriptor is closed. */
  unwatch(fd: number): void {
    this.#watchers.unwatch(fd);
  }

  /** Serves a tunnel from now on: what it brings gives no guest a turn, as it goes to TAPs only. */
  addTunnel(tunnel: TunnelEnd): void {
    this.#tunnels.add(tunnel);
  }

  /** To be called before the tunnel is closed. */
  removeTunnel(tunnel: TunnelEnd): void {
    this.#tunnels.remove(tunnel);
  }

  /** Gives back memory that nobody uses any more, in the next pause. */
  reclaimWhenQuiet(): void {
    this.#reclaimer.whenQuiet();
  }

  /** Calls back each time that memory has been given back: what was compiled may have gone with it. */
  set onReclaimed(callback: () => void) {
    this.#reclaimer.onReclaimed = callback;
  }

  /**
   * Serves a guest from now on.
   * @param tap the loop's from now on
   * @param capture gets every frame of the guest, both ways
   * @param port its port of a network's switch; null: the guest is alone
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
      const served = new Served(guest, quota, onGone);
      this.#served[index] = served;
      quota.holder = this.#holderOf(served);
      return guest;
    } catch (error) {
      quota.close();
      throw error;
    }
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

  /** Ends a flow for another guest's sake. A stack that fails at it costs the other guest nothing. */
  #endOldest(served: Served): boolean {
    if (served.fault !== null) return false;
    served.dueAt = this.#now;
    this.#hasEnded = true;
    try {
      return served.guest.endOldest(this.#now);
    } catch (error) {
      served.fail(error, this.#now);
      return false;
    }
  }

  /** Ends all flows of a guest and closes its TAP. */
  removeGuest(guest: Guest): void {
    const served = this.#served.find((each) => each?.guest === guest);
    if (served === undefined) return;
    this.#forget(served);
    guest.close();
    served.quota.close();
    // V8 does not see how large the guest's memory is, and would not collect it soon: wasm/index.cjs.
    this.reclaimWhenQuiet();
  }

  #forget(served: Served): void {
    this.#served[this.#served.indexOf(served)] = undefined;
    served.isGone = true;
  }

  /** @returns ms until the next wake-up; 0 for at once, -1 for not before an event */
  #onWake(count: number, now: number): number {
    this.#now = now;
    this.#reclaimer.onWake();
    this.#fairness.beginWake();
    for (let index = 0; index < count; index += 1) {
      this.#onEvent(this.#events[2 * index] >>> 0, this.#events[2 * index + 1], now);
    }
    this.#fairness.readHeavy(now);
    const next = this.#turns(now);
    this.#watchers.reap();
    this.#tunnels.reap();
    return next;
  }

  #onEvent(token: number, events: number, now: number): void {
    const kind = kindOf(token);
    if (kind === TokenKind.Watcher) {
      // A request may have given any guest something to do.
      for (const served of this.#served) if (served !== undefined) served.dueAt = now;
      this.#watchers.onEvents(idOf(token), events);
      return;
    }
    if (kind === TokenKind.Tunnel) {
      this.#switched += this.#tunnels.onEvent(idOf(token), now);
      return;
    }
    const index = guestOf(token);
    const served = this.#served[index];
    if (served === undefined || served.fault !== null) return;
    this.#fairness.note(index, now);
    if (kind === TokenKind.Tap) {
      this.#fairness.onTap(served, now);
      return;
    }
    served.dueAt = now;
    try {
      served.guest.onEvents(kind, idOf(token), events, now);
    } catch (error) {
      served.fail(error, now);
    }
  }

  /**
   * Reads a batch. Frames for other members alone give the guest itself nothing to do. A deleted TAP reports an
   * error for ever: the guest ends.
   */
  #readTap(served: Served, now: number): void {
    const { guest, onGone } = served;
    try {
      const result = guest.onTap(now, this.#fairness.isShared(now));
      this.#switched += guest.takeSwitched();
      if (result > 0) served.dueAt = now;
      if (result >= 0 || !isDeleted(-result)) return;
      this.removeGuest(guest);
      setImmediate(onGone, "the TAP was deleted", false);
    } catch (error) {
      served.fail(error, now);
    }
  }

  /** Gives their turns to the guests that are due. @returns ms until the next wake-up, as #onWake() */
  #turns(now: number): number {
    let next = this.#tunnels.turns(now);
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
    this.#fairness.endWake(now);
    this.#spin.adapt(moved, this.#switched, this.#fairness.isFlooded(now), now);
    this.#switched = 0;
    return this.#waitUntil(next, now);
  }

  /**
   * A stack that has failed is built again here, at the end of the wake-up: events of its old sockets may still have
   * been on their way.
   * @returns when the guest wants its next turn
   */
  #turnOf(served: Served, now: number): number {
    const { fault } = served;
    if (fault !== null && !served.recover()) {
      this.#giveUp(served, fault);
      return NEVER;
    }
    try {
      return served.guest.turn(now);
    } catch (error) {
      served.fail(error, now);
      return now;
    }
  }

  #giveUp(served: Served, fault: string): void {
    this.#forget(served);
    served.guest.abandon();
    served.quota.close();
    setImmediate(served.onGone, `the stack failed (${fault})`, true);
  }

  /**
   * Turns an absolute time into what the addon takes.
   * @returns ms from now, 0 for at once, -1 for never; with fractions while a rest lasts, which is short
   */
  #waitUntil(next: number, now: number): number {
    const wait = this.#fairness.limitWait(Math.max(0, Math.ceil(next - now)));
    return wait === NEVER ? -1 : wait;
  }
}
