import { randomUUID } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { kill } from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { Process, type ProcessOptions } from "./process.ts";

const mark = "SLIPWAY_LAB";

/**
 * Every process of one lab. It knows those that it started; it finds their descendants by a mark in
 * their environment, so that closing a lab can tell whether anything was left behind.
 */
export class Census {
  readonly id: string = randomUUID();
  readonly #processes = new Set<Process>();
  readonly #env: NodeJS.ProcessEnv;

  constructor() {
    this.#env = {
      PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      HOME: "/",
      LC_ALL: "C.UTF-8",
      TERM: "dumb",
      [mark]: this.id,
    };
  }

  start(argv: readonly string[], options: ProcessOptions): Process {
    const process = new Process(argv, this.#env, options);
    this.#processes.add(process);
    const forget = () => this.#processes.delete(process);
    process.exit.then(forget, forget);
    return process;
  }

  /** Ends all processes; those that the lab did not start itself must end by themselves. */
  async end(): Promise<void> {
    const processes = [...this.#processes];
    for (const process of processes) process.kill("SIGKILL");
    await Promise.all(processes.map((process) => process.exit.catch(() => undefined)));
    const left = await this.#leftBehind(5_000);
    for (const { pid } of left) kill(pid, "SIGKILL");
    if (left.length > 0) {
      const names = left.map(({ pid, command }) => `${pid} ${command}`);
      throw new Error(`left behind by the lab: ${names.join("; ")}`);
    }
  }

  async #leftBehind(patienceMs: number): Promise<Marked[]> {
    const deadline = performance.now() + patienceMs;
    for (;;) {
      const left = markedProcesses(this.id);
      if (left.length === 0 || performance.now() > deadline) return left;
      await delay(10);
    }
  }
}

interface Marked {
  readonly pid: number;
  readonly command: string;
}

/** The living processes of the lab `id`, found by their environment. */
export function markedProcesses(id: string): Marked[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => readOrNothing(`/proc/${name}/environ`).includes(`${mark}=${id}`))
    .map((name) => ({
      pid: Number(name),
      command: readOrNothing(`/proc/${name}/cmdline`).replaceAll("\0", " "),
    }));
}

/** While /proc is read, processes end, and other users' are not readable. */
function readOrNothing(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
