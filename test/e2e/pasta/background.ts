import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Lab } from "../../lab/lab.ts";
import type { Namespace } from "../../lab/namespace.ts";
import { type Outcome, stateOf } from "../../lab/process.ts";

/** Options without which a pasta would forward ports that a test does not look at. */
export const noPorts = ["-t", "none", "-u", "none", "-T", "none", "-U", "none"] as const;

/** Likewise, for a guest that is configured. */
export const quiet: readonly string[] = ["--config-net", "--quiet", ...noPorts];

let files = 0;

/** A path for a pid file of the lab. */
export function pidFileOf(lab: Lab): string {
  files += 1;
  return join(lab.directory, `pasta-${files}.pid`);
}

/** A pasta that goes on in the background. */
export class Background {
  /** How the caller's process ended. */
  readonly outcome: Outcome;
  /** By its pid file. */
  readonly pid: number;
  readonly #user: Namespace;

  private constructor(user: Namespace, outcome: Outcome, pid: number) {
    this.outcome = outcome;
    this.pid = pid;
    this.#user = user;
  }

  /** Starts one, as the lab's user or another, and expects its parent to end with 0. */
  static start(
    lab: Lab,
    args: readonly string[],
    user: Namespace = lab.host.user,
  ): Promise<Background> {
    return Background.startPlain(lab, [...quiet, ...args], user);
  }

  /** As start(), without the options of `quiet`. */
  static async startPlain(
    lab: Lab,
    args: readonly string[],
    user: Namespace = lab.host.user,
    timeoutMs = 20_000,
  ): Promise<Background> {
    const file = pidFileOf(lab);
    const argv = [lab.host.program("pasta"), "-P", file, ...args];
    const outcome = await user.run(argv, { timeoutMs });
    if (outcome.code !== 0) throw new Error(`pasta: status ${outcome.code}: ${outcome.stderr}`);
    const pid = Number(await user.output(["cat", file]));
    return new Background(user, outcome, pid);
  }

  get isRunning(): boolean {
    return isRunning(this.pid);
  }

  /** Waits for its end. @returns how long that took, in ms */
  async ended(withinMs: number): Promise<number> {
    const started = performance.now();
    while (this.isRunning) {
      if (performance.now() - started > withinMs) {
        throw new Error(`pasta ${this.pid} still runs after ${withinMs} ms`);
      }
      await delay(5);
    }
    return performance.now() - started;
  }

  async signal(name: string): Promise<void> {
    await this.#user.output(["kill", `-${name}`, `${this.pid}`]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.isRunning) return;
    await this.signal("TERM");
    await this.ended(10_000);
  }
}

/** Whether a process is there, and not only its exit status. */
export function isRunning(pid: number): boolean {
  try {
    return stateOf(pid) !== "Z";
  } catch {
    return false;
  }
}
