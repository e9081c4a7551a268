/** A host, a world and guests that pasta connects as podman has it do. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { PublishedPort } from "../helpers/helper.ts";
import type { PodmansPasta } from "../helpers/podmans-pasta.ts";
import { Namespace } from "../namespace.ts";
import { startDaemon, userAt } from "../overlay-daemons.ts";
import { session } from "../proc.ts";
import { HelperMeter, type Testbed } from "../testbed.ts";
import type { Workshop } from "../workshop.ts";

const HOST6 = "2001:db8::1";
const WORLD = "192.0.2.2";
const WORLD6 = "2001:db8::2";

/** What pasta gives the guest by default, and podman leaves so. */
const DEFAULT_MTU = 65_520;
const START_MS = 10_000;
const END_MS = 5_000;

export interface GuestSetting {
  readonly mtu: number;
  readonly congestion: string;
}

/** Disposing of it ends its guests. */
export class PastaHost implements AsyncDisposable {
  /** The host's own address. */
  static readonly ADDRESS = "192.0.2.1";

  readonly #workshop: Workshop;
  readonly #scope = new AsyncDisposableStack();
  readonly #host: Namespace;
  readonly #world: Namespace;
  readonly #pasta: PodmansPasta;

  readonly #setting: GuestSetting;
  /** Of Slipway's shared mode; it works for all guests. */
  #daemon: number | null = null;

  private constructor(
    workshop: Workshop,
    pasta: PodmansPasta,
    setting: GuestSetting,
    host: Namespace,
    world: Namespace,
  ) {
    this.#workshop = workshop;
    this.#pasta = pasta;
    this.#setting = setting;
    this.#host = host;
    this.#world = world;
  }

  /** @param pasta what will connect the guests */
  static async create(
    workshop: Workshop,
    pasta: PodmansPasta,
    setting: GuestSetting,
  ): Promise<PastaHost> {
    await using scope = new AsyncDisposableStack();
    const host = scope.use(await Namespace.create(workshop.launcher));
    const world = scope.use(await host.beside());
    await host.shell(`
      ip link add eth0 type veth peer name eth0 netns ${world.pid}
      ip link set lo up
      ip link set eth0 up
      ip address add ${PastaHost.ADDRESS}/24 dev eth0
      ip address add ${HOST6}/64 dev eth0 nodad
      ip route add default via ${WORLD}
      ip route add default via ${WORLD6}
    `);
    await world.shell(`
      ip link set lo up
      ip link set eth0 up
      ip address add ${WORLD}/24 dev eth0
      ip address add ${WORLD6}/64 dev eth0 nodad
    `);
    const made = new PastaHost(workshop, pasta, setting, host, world);
    if (pasta.isShared) await made.#startDaemon();
    made.#scope.use(scope.move());
    return made;
  }

  async #startDaemon(): Promise<void> {
    const { launcher } = this.#workshop;
    const daemon = await startDaemon(launcher, this.#host, [], this.#runtime, this.#scope);
    this.#daemon = daemon.pid;
  }

  /** A namespace that nothing connects yet. */
  async guest(): Promise<Namespace> {
    const namespace = this.#scope.use(await this.#host.beside());
    await namespace.setCongestionControl(this.#setting.congestion);
    return namespace;
  }

  /** Starts pasta with podman's options, as root of the user namespace; resolves when its parent has exited. */
  async connect(guest: Namespace, publish: PublishedPort): Promise<HelperMeter> {
    const { mtu } = this.#setting;
    const { launcher, programs, directory } = this.#workshop;
    const pidFile = join(directory, `pasta.${guest.pid}`);
    const ports = [publish.hostPort, publish.guestPort].map((port) => `${port}-${port}`).join(":");
    const command = this.#environment([
      ...[programs.timed, ...this.#pasta.command, "--config-net"],
      ...(mtu === DEFAULT_MTU ? [] : ["--mtu", `${mtu}`]),
      ...["--pid", pidFile, "-t", ports],
      ...["--dns-forward", "169.254.1.1", "-u", "none", "-T", "none", "-U", "none"],
      ...["--no-map-gw", "--quiet", "--netns", `/proc/${guest.pid}/ns/net`],
      ...["--map-guest-addr", "169.254.1.2"],
    ]);
    const started = launcher.start(this.#host.inside(command), this.#pasta.name);
    const printed = await started.completed(START_MS);
    const pid = Number(readFileSync(pidFile, "utf8"));
    this.#scope.defer(() => this.#end(pid));
    const beside = this.#daemon === null ? [] : [this.#daemon];
    return new HelperMeter(Number(printed) / 1e6, [...session(pid), ...beside]);
  }

  async #end(pid: number): Promise<void> {
    const processes = session(pid);
    await this.#workshop.launcher.run(["kill", `${pid}`]);
    const deadline = performance.now() + END_MS;
    while (session(pid).length > 0) {
      if (performance.now() > deadline) throw new Error(`${processes} of pasta do not end`);
      await delay(10);
    }
  }

  /** @param from where the other ends of the guest's connections are */
  testbed(guest: Namespace, helper: HelperMeter, from: "host" | "world"): Testbed {
    const { programs } = this.#workshop;
    const place = from === "host" ? this.#host : this.#world;
    return {
      programs,
      helper,
      serverAddress: WORLD,
      hostAddress: WORLD,
      startOnHost: (argv) => place.start(argv),
      startInGuest: (argv) => guest.start(argv),
      [Symbol.asyncDispose]: async () => {},
    };
  }

  /** Of the user whose daemon it is. */
  #environment(argv: readonly string[]): string[] {
    const shared = this.#pasta.isShared ? ["SLIPWAY_SHARED=1"] : [];
    return [...userAt(this.#runtime), ...shared, ...argv];
  }

  get #runtime(): string {
    return join(this.#workshop.directory, "pasta.run");
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope.disposeAsync();
  }
}
