/** The processes with the simulated hosts, and what they are told. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";
import { build } from "esbuild";
import type { Answer, Late, Layout, Message, Order } from "./messages.ts";

const CHECKOUT = resolve(import.meta.dirname, "../..");
/** In the checkout, where the addon is found from. */
const BUNDLE = resolve(CHECKOUT, "build/bench/simulated-hosts.cjs");

/** One process. It does one order after the other. */
class Worker {
  readonly #process: ChildProcess;
  readonly #ended: Promise<never>;
  readonly #seen = new Map<string, (at: string) => void>();
  #answer: (answer: Answer) => void = () => {};

  constructor(port: number, layout: Layout) {
    const command = [`${port}`, JSON.stringify(layout)];
    this.#process = fork(BUNDLE, command, { execArgv: ["--max-old-space-size=8192"] });
    this.#process.on("message", (message) => this.#onMessage(message as Message));
    this.#ended = once(this.#process, "exit").then(([code]) => {
      throw new Error(`a process with hosts ended: ${code}`);
    });
    this.#ended.catch(() => {}); // also when it is told to
  }

  /** @throws Error with the reason if it fails */
  async order(order: Order): Promise<number> {
    const answered = new Promise<Answer>((resolve) => {
      this.#answer = resolve;
    });
    this.#process.send(order);
    const answer = await Promise.race([answered, this.#ended]);
    if (answer.kind === "failed") throw new Error(answer.reason);
    return answer.value;
  }

  /** Resolves with when its last host has seen the member, monotonic ns; 0: none of them should. */
  seen(name: string): Promise<bigint> {
    return new Promise((resolve) => this.#seen.set(name, (at) => resolve(BigInt(at))));
  }

  async stop(): Promise<void> {
    this.#process.disconnect();
    await once(this.#process, "exit");
  }

  #onMessage(message: Message): void {
    if (message.kind !== "seen") {
      this.#answer(message);
      return;
    }
    this.#seen.get(message.name)?.(message.at);
    this.#seen.delete(message.name);
  }
}

export class Crew implements AsyncDisposable {
  readonly #workers: readonly Worker[];
  readonly #layout: Layout;

  private constructor(workers: readonly Worker[], layout: Layout) {
    this.#workers = workers;
    this.#layout = layout;
  }

  static async create(port: number, layout: Layout, processes: number): Promise<Crew> {
    await build({
      entryPoints: [resolve(import.meta.dirname, "simulated-hosts.ts")],
      outfile: BUNDLE,
      bundle: true,
      platform: "node",
      format: "cjs",
      external: ["node-tuntap2", "lwip-wasm"],
    });
    const workers = Array.from({ length: processes }, () => new Worker(port, layout));
    return new Crew(workers, layout);
  }

  async join(): Promise<void> {
    const count = this.#share;
    await this.#all((index) => ({ kind: "join", first: index * count, count }));
  }

  async createNetworks(): Promise<void> {
    await this.#workers[0]?.order({ kind: "create networks" });
  }

  async populate(): Promise<void> {
    await this.#all(() => ({ kind: "populate" }));
  }

  async connected(): Promise<number> {
    const counts = await this.#all(() => ({ kind: "count connected" }));
    return counts.reduce((sum, count) => sum + count, 0);
  }

  /** Has one more member join. @returns ms until the last host that should has seen it */
  async joinLate(late: Late): Promise<number> {
    const seen = this.#workers.map((worker) => worker.seen(late.name));
    await this.#all(() => ({ kind: "expect", late }));
    const began = process.hrtime.bigint();
    await this.#workers[Math.floor(late.host / this.#share)]?.order({ kind: "join late", late });
    const times = (await Promise.all(seen)).map((at) => Number(at - began) / 1e6);
    return Math.max(...times);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.stop()));
  }

  /** Hosts of a process. */
  get #share(): number {
    return this.#layout.hosts / this.#workers.length;
  }

  #all(order: (index: number) => Order): Promise<number[]> {
    return Promise.all(this.#workers.map((worker, index) => worker.order(order(index))));
  }
}
