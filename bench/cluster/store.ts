/** The etcd of the simulated cluster, and how many requests it gets. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { findProgram } from "../path.ts";
import { freePort } from "../testbed.ts";

/** Where scripts/setup unpacks it, as installing it would start a service. */
const UNPACKED = resolve(import.meta.dirname, "../../build/servers/usr/bin/etcd");
const POLL_MS = 100;

export class SimulatedStore implements AsyncDisposable {
  readonly port: number;
  readonly #command: readonly string[];
  readonly #directory: string;
  #process: ChildProcess | null = null;

  private constructor(port: number, peerPort: number) {
    this.port = port;
    this.#directory = mkdtempSync(join(tmpdir(), "slipway-bench-etcd-"));
    const client = `http://127.0.0.1:${port}`;
    const peer = `http://127.0.0.1:${peerPort}`;
    this.#command = [
      ...["--data-dir", this.#directory, "--log-level", "error"],
      ...["--listen-client-urls", client, "--advertise-client-urls", client],
      ...["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer],
      ...["--initial-cluster", `default=${peer}`],
    ];
  }

  static async create(): Promise<SimulatedStore> {
    const store = new SimulatedStore(await freePort(), await freePort());
    process.on("exit", () => store.#process?.kill("SIGKILL"));
    await store.start();
    return store;
  }

  /** Starts it, with the data that it had, and waits until it answers. */
  async start(): Promise<void> {
    const program = findProgram("etcd") ?? UNPACKED;
    if (!existsSync(program)) throw new RangeError("etcd is missing: npm run setup");
    this.#process = spawn(program, this.#command, { stdio: "ignore" });
    while ((await this.#metrics()) === null) await delay(POLL_MS);
  }

  async kill(): Promise<void> {
    const process = this.#process;
    this.#process = null;
    if (process === null || process.exitCode !== null) return;
    process.kill("SIGKILL");
    await once(process, "exit");
  }

  /** Requests since its start, watches and leases counted as one each time they are opened; null: it is away. */
  async requests(): Promise<number | null> {
    const text = await this.#metrics();
    if (text === null) return null;
    const counts = [...text.matchAll(/^grpc_server_started_total\{[^}]*\} (\S+)$/gm)];
    return counts.reduce((sum, [, count]) => sum + Number(count), 0);
  }

  async #metrics(): Promise<string | null> {
    try {
      const response = await fetch(`http://127.0.0.1:${this.port}/metrics`);
      return await response.text();
    } catch {
      return null;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
