import { addAbortSignal } from "node:stream";
import { text } from "node:stream/consumers";
import { Agent } from "./agent/client.ts";
import type { Host } from "./host.ts";
import type { HeldNamespace, RunOptions } from "./namespace.ts";
import type { Outcome, Process, ProcessOptions } from "./process.ts";

export interface GuestOptions {
  /** bytes; default 1500 */
  readonly mtu?: number;
  /** default 10.0.2.0/24 */
  readonly cidr?: string;
  /** whether the gateway leads to the host's 127.0.0.1; default true, as slirp4netns has it */
  readonly hostLoopback?: boolean;
  /** whether the guest has fd00::/64 as well; default false, as slirp4netns has it */
  readonly ipv6?: boolean;
  /** who may send to a UDP port of the guest; default "endpoint": anybody */
  readonly udpFiltering?: "endpoint" | "address";
  /** a shell script, run in the namespace before the helper starts */
  readonly prepare?: string;
  /** a program in place of the helper under test; gets the same command line as arguments */
  readonly helper?: readonly string[];
  /** further options of the helper */
  readonly options?: readonly string[];
}

/** The addresses that a guest sees in its network. */
export interface GuestAddresses {
  readonly gateway: string;
  readonly dns: string;
  readonly guest: string;
}

/** A namespace of the host's user, with a network from the helper. */
export class Guest {
  readonly addresses: GuestAddresses;
  readonly namespace: HeldNamespace;
  /** the helper's process: Slipway, or the peer under test */
  readonly helper: Process;
  readonly #host: Host;
  #agent: Promise<Agent> | undefined;

  private constructor(
    host: Host,
    namespace: HeldNamespace,
    helper: Process,
    addresses: GuestAddresses,
  ) {
    this.#host = host;
    this.namespace = namespace;
    this.helper = helper;
    this.addresses = addresses;
  }

  static async create(host: Host, options: GuestOptions): Promise<Guest> {
    const addresses = addressesIn(options.cidr ?? "10.0.2.0/24");
    const namespace = await host.namespace(addresses.dns);
    if (options.prepare !== undefined) await namespace.shell(options.prepare);
    const process = await startHelper(host, namespace.pid, options);
    return new Guest(host, namespace, process, addresses);
  }

  run(argv: readonly string[], options?: RunOptions): Promise<Outcome> {
    return this.namespace.run(argv, options);
  }

  spawn(argv: readonly string[], options?: ProcessOptions): Process {
    return this.namespace.spawn(argv, options);
  }

  /** Holds sockets of the guest; started at the first use. */
  agent(): Promise<Agent> {
    this.#agent ??= Agent.start(this.namespace, this.#host.stage);
    return this.#agent;
  }

  /** Ends the helper, then the namespace with all that runs in it. */
  async close(): Promise<void> {
    if (this.helper.running) this.helper.kill("SIGTERM");
    await this.helper.ended(10_000);
    await (await this.#agent)?.close();
    await this.namespace.release();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

async function startHelper(host: Host, pid: number, options: GuestOptions): Promise<Process> {
  const process = host.helper(
    [
      ...["--configure", "--ready-fd=3", `--mtu=${options.mtu ?? 1500}`],
      ...(options.cidr === undefined ? [] : [`--cidr=${options.cidr}`]),
      ...(options.hostLoopback === false ? ["--disable-host-loopback"] : []),
      ...(options.ipv6 === true ? ["--enable-ipv6"] : []),
      ...(options.options ?? []),
      ...(options.udpFiltering === undefined ? [] : [`--udp-filtering=${options.udpFiltering}`]),
      ...[`${pid}`, "tap0"],
    ],
    { pipes: [3] },
    options.helper,
  );
  await ready(process, 3);
  return process;
}

/** Waits until a helper has written to its ready-fd, of which this process has the other end. */
export async function ready(process: Process, fd: number): Promise<void> {
  if ((await readyText(process, fd)) !== "1") throw new Error(`not ready: ${process.describe()}`);
}

/** What a helper writes to its ready-fd until it closes it, within 30 s. */
export function readyText(process: Process, fd: number): Promise<string> {
  return text(addAbortSignal(AbortSignal.timeout(30_000), process.pipe(fd)));
}

/** By slirp4netns's convention: network + 2, + 3 and + 100. */
function addressesIn(cidr: string): GuestAddresses {
  const [network = ""] = cidr.split("/");
  const at = (offset: number) => {
    const bytes = network.split(".").map(Number);
    const number = bytes.reduce((sum, byte) => sum * 256 + byte, 0) + offset;
    return [24, 16, 8, 0].map((shift) => (number >>> shift) & 255).join(".");
  };
  return { gateway: at(2), dns: at(3), guest: at(100) };
}
