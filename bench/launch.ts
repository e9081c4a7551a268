/** Programs that the bench starts: unprivileged, and never outliving it. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { basename } from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";

/** As root, programs under test drop their privileges to Debian's nobody and nogroup. */
const UNPRIVILEGED_ID = 65534;

/** Every program that answers at all does so within this time, even on a busy machine. */
const ANSWER_MS = 10_000;

/** The user that runs the programs under test, for spawn() and chown(). */
export function unprivilegedIdentity(): { uid: number; gid: number } | null {
  return process.getuid?.() === 0 ? { uid: UNPRIVILEGED_ID, gid: UNPRIVILEGED_ID } : null;
}

/**
 * The promise's value, if it settles in time.
 * @throws Error that names what it waited for.
 */
export async function within<T>(
  milliseconds: number,
  what: string,
  promise: Promise<T>,
): Promise<T> {
  const stop = new AbortController();
  const timeout = delay(milliseconds, undefined, { signal: stop.signal }).then(() => {
    throw new Error(`${what}: no answer within ${milliseconds / 1000} s`);
  });
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    stop.abort();
    timeout.catch(() => {}); // the abort itself, after the race was won
  }
}

/** Lines of a stream, each handed out once. */
class LineReader {
  readonly #lines: string[] = [];
  readonly #waiting: ((line: string | null) => void)[] = [];
  #ended = false;

  constructor(stream: Readable) {
    createInterface({ input: stream })
      .on("line", (line) => {
        const waiter = this.#waiting.shift();
        if (waiter === undefined) this.#lines.push(line);
        else waiter(line);
      })
      .on("close", () => {
        this.#ended = true;
        for (const waiter of this.#waiting.splice(0)) waiter(null);
      });
  }

  /** The next line; null at the end of the stream. */
  next(): Promise<string | null> {
    const line = this.#lines.shift();
    if (line !== undefined) return Promise.resolve(line);
    if (this.#ended) return Promise.resolve(null);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Everything not read yet, up to the end of the stream. */
  async rest(): Promise<string> {
    const lines: string[] = [];
    for (let line = await this.next(); line !== null; line = await this.next()) lines.push(line);
    return lines.join("\n");
  }
}

/** A running program under its guard. Disposing of it ends it. */
export class Program implements AsyncDisposable {
  readonly #name: string;
  readonly #input: Writable;
  readonly #output: LineReader;
  readonly #errors: LineReader;
  readonly #control: Readable;
  readonly #reports: LineReader;
  readonly #pid: Promise<number>;
  readonly #ended: Promise<number>;

  constructor(name: string, guard: ChildProcess) {
    const [input, output, errors, control] = guard.stdio;
    this.#name = name;
    this.#input = input as Writable;
    this.#output = new LineReader(output as Readable);
    this.#errors = new LineReader(errors as Readable);
    this.#control = control as Readable;
    this.#reports = new LineReader(this.#control);
    this.#ended = once(guard, "close").then(([status]) => Number(status ?? -1));
    this.#pid = this.#report("pid").then(Number);
    this.#pid.catch(() => {}); // whoever asks for it is told
    this.#input.on("error", () => {}); // EPIPE: the program has ended, which its status tells
  }

  /** Process id of the program itself, not of its guard. */
  pid(): Promise<number> {
    return this.#pid;
  }

  /** Milliseconds from fork to the program's write to its fd 3; only after startTimed(). */
  async ready(): Promise<number> {
    await this.#pid; // is reported first
    return Number(await this.#report("ready")) / 1e6;
  }

  async #report(word: string): Promise<string> {
    const line = await within(ANSWER_MS, `${this.#name}: ${word}`, this.#reports.next());
    if (line?.startsWith(`${word} `) === true) return line.slice(word.length + 1);
    throw await this.#failure(`ended before it was ${word}`);
  }

  /** The next line of standard output, which must come. */
  async line(milliseconds = ANSWER_MS): Promise<string> {
    const line = await within(milliseconds, this.#name, this.#output.next());
    if (line === null) throw await this.#failure("ended early");
    return line;
  }

  send(line: string): void {
    this.#input.write(`${line}\n`);
  }

  /**
   * The rest of its output, once it has ended by itself.
   * @throws Error with its own message if it fails or exceeds the time limit.
   */
  async completed(milliseconds: number): Promise<string> {
    const output = await within(milliseconds, this.#name, this.#output.rest());
    const status = await this.#ended;
    if (status !== 0) throw await this.#failure(`exit status ${status}`, output);
    return output;
  }

  async #failure(what: string, output = ""): Promise<Error> {
    await this[Symbol.asyncDispose]();
    const said = `${output}\n${await this.#errors.rest()}`.trim().split("\n").slice(-3).join("; ");
    return new Error(`${this.#name}: ${what}${said === "" ? "" : `: ${said}`}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#control.destroy();
    await this.#ended;
  }
}

/** Starts programs. */
export class Launcher {
  readonly #guard: string;

  constructor(guard: string) {
    this.#guard = guard;
  }

  /** @param name for messages, if it differs from the start of the command line. */
  start(argv: readonly string[], name = argv[0]): Program {
    return this.#spawn(argv, [], name);
  }

  /** Starts a program that writes to its fd 3 when it is ready, and measures the time until then. */
  startTimed(argv: readonly string[]): Program {
    return this.#spawn(argv, ["-r"], argv[0]);
  }

  /** Runs a short program for its output. */
  async run(argv: readonly string[]): Promise<string> {
    await using program = this.start(argv);
    return await program.completed(ANSWER_MS);
  }

  #spawn(argv: readonly string[], options: readonly string[], name = ""): Program {
    const guard = spawn(this.#guard, [...options, ...argv], {
      stdio: ["pipe", "pipe", "pipe", "pipe"],
      ...unprivilegedIdentity(),
    });
    return new Program(basename(name), guard);
  }
}
