import { pid } from "node:process";
import type { Census } from "./census.ts";
import type { Outcome, Process, ProcessOptions } from "./process.ts";

/** Kinds of namespaces, as unshare(1) and nsenter(1) spell them. */
type Kind = "user" | "mount" | "net" | "uts";

export interface RunOptions extends ProcessOptions {
  /** default 30 s; then the process is killed and the promise rejected */
  readonly timeoutMs?: number;
  /** written to stdin, which is then closed */
  readonly input?: string;
}

// The last step into every namespace. A change of credentials clears the parent-death signal, so it
// is set after all of them; if the parent has died before, nobody would send it any more.
const killedWithParent = ["setpriv", "--pdeathsig", "KILL", "--"];
const dieWithParent = [
  ...killedWithParent,
  ...["sh", "-c", '[ "$PPID" = "$0" ] && exec "$@"', `${pid}`],
];

/** Where programs run: a set of namespaces and credentials, entered by a command prefix. */
export class Namespace {
  readonly #census: Census;
  readonly #enter: readonly string[];
  readonly #fork: readonly string[];

  /**
   * @param enter the command line to which a program's own is appended
   * @param fork likewise, after it: see {@link forking}
   */
  constructor(census: Census, enter: readonly string[] = [], fork: readonly string[] = []) {
    this.#census = census;
    this.#enter = enter;
    this.#fork = fork;
  }

  /** Starts a program; it ends with the test process at the latest. */
  spawn(argv: readonly string[], options: ProcessOptions = {}): Process {
    const fork = this.#fork.length === 0 ? [] : [...this.#fork, ...killedWithParent];
    return this.#census.start([...this.#enter, ...dieWithParent, ...fork, ...argv], options);
  }

  /** Runs a program to its end. */
  async run(argv: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    const stdin = options.input === undefined ? {} : { stdin: "pipe" as const };
    const process = this.spawn(argv, { ...options, ...stdin });
    if (options.input !== undefined) process.child.stdin?.end(options.input);
    return process.ended(options.timeoutMs ?? 30_000);
  }

  /** Runs a program that must succeed; returns its stdout. */
  async output(argv: readonly string[], options: RunOptions = {}): Promise<string> {
    const outcome = await this.run(argv, options);
    if (outcome.code !== 0) {
      const status = outcome.signal ?? `status ${outcome.code}`;
      throw new Error(`${argv.join(" ")}: ${status}\n${outcome.stderr}`);
    }
    return outcome.stdout;
  }

  /** Runs a shell script, each of whose commands must succeed. Returns its stdout. */
  async shell(script: string): Promise<string> {
    return this.output(["sh", "-eu"], { input: script });
  }

  /** The same place behind one more command prefix: other credentials, a prepared mount. */
  behind(prefix: readonly string[]): Namespace {
    return this.#fork.length > 0
      ? new Namespace(this.#census, this.#enter, [...this.#fork, ...prefix])
      : new Namespace(this.#census, [...this.#enter, ...prefix]);
  }

  /**
   * Likewise with a prefix that forks, such as nsenter(1) into a PID namespace. The lab's process
   * is then the one that forked; when it ends, the program ends, too.
   */
  forking(prefix: readonly string[]): Namespace {
    return new Namespace(this.#census, this.#enter, [...this.#fork, ...prefix]);
  }

  /**
   * Makes new namespaces below this one. They last as long as their holder, a `cat` that ends with
   * this process: it answers one line when it is inside.
   * @param options further options of unshare(1), such as the mapping of a user namespace
   */
  async unshare(kinds: readonly Kind[], options: readonly string[] = []): Promise<HeldNamespace> {
    const flags = kinds.map((kind) => `--${kind}`);
    const command = ["unshare", ...flags, ...options, "--", ...dieWithParent, "cat"];
    const holder = this.spawn(command, { stdin: "pipe" });
    holder.child.stdin?.write("here\n");
    await holder.printed(/here/);
    const credentials = kinds.includes("user") ? ["--preserve-credentials"] : [];
    const entry = ["nsenter", `--target=${holder.pid}`, ...flags, ...credentials, "--"];
    return new HeldNamespace(this.#census, this.#enter, entry, holder);
  }
}

/** A namespace made by the lab, held by a process whose pid identifies it. */
export class HeldNamespace extends Namespace {
  readonly holder: Process;
  /** the step from the parent into only this namespace */
  readonly entry: readonly string[];

  constructor(
    census: Census,
    parent: readonly string[],
    entry: readonly string[],
    holder: Process,
  ) {
    super(census, [...parent, ...entry]);
    this.entry = entry;
    this.holder = holder;
  }

  get pid(): number {
    return this.holder.pid;
  }

  /** Ends the holder; the namespace goes with its last process and its last open descriptor. */
  async release(): Promise<void> {
    this.holder.kill("SIGKILL");
    await this.holder.exit;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }
}
