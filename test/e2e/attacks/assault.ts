import { setTimeout as delay } from "node:timers/promises";
import { type Annotate, figureType } from "../../figures.ts";
import { Attacker, type Pace, type Round } from "../../lab/attack.ts";
import type { Guest, GuestOptions } from "../../lab/guest.ts";
import type { Lab } from "../../lab/lab.ts";
import { isOpenToTests } from "../../lab/process.ts";
import { isSlipway } from "../../lab/product.ts";
import { finalFigures } from "../../lab/statistics.ts";
import { test as base, expect } from "../fixture.ts";
import type { Ghost, GhostConnection } from "./ghost.ts";

export { expect } from "../fixture.ts";

/** The part of its rate that a healthy transfer should keep beside an attack. */
const HOPED = 0.8;
/** More than the buffers of a connection hold: if it arrives, it was relayed beside the attack. */
const mebibytes = 32;
const usualPace: Pace = { rate: 30_000, halfMs: 250, rounds: 2, mebibytes };
/** Of the process: the budget of a guest, 64 MiB, and Node's own memory. */
const mostMemoryMiB = 112;
/** RFC 8200 §4.5, and one sweep of the helper. */
const fragmentTimeout = 62_000;
/** What an idle stack holds: buffers kept for the next datagrams, partly used blocks. */
const idleMemory = 2.25 * 1024 * 1024;

/** A guest under attack, and its state before. */
interface Besieged {
  readonly guest: Guest;
  readonly descriptors: number;
}

/** The attacks of one file: their guests stay until the last test has checked that all is as before. */
export class Siege {
  readonly attacker: Attacker;
  readonly #lab: Lab;
  readonly #besieged: Besieged[] = [];
  #fragmentsEnd = 0;

  private constructor(lab: Lab, attacker: Attacker) {
    this.#lab = lab;
    this.attacker = attacker;
  }

  static async lay(lab: Lab): Promise<Siege> {
    // Then the kernel gives up a connection to nowhere after 7 s, not after two minutes.
    await lab.host.root.shell("echo 2 > /proc/sys/net/ipv4/tcp_syn_retries");
    return new Siege(lab, await Attacker.create(lab));
  }

  /** @returns a guest that stays until expectBaseline() */
  async guest(options: GuestOptions = {}): Promise<Guest> {
    const guest = await this.#lab.guest({
      ...options,
      options: ["--stats", ...(options.options ?? [])],
    });
    this.#besieged.push({ guest, descriptors: guest.helper.openDescriptors() });
    return guest;
  }

  /** Replays frames, and expects a healthy transfer beside them to get its bytes across. */
  async replay(
    guest: Guest,
    frames: readonly Uint8Array[],
    annotate: Annotate,
    pace: Partial<Pace> = {},
  ): Promise<void> {
    const whole = { ...usualPace, ...pace };
    const rounds = await this.attacker.replay(guest, frames, whole);
    await tell(rounds, whole.halfMs, annotate);
    expectSound(guest);
  }

  /** Fragments were sent, some of which wait for others. */
  noteFragments(): void {
    this.#fragmentsEnd = performance.now() + fragmentTimeout;
  }

  /** Expects a healthy transfer of this guest to arrive; reports its rate beside that of a plain one. */
  async compare(guest: Guest, annotate: Annotate): Promise<void> {
    const harmless = [new Uint8Array(64)];
    const pace = { rate: 1_000, halfMs: 200, rounds: 2, mebibytes };
    const there = await this.attacker.replay(guest, harmless, pace);
    const here = await this.attacker.replay(await this.guest(), harmless, pace);
    const rounds = there.map((round, turn) => ({ ...round, noise: here[turn]?.attack ?? 0 }));
    await tell(rounds, pace.halfMs, annotate);
    expectSound(guest);
  }

  /**
   * Resets connections until the helper has no more descriptors than before: on a busy machine some
   * resets are lost at the TAP. expectBaseline() finds those that remain.
   */
  async reset(
    guest: Guest,
    ghost: Ghost,
    connections: readonly GhostConnection[],
    offsets: readonly number[] = [0],
  ): Promise<void> {
    const before = this.#besieged.find((each) => each.guest === guest)?.descriptors ?? 0;
    for (let tries = 0; tries < 100 && guest.helper.openDescriptors() > before; tries += 1) {
      await ghost.reset(connections, offsets);
      await delay(100);
    }
  }

  /** Expects that nothing is left of any attack, where that can be checked. @returns figures of the worst */
  async expectBaseline(): Promise<string> {
    if (!isOpenToTests) {
      await Promise.all(this.#besieged.map(({ guest }) => guest.close()));
      return "what is left is closed to an ordinary user";
    }
    if (this.#fragmentsEnd > 0) await delay(Math.max(0, this.#fragmentsEnd - performance.now()));
    const peaks = await Promise.all(this.#besieged.map((each) => expectRestored(each)));
    return `most memory of a stack ${Math.max(...peaks)} bytes`;
  }
}

export const test = base.extend("siege", { scope: "file" }, async ({ lab }: { lab: Lab }) =>
  Siege.lay(lab),
);

/** Attacks are on Slipway: a peer in its place need not withstand them. */
export const attack = test.runIf(isSlipway);

function expectSound({ helper }: Guest): void {
  expect(helper.running).toBe(true);
  expect(helper.memory().privateDirty / 1024).toBeLessThan(mostMemoryMiB);
}

async function expectRestored({ guest, descriptors }: Besieged): Promise<number> {
  const open = () => guest.helper.openDescriptors();
  // UDP waits for half a minute.
  await expect.poll(open, { timeout: 75_000, interval: 250 }).toBeLessThanOrEqual(descriptors);
  const figures = await finalFigures(guest);
  expect(figures.get("tcp-host-sockets")).toBe(0);
  expect(figures.get("datagram-host-sockets")).toBe(0);
  expect(figures.get("tcp-connections")).toBe(0);
  expect(figures.get("memory-in-use")).toBeLessThanOrEqual(idleMemory);
  await guest.namespace.release();
  return figures.get("memory-peak") ?? 0;
}

/**
 * Other load on the machine slows some halves more than others; an attack slows all
 * of its own. So the better ones are compared.
 */
const upperQuartile = (values: readonly number[]) =>
  values.toSorted((a, b) => a - b)[Math.floor((values.length * 3) / 4)];

/** Rates of the healthy transfer: beside the attack, and beside as much noise. */
function ratioOf(rounds: readonly Round[]): number {
  const noise = upperQuartile(rounds.map((round) => round.noise));
  return noise === 0 ? 0 : upperQuartile(rounds.map((round) => round.attack)) / noise;
}

function gigabits(rounds: readonly Round[], halfMs: number, key: "noise" | "attack"): number {
  return (upperQuartile(rounds.map((round) => round[key])) * 8) / halfMs / 1e6;
}

async function tell(rounds: readonly Round[], halfMs: number, annotate: Annotate): Promise<void> {
  await annotate(figuresOf(rounds, halfMs), figureType(ratioOf(rounds) >= HOPED));
}

function figuresOf(rounds: readonly Round[], halfMs: number): string {
  const rate = (key: "noise" | "attack") => gigabits(rounds, halfMs, key).toFixed(2);
  const sum = (key: "sent" | "refused") => rounds.reduce((all, round) => all + round[key], 0);
  return [
    `${rate("attack")} of ${rate("noise")} Gbit/s (${ratioOf(rounds).toFixed(2)})`,
    `${rounds.length} rounds, ${sum("sent")} frames, of which the kernel refused ${sum("refused")}`,
  ].join("; ");
}
