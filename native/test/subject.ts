import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Tools } from "./subject-main.js";
import { isRoot, reachable, unprivileged } from "./unprivileged.js";

export type { Tools } from "./subject-main.js";

const main = fileURLToPath(new URL("subject-main.ts", import.meta.url));

type Body<A extends unknown[], R> = (tools: Tools, ...args: A) => R | Promise<R>;
type Answer = { readonly value?: unknown; readonly error?: string };

export interface SubjectOptions {
  /** Shell commands, run as root of a user and mount namespace in which the process is then. */
  readonly inside?: string;
  readonly env?: NodeJS.ProcessEnv;
}

/**
 * A process of an unprivileged user that has loaded the addon. Tests send it functions, so that the
 * code under test stands in the test, but forks, namespaces, signals and a hosted event loop are
 * those of a process that can be thrown away.
 */
export class Subject {
  /** What it wrote to stdout and stderr. */
  output = "";
  readonly #process: ChildProcess;

  private constructor(process: ChildProcess) {
    this.#process = process;
    for (const stream of [process.stdout, process.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.output += text;
      });
    }
  }

  static start({ inside, env = {} }: SubjectOptions = {}): Subject {
    const { TUNTAP2_PRELOAD: preload } = process.env;
    const [file = "", ...args] = [
      ...unprivileged(),
      ...(inside === undefined
        ? []
        : ["unshare", "-Urm", "sh", "-ec", `${inside}\nexec "$@"`, "-"]),
      ...(preload === undefined ? [] : ["env", `LD_PRELOAD=${preload}`]),
      reachable(process.execPath),
      reachable(main),
    ];
    return new Subject(
      spawn(file, args, {
        cwd: "/",
        env: { ...process.env, ...addonVariable(), ...env },
        stdio: ["ignore", "pipe", "pipe", "ipc"],
        serialization: "advanced",
      }),
    );
  }

  get pid(): number {
    const { pid } = this.#process;
    if (pid === undefined) throw new Error("the subject did not start");
    return pid;
  }

  /** Runs a function there. Its text is sent: it can use its arguments, and nothing around it. */
  async run<A extends unknown[], R>(body: Body<A, R>, ...args: A): Promise<R> {
    const settled = new AbortController();
    const { signal } = settled;
    const ended = once(this.#process, "exit", { signal }).then(() => {
      throw new Error(`the subject ended: ${this.output}`);
    });
    const answered = once(this.#process, "message", { signal });
    this.#process.send({ source: body.toString(), args });
    const [answer] = await Promise.race([answered, ended]).finally(() => settled.abort());
    const { value, error }: Answer = answer;
    if (error !== undefined) throw new Error(`in the subject: ${error}`);
    return value as R;
  }

  /** As {@link run}, for a body that does not return because it ends the process. */
  async runToEnd<A extends unknown[]>(body: Body<A, unknown>, ...args: A): Promise<Ending> {
    const ended = this.ended();
    this.#process.send({ source: body.toString(), args });
    return await ended;
  }

  /** When all of its output has been read. */
  async ended(): Promise<Ending> {
    const [code, signal] = await once(this.#process, "close");
    return { code, signal };
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const exited = once(this.#process, "exit");
    this.#process.disconnect();
    await exited;
  }
}

export interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

function addonVariable(): NodeJS.ProcessEnv {
  const { TUNTAP2_ADDON: addon } = process.env;
  return addon === undefined ? {} : { TUNTAP2_ADDON: reachable(addon) };
}

export { isRoot };
