import { Account } from "../../lab/account.ts";
import type { Lab } from "../../lab/lab.ts";
import type { Namespace } from "../../lab/namespace.ts";
import type { Helper } from "../comparison.ts";
import { AccountEngine } from "./engine.ts";
import { makeImage } from "./image.ts";

/** How RootlessKit is told which helper to start. */
interface Door {
  readonly network: readonly string[];
  /** NAME=VALUE, of RootlessKit and its helper */
  readonly env?: readonly string[];
  /** command lines of the helper's processes */
  readonly processes: RegExp;
}

/** RootlessKit of an ordinary user, told which helper to start. */
export class RootlessKit extends AccountEngine {
  readonly #door: Door;
  #sessions = 0;

  private constructor(account: Account, helper: Helper, door: Door) {
    super(account, helper);
    this.#door = door;
  }

  /** @param env NAME=VALUE, of RootlessKit and its helper */
  static async create(lab: Lab, helper: Helper, env: readonly string[] = []): Promise<RootlessKit> {
    const account = await Account.create(lab, `r${helper.firstPort}`);
    const network = ["--net=slirp4netns", `--slirp4netns-binary=${helper.path}`];
    return RootlessKit.of(account, helper, { network, env, processes: / -r 3 / });
  }

  /** RootlessKit of an account's machine. */
  static async of(account: Account, helper: Helper, door: Door): Promise<RootlessKit> {
    await makeImage(account);
    return new RootlessKit(account, helper, door);
  }

  /** Starts RootlessKit around the web server of image.ts; resolves once that runs. */
  async start(...options: readonly string[]): Promise<Session> {
    this.#sessions += 1;
    const state = `${this.account.home}/state${this.#sessions}`;
    const { network, env = [] } = this.#door;
    // With --detach-netns the command is in the host's network, where its user may not open port 80.
    const isDetached = options.includes("--detach-netns");
    const server = isDetached ? "sleep 1000" : "busybox httpd -f -p 80 -h image/www";
    const serve = `echo started; exec ${server}`;
    const process = this.account.user.spawn([
      ...[
        "env",
        ...env,
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
    return processes.filter((line) => this.#door.processes.test(line));
  }

  close(): Promise<void> {
    return this.account.close();
  }
}

/** The status of the world's web server for `/`, asked by its name or an address. */
export function status(inside: Namespace, server: string): Promise<string> {
  const format = ["-o", "/dev/null", "-w", "%{http_code}"];
  return inside.output(["curl", "-sS", "-m", "10", ...format, `http://${server}/`]);
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

  /** With --detach-netns: where the network of the helper is. The command is elsewhere, as are some threads of the child. */
  get detached(): Namespace {
    const net = `--net=/proc/${this.#child}/root${this.#state}/netns`;
    const kinds = ["--user", "--mount", net, "--preserve-credentials"];
    return this.#account.user.behind(["nsenter", "--target", `${this.#child}`, ...kinds, "--"]);
  }

  /** The network namespace that the command is in. */
  async commandsNetwork(): Promise<string> {
    const [command] = (await this.#account.user.output(["pgrep", "-P", `${this.#child}`])).split(
      "\n",
    );
    return this.#account.user.output(["readlink", `/proc/${command}/ns/net`]);
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

  /**
   * Kills RootlessKit and its child. With --detach-netns the child survives its parent now and then, whatever the helper,
   * in spite of its parent-death signal.
   */
  async kill(): Promise<void> {
    await this.killParent("KILL");
    await this.#account.user.shell(`kill -KILL ${this.#child} 2>/dev/null || true`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.killParent("TERM");
  }
}
