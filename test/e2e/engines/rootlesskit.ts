import { Account } from "../../lab/account.ts";
import type { Lab } from "../../lab/lab.ts";
import type { Namespace } from "../../lab/namespace.ts";
import type { Engine, Helper } from "../comparison.ts";
import { makeImage } from "./image.ts";

/** RootlessKit of an ordinary user, told which helper to start. */
export class RootlessKit implements Engine {
  readonly account: Account;
  readonly helper: Helper;
  readonly #env: readonly string[];
  #nextPort: number;
  #sessions = 0;

  private constructor(account: Account, helper: Helper, env: readonly string[]) {
    this.account = account;
    this.helper = helper;
    this.#env = env;
    this.#nextPort = helper.firstPort;
  }

  /** @param env NAME=VALUE, of RootlessKit and its helper */
  static async create(lab: Lab, helper: Helper, env: readonly string[] = []): Promise<RootlessKit> {
    const account = await Account.create(lab, `r${helper.firstPort}`);
    await makeImage(account);
    return new RootlessKit(account, helper, env);
  }

  get lab(): Lab {
    return this.account.lab;
  }

  /** A port of the host that no other check uses. */
  port(): number {
    this.#nextPort += 1;
    return this.#nextPort;
  }

  /** Starts RootlessKit around the web server of image.ts; resolves once that runs. */
  async start(...options: readonly string[]): Promise<Session> {
    this.#sessions += 1;
    const state = `${this.account.home}/state${this.#sessions}`;
    const network = ["--net=slirp4netns", `--slirp4netns-binary=${this.helper.path}`];
    const serve = "echo started; exec busybox httpd -f -p 80 -h image/www";
    const process = this.account.user.spawn([
      ...[
        "env",
        ...this.#env,
        "rootlesskit",
        `--state-dir=${state}`,
        ...network,
        "--copy-up=/etc",
        ...options,
      ],
      ...["sh", "-c", serve],
    ]);
    await process.printed(/started/);
    const child = await this.account.user.output(["cat", `${state}/child_pid`]);
    return new Session(this.account, state, Number(child));
  }

  /** Command lines of the helpers that run. */
  async helpers(): Promise<string[]> {
    const processes = await this.account.processes();
    return processes.filter((line) => / -r 3 /.test(line));
  }

  close(): Promise<void> {
    return this.account.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** A command that RootlessKit runs, and its namespaces. */
export class Session {
  /** inside */
  readonly inside: Namespace;
  readonly #account: Account;
  readonly #state: string;
  readonly #child: number;

  constructor(account: Account, state: string, child: number) {
    this.#account = account;
    this.#state = state;
    this.#child = child;
    const kinds = ["--user", "--net", "--mount", "--preserve-credentials"];
    this.inside = account.user.behind(["nsenter", "--target", `${child}`, ...kinds, "--"]);
  }

  /** Runs rootlessctl, which must succeed. */
  async control(...args: readonly string[]): Promise<string> {
    const socket = `--socket=${this.#state}/api.sock`;
    return (await this.#account.user.output(["rootlessctl", socket, ...args])).trim();
  }

  /** Kills RootlessKit itself, not its command. */
  async killParent(signal: "KILL" | "TERM"): Promise<void> {
    await this.#account.user.shell(`kill -${signal} "$(ps -o ppid= -p ${this.#child})"`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.killParent("TERM");
  }
}
