import { type ChildProcess, type StdioOptions, spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { getuid } from "node:process";
import type { Duplex } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";

/**
 * Whether tests may inspect descriptors, root and memory of Slipway's processes: they are not dumpable, so only
 * the machine's root may.
 */
export const isOpenToTests = getuid?.() === 0;

/** The state of a process in proc_pid_stat(5), such as Z or T. */
export function stateOf(pid: number): string | undefined {
  return /\) (.)/.exec(readFileSync(`/proc/${pid}/stat`, "utf8"))?.[1];
}

/** How a process ended: exactly one of the two is not null. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A process that ended, with what it wrote. */
export interface Outcome extends Exit {
  readonly stdout: string;
  readonly stderr: string;
  /** from the call of spawn to the end of its output, in milliseconds */
  readonly elapsedMs: number;
}

export interface ProcessOptions {
  /** Added to the environment of the lab. */
  readonly env?: Readonly<Record<string, string>>;
  /** Descriptors from 3 upwards that become pipes; this side is {@link Process.pipe}. */
  readonly pipes?: readonly number[];
  /** Opens a message channel as `child_process.fork` does; see {@link Process.child}. */
  readonly channel?: boolean;
  /** "pipe" keeps stdin open for {@link Process.child}`.stdin`; otherwise it is /dev/null. */
  readonly stdin?: "pipe";
}

/** Memory of a process in KiB, from /proc/PID/smaps_rollup. */
export interface Memory {
  readonly resident: number;
  /** what the process alone has written: the figure that grows with buffers */
  readonly privateDirty: number;
}

/**
 * A process started by the lab. Its pid is that of the program named last on the command line:
 * nsenter and setpriv before it replace themselves by exec.
 */
export class Process {
  readonly argv: readonly string[];
  readonly child: ChildProcess;
  readonly pid: number;
  /** Settles when the process has ended and its output is read. */
  readonly exit: Promise<Exit>;
  #stdout = "";
  #stderr = "";

  constructor(argv: readonly string[], env: NodeJS.ProcessEnv, options: ProcessOptions = {}) {
    const [file, ...rest] = argv;
    if (file === undefined) throw new TypeError("an empty command line");
    this.argv = argv;
    this.child = spawn(file, rest, {
      env: { ...env, ...options.env },
      stdio: stdioOf(options),
      serialization: "advanced",
    });
    for (const fd of options.pipes ?? []) {
      // A process may end without reading everything written to it.
      this.pipe(fd).on("error", () => undefined);
    }
    this.exit = new Promise((resolve, reject) => {
      this.child.once("error", reject);
      this.child.once("close", (code, signal) => resolve({ code, signal }));
      // A descendant that keeps the output open must not hide that the process itself has ended.
      this.child.once("exit", (code, signal) => {
        setTimeout(() => resolve({ code, signal }), 1_000).unref();
      });
    });
    // Those who wait see the rejection; without this line a rejection that nobody awaits would end the test run.
    this.exit.catch(() => undefined);
    if (this.child.pid === undefined) throw new Error(`cannot start ${file}`);
    this.pid = this.child.pid;
    this.child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.#stdout += text;
    });
    this.child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr += text;
    });
  }

  get stdout(): string {
    return this.#stdout;
  }

  get stderr(): string {
    return this.#stderr;
  }

  get running(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null;
  }

  /** This side of the pipe at the child's descriptor `fd`, requested by `options.pipes`. */
  pipe(fd: number): Duplex {
    const stream = this.child.stdio[fd];
    if (stream === null || stream === undefined) throw new RangeError(`no pipe at fd ${fd}`);
    return stream as Duplex;
  }

  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Waits for the end; kills and reports a process that outlives `withinMs`. */
  async ended(withinMs: number): Promise<Outcome> {
    const started = performance.now();
    const timer = new AbortController();
    const late = delay(withinMs, "late" as const, { signal: timer.signal }).catch(() => null);
    const result = await Promise.race([this.exit, late]);
    timer.abort();
    if (result === "late" || result === null) {
      this.kill("SIGKILL");
      throw new Error(`still running after ${withinMs} ms: ${this.describe()}`);
    }
    return {
      ...result,
      stdout: this.#stdout,
      stderr: this.#stderr,
      elapsedMs: performance.now() - started,
    };
  }

  /** Waits until the output so far, of both streams, matches; the time limit only matters for output that never comes. */
  async printed(pattern: RegExp, withinMs = 30_000): Promise<void> {
    const deadline = performance.now() + withinMs;
    while (!pattern.test(this.#stdout) && !pattern.test(this.#stderr)) {
      if (!this.running) throw new Error(`ended before it printed ${pattern}: ${this.describe()}`);
      if (performance.now() > deadline) {
        throw new Error(`${pattern} not printed within ${withinMs} ms: ${this.describe()}`);
      }
      await delay(2);
    }
  }

  memory(): Memory {
    const text = readFileSync(`/proc/${this.pid}/smaps_rollup`, "utf8");
    return {
      resident: kibibytes(text, "Rss"),
      privateDirty: kibibytes(text, "Private_Dirty"),
    };
  }

  /**
   * How many descriptors the process has open; 0 if {@link isOpenToTests} is false, so that comparing
   * counts proves nothing there.
   */
  openDescriptors(): number {
    return isOpenToTests ? readdirSync(`/proc/${this.pid}/fd`).length : 0;
  }

  /** The command line and the output so far, for messages. */
  describe(): string {
    return `${this.argv.join(" ")}\nstdout: ${this.#stdout}\nstderr: ${this.#stderr}`;
  }
}

function stdioOf(options: ProcessOptions): StdioOptions {
  const stdio: ("ignore" | "pipe" | "ipc")[] = [options.stdin ?? "ignore", "pipe", "pipe"];
  if (options.channel === true) stdio.push("ipc");
  for (const fd of options.pipes ?? []) {
    while (stdio.length < fd) stdio.push("ignore");
    stdio[fd] = "pipe";
  }
  return stdio;
}

function kibibytes(rollup: string, field: string): number {
  const match = new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(rollup);
  if (match === null) throw new Error(`no ${field} in smaps_rollup`);
  return Number(match[1]);
}
