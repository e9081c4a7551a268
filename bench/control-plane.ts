/**
 * The control plane of a large cluster, with the code of hosts and a real etcd, all on this machine: how long until a
 * member that joins is seen on every host of its network, the memory of a host, and what happens when the store
 * restarts.
 *
 *     npm run bench:control-plane -- [--hosts 1000] [--members 5] [--probes 300]
 */
import { type ChildProcess, fork } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { build } from "esbuild";
import { Etcd } from "../test/lab/etcd.ts";
import type { Answer, Order } from "./control-plane-hosts.ts";
import { plotRates } from "./report/rates.ts";

const { values: options } = parseArgs({
  options: {
    hosts: { type: "string", default: "1000" },
    members: { type: "string", default: "5" },
    probes: { type: "string", default: "300" },
  },
});
const HOSTS = Number(options.hosts);
const MEMBERS = Number(options.members);
const PROBES = Number(options.probes);

/** Each network has 20 hosts, and each host 10 networks: with 5 members on each, a network has 100. */
const HOSTS_PER_NETWORK = 20;
const NETWORKS_PER_HOST = 10;
const NETWORKS = Math.ceil((HOSTS * NETWORKS_PER_HOST) / HOSTS_PER_NETWORK);

/** Processes that hosts are spread over; one more has a single host, whose memory is measured. */
const PROCESSES = 4;

/** How long the store is away, and how long requests are counted from its end on, in ms. */
const AWAY = 5_000;
const COUNTED = 40_000;
const INTERVAL = 500;

/** Longest that a member may take to be seen, in ms: it never comes otherwise. */
const PATIENCE = 60_000;

/** A process of hosts. */
class Hosts {
  readonly numbers: readonly number[];
  readonly #process: ChildProcess;
  readonly #waiting: ((answer: Answer) => void)[] = [];

  constructor(program: string, numbers: readonly number[], onAnswer: (answer: Answer) => void) {
    this.numbers = numbers;
    this.#process = fork(program, { serialization: "advanced" });
    this.#process.on("message", (answer: Answer) => {
      if (answer.kind === "asked" || answer.kind === "seen") onAnswer(answer);
      else this.#waiting.shift()?.(answer);
    });
    this.#process.on("exit", (status) => {
      const why = `a process of hosts has ended with ${status}`;
      for (const answer of this.#waiting.splice(0)) answer({ kind: "failed", why });
    });
  }

  /** One order at a time is answered, in their order. */
  async order(order: Order): Promise<Answer> {
    const answer = new Promise<Answer>((resolve) => this.#waiting.push(resolve));
    this.#process.send(order);
    const answered = await answer;
    if (answered.kind === "failed") throw new Error(answered.why);
    return answered;
  }

  async report(): Promise<Extract<Answer, { kind: "report" }>> {
    const answer = await this.order({ kind: "report" });
    if (answer.kind !== "report") throw new Error(`no report: ${answer.kind}`);
    return answer;
  }

  end(): void {
    this.#process.kill("SIGKILL");
  }
}

function networksOf(host: number): number[] {
  const first = Math.floor((host * NETWORKS_PER_HOST) / HOSTS_PER_NETWORK);
  return Array.from({ length: NETWORKS_PER_HOST }, (_, i) => (first + i) % NETWORKS);
}

function quantile(sorted: readonly number[], part: number): number {
  return sorted[Math.min(sorted.length - 1, Math.ceil(part * sorted.length) - 1)];
}

/** What each probe's host asked for, and when each host saw it. */
class Probes {
  readonly #asked = new Map<string, number>();
  readonly #seen = new Map<string, number[]>();

  take(answer: Answer): void {
    if (answer.kind === "asked") this.#asked.set(answer.name, answer.at);
    if (answer.kind !== "seen") return;
    const seen = this.#seen.get(answer.name) ?? [];
    seen.push(answer.at);
    this.#seen.set(answer.name, seen);
  }

  /** Waits until `count` others have seen it. @returns ms since it was asked for */
  async everywhere(name: string, count: number): Promise<number> {
    const deadline = performance.now() + PATIENCE;
    while ((this.#seen.get(name)?.length ?? 0) < count) {
      if (performance.now() > deadline) {
        throw new Error(
          `${name} is seen on ${this.#seen.get(name)?.length ?? 0} of ${count} hosts`,
        );
      }
      await delay(2);
    }
    return Math.max(...(this.#seen.get(name) ?? [])) - (this.#asked.get(name) ?? 0);
  }
}

function say(text: string): void {
  console.log(`${(performance.now() / 1000).toFixed(1).padStart(6)} s  ${text}`);
}

async function measureJoins(all: readonly Hosts[], probes: Probes): Promise<void> {
  const took: number[] = [];
  for (let i = 0; i < PROBES; i++) {
    const host = Math.floor(Math.random() * HOSTS);
    const [network] = networksOf(host);
    const sharing = Array.from({ length: HOSTS }, (_, each) => each).filter((each) =>
      networksOf(each).includes(network),
    );
    const owner = all.find(({ numbers }) => numbers.includes(host));
    const name = `probe-${i}`;
    await owner?.order({ kind: "probe", host, network, name });
    took.push(await probes.everywhere(name, sharing.length - 1));
  }
  const sorted = took.toSorted((a, b) => a - b);
  const figures = [0.5, 0.99, 1].map((part) => `${quantile(sorted, part).toFixed(0)} ms`);
  say(`join visible everywhere: p50 ${figures[0]}, p99 ${figures[1]}, longest ${figures[2]}`);
}

async function measureRestart(etcd: Etcd, all: readonly Hosts[]): Promise<void> {
  const total = async () => {
    const reports = await Promise.all(all.map((hosts) => hosts.report()));
    return {
      requests: reports.reduce((sum, { requests }) => sum + requests, 0),
      connected: reports.reduce((sum, { connected }) => sum + connected, 0),
      lost: reports.reduce((sum, { lost }) => sum + lost, 0),
    };
  };
  const rates: number[] = [];
  let last = (await total()).requests;
  let back: number | null = null;
  const [member] = etcd.members;
  const began = performance.now();
  const isAway = (at: number) => at >= 10_000 && at < 10_000 + AWAY;
  let state: "before" | "away" | "after" = "before";
  for (let tick = 1; tick * INTERVAL <= 10_000 + AWAY + COUNTED; tick++) {
    await delay(began + tick * INTERVAL - performance.now());
    const at = tick * INTERVAL;
    const { requests, connected } = await total();
    rates.push(((requests - last) * 1000) / INTERVAL);
    last = requests;
    if (state === "before" && isAway(at)) {
      await member.kill();
      state = "away";
    } else if (state === "away" && !isAway(at)) {
      member.restart();
      state = "after";
    }
    if (state === "after" && back === null && connected === HOSTS) back = at - 10_000 - AWAY;
  }
  console.log(plotRates(rates, INTERVAL, [10_000, 10_000 + AWAY]));
  const { connected, lost } = await total();
  const when = back === null ? "not all" : `all after ${(back / 1000).toFixed(1)} s`;
  say(
    `restart of the store: ${when} of ${HOSTS} hosts connected (${connected} at the end), ${lost} claims lost`,
  );
}

async function main(): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "control-plane-"));
  chmodSync(directory, 0o755);
  const program = join(directory, "hosts.cjs");
  // The addon lies beside its own loader.
  const addon = createRequire(import.meta.url).resolve("node-tuntap2");
  await build({
    entryPoints: [join(import.meta.dirname, "control-plane-hosts.ts")],
    bundle: true,
    platform: "node",
    format: "cjs",
    outfile: program,
    alias: { "node-tuntap2": addon },
    external: [addon],
    logLevel: "warning",
  });
  await using etcd = await Etcd.create({ flags: ["--quota-backend-bytes", "8000000000"] });
  const [{ place, process: server }] = etcd.members;
  const store = {
    kind: "etcd",
    endpoints: [{ host: place.address, port: place.clientPort }],
    tls: null,
    user: null,
    prefix: "/slipway/v1/",
  } as const;
  const probes = new Probes();
  const numbers = Array.from({ length: HOSTS }, (_, i) => i);
  const shares = Array.from({ length: PROCESSES }, (_, p) =>
    numbers.filter((number) => number > 0 && number % PROCESSES === p),
  );
  const all = [[0], ...shares].map(
    (share) => new Hosts(program, share, (answer) => probes.take(answer)),
  );
  const [single] = all;
  try {
    const before = (await single.report()).rss;
    await Promise.all(
      all.map((hosts) => hosts.order({ kind: "open", store, hosts: hosts.numbers })),
    );
    say(`${HOSTS} hosts have joined`);
    await single.order({ kind: "create networks", count: NETWORKS });
    say(`${NETWORKS} networks`);
    await Promise.all(
      all.map((hosts) => {
        const plan = hosts.numbers.map((host) => ({ host, networks: networksOf(host) }));
        return hosts.order({ kind: "fill", plan, members: MEMBERS });
      }),
    );
    say(`${HOSTS * NETWORKS_PER_HOST * MEMBERS} members`);
    await delay(10_000);
    await measureJoins(all, probes);
    const after = (await single.report()).rss;
    const [mb, of] = [(after - before) / 1e6, after / 1e6];
    say(`memory of a host: ${mb.toFixed(1)} MB more than a bare Node, ${of.toFixed(1)} MB in all`);
    say(`memory of etcd: ${(server.memory().resident / 1024).toFixed(0)} MB`);
    await measureRestart(etcd, all);
  } finally {
    for (const hosts of all) hosts.end();
    rmSync(directory, { recursive: true, force: true });
  }
}

await main();
