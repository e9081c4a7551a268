import { readdirSync } from "node:fs";
import { Agent } from "../../../lab/agent/client.ts";
import type { Lab } from "../../../lab/lab.ts";
import type { HeldNamespace, Namespace } from "../../../lab/namespace.ts";
import { isOpenToTests, type Outcome } from "../../../lab/process.ts";
import { isRunning, pidFileOf } from "../background.ts";

/** Until a port follows what listens: pasta says a second, and the machine may be busy. */
export const FOLLOWED = { timeout: 15_000, interval: 50 };

/** A guest whose pasta forwards ports, with sockets of a test on both sides. */
export class Forwarded {
  readonly namespace: HeldNamespace;
  /** Holds sockets of the guest; those of the host are held by `lab.host.agent`. */
  readonly agent: Agent;
  /** Of pasta. */
  readonly pid: number;
  readonly #lab: Lab;

  private constructor(lab: Lab, namespace: HeldNamespace, agent: Agent, pid: number) {
    this.#lab = lab;
    this.namespace = namespace;
    this.agent = agent;
    this.pid = pid;
  }

  /** @param args options about ports; those that are not given are "none" */
  static async start(lab: Lab, args: readonly string[]): Promise<Forwarded> {
    const namespace = await lab.host.namespace();
    const file = pidFileOf(lab);
    const outcome = await runPasta(lab, namespace, ["-P", file, ...args]);
    if (outcome.code !== 0) throw new Error(`pasta: status ${outcome.code}: ${outcome.stderr}`);
    const pid = Number(await lab.host.user.output(["cat", file]));
    return new Forwarded(lab, namespace, await Agent.start(namespace, lab.host.stage), pid);
  }

  get openDescriptors(): number {
    return isOpenToTests ? readdirSync(`/proc/${this.pid}/fd`).length : 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.agent.close();
    await this.namespace.release();
    const until = performance.now() + 10_000;
    // pasta ends with its namespace.
    while (isRunning(this.pid) && performance.now() < until) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    if (isRunning(this.pid)) await this.#lab.host.user.run(["kill", `${this.pid}`]);
  }
}

/** How pasta ends that cannot forward ports. */
export async function failure(lab: Lab, args: readonly string[]): Promise<Outcome> {
  await using namespace = await lab.host.namespace();
  return await runPasta(lab, namespace, args);
}

function runPasta(lab: Lab, namespace: HeldNamespace, args: readonly string[]): Promise<Outcome> {
  const others = ["-t", "-u", "-T", "-U"].filter((option) => !args.includes(option));
  const none = others.flatMap((option) => [option, "none"]);
  const argv = [
    lab.host.program("pasta"),
    "--config-net",
    "--quiet",
    ...none,
    ...args,
    `${namespace.pid}`,
  ];
  return lab.host.user.run(argv, { timeoutMs: 30_000 });
}

/** What listens in a namespace, sorted: `tcp 127.0.0.1:80`; `*` is a dual-stack socket. */
export async function listening(where: Namespace): Promise<readonly string[]> {
  const lines = (await where.output(["ss", "-Htuln"])).split("\n").filter((line) => line !== "");
  return lines
    .map((line) => line.split(/\s+/))
    .map(([protocol, , , , local]) => `${protocol} ${local}`)
    .toSorted();
}
