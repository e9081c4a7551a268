import { createHash } from "node:crypto";
import { join } from "node:path";
import type { Host } from "../lab/host.ts";
import type { Process } from "../lab/process.ts";
import { node, root } from "../lab/product.ts";
import type { HostDaemon } from "./daemon-user.ts";

/** How much each member serves, in bytes. */
const SIZE = 1024 * 1024;
/** Under load it has taken 70 s in all. */
export const NEIGHBOURS_TIMEOUT_MS = 120_000;

/**
 * A namespace that prints its PID, serves SIZE bytes once, and fetches those of its neighbour when it gets the
 * address. It lives until it is told to end, as what its kernel has not sent yet would be lost.
 */
const MEMBER = `
  echo $$
  read address
  yes "member $1" | head -c ${SIZE} | socat -u - TCP6-LISTEN:7000,ipv6only=0 &
  socat -u TCP:$address:7000,retry=600,interval=0.1 - | sha256sum
  wait
  read end || true
`;

/** Connects one process after another. @returns their addresses, and how long that took */
const CONNECT = `
  const { Slipway } = require(process.argv[1]);
  (async () => {
    const slipway = await Slipway.open();
    const start = performance.now();
    const addresses = [];
    for (const pid of process.argv.slice(3)) {
      addresses.push((await slipway.connect({ network: process.argv[2] }, Number(pid))).addresses);
    }
    console.log(JSON.stringify({ addresses, seconds: (performance.now() - start) / 1000 }));
    slipway.close();
  })();
`;

/** Hash of what member `index` serves. */
export function hashOf(index: number): string {
  const line = `member ${index}\n`;
  const bytes = line.repeat(Math.ceil(SIZE / line.length)).slice(0, SIZE);
  return createHash("sha256").update(bytes).digest("hex");
}

/** The addresses of members, in their order: each an IPv4 and an IPv6 one. */
export interface Connected {
  readonly addresses: readonly (readonly [v4: string, v6: string])[];
  readonly seconds: number;
}

/** One of many members, each of which fetches what another serves. */
export class Neighbour {
  readonly #process: Process;

  private constructor(process: Process) {
    this.#process = process;
  }

  /** Starts those from `first` on, each in a namespace that is on no network yet. */
  static start(host: Host, first: number, count: number): Promise<Neighbour[]> {
    const start = async (index: number): Promise<Neighbour> => {
      const argv = ["unshare", "--map-root-user", "--net", "sh", "-euc", MEMBER, "sh"];
      const process = host.user.spawn([...argv, `${index}`], { stdin: "pipe" });
      await process.printed(/^\d+\n/, NEIGHBOURS_TIMEOUT_MS);
      return new Neighbour(process);
    };
    return Promise.all(Array.from({ length: count }, (_, i) => start(first + i)));
  }

  /** Connects them to a network of a host, one after the other. */
  static async connect(
    { host, env }: HostDaemon,
    network: string,
    neighbours: readonly Neighbour[],
  ): Promise<Connected> {
    const pids = neighbours.map((each) => each.#process.stdout.trim());
    const library = host.stage.inside(join(root, "dist/client.cjs"));
    const argv = [host.stage.inside(node), "-e", CONNECT, library, network, ...pids];
    return JSON.parse(await host.user.output(argv, { env, timeoutMs: NEIGHBOURS_TIMEOUT_MS }));
  }

  /** Has it fetch. */
  fetchFrom([v4, v6]: readonly [v4: string, v6: string], family: 4 | 6): void {
    this.#process.child.stdin?.write(family === 4 ? `${v4}\n` : `[${v6}]\n`);
  }

  /** Waits until all have fetched, and ends them. @returns hashes of what each got */
  static async finish(neighbours: readonly Neighbour[]): Promise<(string | undefined)[]> {
    const processes = neighbours.map((each) => each.#process);
    await Promise.all(processes.map((it) => it.printed(/[0-9a-f]{64}/, NEIGHBOURS_TIMEOUT_MS)));
    for (const { child } of processes) child.stdin?.end();
    await Promise.all(processes.map((it) => it.ended(NEIGHBOURS_TIMEOUT_MS)));
    return processes.map(({ stdout }) => /[0-9a-f]{64}/.exec(stdout)?.[0]);
  }
}
