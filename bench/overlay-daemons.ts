/** Slipway on two hosts: a daemon on each, with one etcd, and one member of an overlay. */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { NotAvailable } from "./helpers/helper.ts";
import type { Host, Hosts } from "./hosts.ts";
import type { Launcher } from "./launch.ts";
import { Namespace, type Place } from "./namespace.ts";
import type { Candidate, Ends } from "./overlay.ts";
import { findProgram } from "./path.ts";
import { HelperMeter } from "./testbed.ts";
import type { Workshop } from "./workshop.ts";

const SLIPWAY = resolve(import.meta.dirname, "../bin/slipway");
/** Where scripts/setup unpacks it, as installing it would start a service. */
const UNPACKED = resolve(import.meta.dirname, "../build/servers/usr/bin/etcd");

const NETWORK = "bench";
const SUBNET = "10.100.0.0/16";
const GATEWAY = "10.100.0.1";
const STORE_PORT = 2379;

export interface Overlay {
  readonly encrypted: boolean;
  /** Addresses of the members. */
  readonly client: string;
  readonly server: string;
}

/**
 * @param scope gets what is started
 * @throws NotAvailable without etcd
 */
export async function startDaemons(
  { launcher, directory }: Workshop,
  { a, b }: Hosts,
  overlay: Overlay,
  scope: AsyncDisposableStack,
): Promise<Ends> {
  const home = (await launcher.run(["mktemp", "-d", join(directory, "hosts.XXXX")])).trim();
  scope.defer(async () => void (await launcher.run(["rm", "-rf", home])));
  const store = await startStore(launcher, a, join(home, "etcd"), scope);
  const start = (host: Host, name: string): Promise<Daemon> => {
    const options = ["--store", store, "--advertise", host.address];
    return startDaemon(launcher, host.namespace, options, join(home, name), scope);
  };
  const first = await start(a, "a");
  const second = await start(b, "b");
  const encryption = ["--opt", `encrypted=${overlay.encrypted}`];
  const options = ["--driver", "overlay", ...encryption, "--subnet", SUBNET];
  await first.slipway(["network", "create", ...options, NETWORK]);
  await second.eventually(["network", "inspect", NETWORK]);
  const client = scope.use(await first.join(NETWORK, ["--name", "client", "--ip", overlay.client]));
  const server = scope.use(
    await second.join(NETWORK, ["--name", "server", "--ip", overlay.server]),
  );
  return {
    client,
    server,
    serverAddress: overlay.server,
    meter: new HelperMeter(first.readyMs, [first.pid, second.pid]),
    joining: { nameServer: GATEWAY, candidate: () => first.candidate() },
  };
}

/** Returns where it is, as `--store` has it. */
async function startStore(
  launcher: Launcher,
  { namespace, address }: Host,
  directory: string,
  scope: AsyncDisposableStack,
): Promise<string> {
  const program = findProgram("etcd") ?? UNPACKED;
  if (!existsSync(program)) throw new NotAvailable("etcd is missing: npm run setup");
  const url = `http://${address}:${STORE_PORT}`;
  const listening = ["--listen-client-urls", url, "--advertise-client-urls", url];
  const command = [program, "--data-dir", directory, "--log-level", "error", ...listening];
  scope.use(launcher.start(namespace.inside(command), "etcd"));
  await namespace.shell(`until curl -fs ${url}/health; do sleep 0.05; done`);
  return `etcd://${address}:${STORE_PORT}`;
}

/** A daemon of Slipway. */
export class Daemon {
  readonly readyMs: number;
  /** Of its broker, whose child is Node. */
  readonly pid: number;
  readonly #launcher: Launcher;
  readonly #host: Place;
  readonly #program: readonly string[];

  constructor(
    launcher: Launcher,
    host: Place,
    program: readonly string[],
    readyMs: number,
    pid: number,
  ) {
    this.#launcher = launcher;
    this.#host = host;
    this.#program = program;
    this.readyMs = readyMs;
    this.pid = pid;
  }

  /** Runs a command of this host. */
  slipway(argv: readonly string[]): Promise<string> {
    return this.#launcher.run(this.#host.inside([...this.#program, ...argv]));
  }

  /** Runs a command until it succeeds. */
  async eventually(argv: readonly string[]): Promise<void> {
    const until = ["sh", "-euc", 'until "$@" > /dev/null; do sleep 0.05; done', "sh"];
    await this.#launcher.run(this.#host.inside([...until, ...this.#program, ...argv]));
  }

  /** Makes a member. */
  async join(network: string, options: readonly string[]): Promise<Namespace> {
    await using scope = new AsyncDisposableStack();
    const namespace = scope.use(await Namespace.create(this.#launcher, this.#host));
    await this.slipway(["network", "connect", network, `${namespace.pid}`, ...options]);
    scope.move();
    return namespace;
  }

  async candidate(): Promise<Candidate> {
    const namespace = await Namespace.create(this.#launcher, this.#host);
    const connect = ["network", "connect", NETWORK, `${namespace.pid}`];
    return {
      join: async (name) => void (await this.slipway([...connect, "--name", name])),
      [Symbol.asyncDispose]: () => namespace[Symbol.asyncDispose](),
    };
  }
}

/** The beginning of a command line of a user whose daemon has its sockets and state there. */
export function userAt(home: string): string[] {
  const kinds = ["RUNTIME_DIR", "STATE_HOME", "CONFIG_HOME"];
  return ["env", ...kinds.map((kind) => `XDG_${kind}=${home}`)];
}

/**
 * @param home of its sockets and state; it is made
 * @param scope gets it
 */
export async function startDaemon(
  launcher: Launcher,
  place: Place,
  options: readonly string[],
  home: string,
  scope: AsyncDisposableStack,
): Promise<Daemon> {
  await launcher.run(["mkdir", "-p", "-m", "0700", home]);
  const program = [...userAt(home), SLIPWAY];
  const command = [...program, "daemon", "run", "--ready-fd", "3", ...options];
  const daemon = scope.use(launcher.startTimed(place.inside(command)));
  return new Daemon(launcher, place, program, await daemon.ready(), await daemon.pid());
}
