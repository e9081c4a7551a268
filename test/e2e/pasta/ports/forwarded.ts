import { readdirSync } from "node:fs";
import { Agent } from "../../../lab/agent/client.ts";
import type { Lab } from "../../../lab/lab.ts";
import type { HeldNamespace, Namespace } from "../../../lab/namespace.ts";
import { isOpenToTests, type Outcome } from "../../../lab/process.ts";
import { Background } from "../background.ts";

/** Until a port follows what listens: pasta says a second, and the machine may be busy. */
export const FOLLOWED = { timeout: 15_000, interval: 50 };

/** Thousands of ports take a while. */
const LIMIT_MS = 30_000;

/** A guest whose pasta forwards ports, with sockets of a test on both sides. */
export class Forwarded {
  readonly namespace: HeldNamespace;
  /** Holds sockets of the guest; those of the host are held by `lab.host.agent`. */
  readonly agent: Agent;
  readonly #pasta: Background;

  private constructor(namespace: HeldNamespace, agent: Agent, pasta: Background) {
    this.namespace = namespace;
    this.agent = agent;
    this.#pasta = pasta;
  }

  /** @param args options about ports; those that are not given are "none" */
  static async start(lab: Lab, args: readonly string[]): Promise<Forwarded> {
    const namespace = await lab.host.namespace();
    const complete = withPorts(namespace, args);
    const pasta = await Background.startPlain(lab, complete, lab.host.user, LIMIT_MS);
    return new Forwarded(namespace, await Agent.start(namespace, lab.host.stage), pasta);
  }

  get openDescriptors(): number {
    return isOpenToTests ? readdirSync(`/proc/${this.#pasta.pid}/fd`).length : 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.agent.close();
    await this.namespace.release();
    // pasta ends with its namespace.
    await this.#pasta.ended(10_000);
  }
}

/** How pasta ends that cannot forward ports. */
export async function failure(lab: Lab, args: readonly string[]): Promise<Outcome> {
  await using namespace = await lab.host.namespace();
  const argv = [lab.host.program("pasta"), ...withPorts(namespace, args)];
  return await lab.host.user.run(argv, { timeoutMs: LIMIT_MS });
}

/** A command line in which ports that are not given are "none". */
function withPorts(namespace: HeldNamespace, args: readonly string[]): readonly string[] {
  const others = ["-t", "-u", "-T", "-U"].filter((option) => !args.includes(option));
  const none = others.flatMap((option) => [option, "none"]);
  return ["--config-net", "--quiet", ...none, ...args, `${namespace.pid}`];
}

/** What listens in a namespace, sorted: `tcp 127.0.0.1:80`; `*` is a dual-stack socket. */
export async function listening(where: Namespace): Promise<readonly string[]> {
  const lines = (await where.output(["ss", "-Htuln"])).split("\n").filter((line) => line !== "");
  return lines
    .map((line) => line.split(/\s+/))
    .map(([protocol, , , , local]) => `${protocol} ${local}`)
    .toSorted();
}
