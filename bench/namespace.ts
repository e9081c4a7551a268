import type { Launcher, Program } from "./launch.ts";

/** Where programs are started. */
export interface Place {
  /** The command line that runs another there. */
  inside(argv: readonly string[]): string[];
}

/** Not in any namespace of ours. */
export const MACHINE: Place = { inside: (argv) => [...argv] };

/** A fresh user and network namespace, held open until it is disposed of. */
export class Namespace implements Place, AsyncDisposable {
  /** Null for a namespace that another process holds. */
  readonly #holder: Program | null;
  readonly #launcher: Launcher;
  /** Process id that identifies the namespace to helpers. */
  readonly pid: number;

  private constructor(launcher: Launcher, holder: Program | null, pid: number) {
    this.#launcher = launcher;
    this.#holder = holder;
    this.pid = pid;
  }

  /**
   * @param host where its processes are started
   * @throws Error if the kernel or its policy does not allow user namespaces.
   */
  static async create(launcher: Launcher, host = MACHINE): Promise<Namespace> {
    const command = ["unshare", "--user", "--map-root-user", "--net", "cat"];
    return await Namespace.#held(launcher, host.inside(command));
  }

  async #prepare(): Promise<void> {
    // The guest's kernel would send these while the helper is measured idle: disable
    // the former, and send the others (in ms) at once instead of within ten seconds.
    await this.#sysctl("net/ipv6/conf/default/router_solicitations", "0");
    await this.#sysctl("net/ipv6/conf/default/mldv2_unsolicited_report_interval", "100");
    // After 14,000 connections half of the usual 28,232 ports are used, and the client's own
    // connect() then takes longer than everything that is measured.
    await this.#sysctl("net/ipv4/ip_local_port_range", "1024 65535");
  }

  static async #held(launcher: Launcher, command: readonly string[]): Promise<Namespace> {
    await using scope = new AsyncDisposableStack();
    const holder = scope.use(launcher.start(command));
    // Once cat echoes, unshare has made the namespaces and written the id maps.
    holder.send("made");
    await holder.line();
    const namespace = new Namespace(launcher, holder, await holder.pid());
    await namespace.#prepare();
    scope.move();
    return namespace;
  }

  /** A fresh network namespace of the same user namespace, so that a veth pair can join the two. */
  beside(): Promise<Namespace> {
    return Namespace.#held(this.#launcher, this.inside(["unshare", "--net", "cat"]));
  }

  /** That of a process, valid while the process holds it. */
  static ofProcess(launcher: Launcher, pid: number): Namespace {
    return new Namespace(launcher, null, pid);
  }

  /** The command line that runs another inside, as root of the namespace. */
  inside(argv: readonly string[]): string[] {
    const enter = ["nsenter", "--target", `${this.pid}`, "--user", "--net"];
    return [...enter, "--preserve-credentials", "--", ...argv];
  }

  /** Starts a program inside. */
  start(argv: readonly string[]): Program {
    return this.#launcher.start(this.inside(argv), argv[0]);
  }

  /** Runs a short shell script inside. */
  async shell(script: string): Promise<void> {
    await this.#launcher.run(this.inside(["sh", "-euc", script, "sh"]));
  }

  /** @throws Error if the kernel does not have it or reserves it for the host. */
  async setCongestionControl(name: string): Promise<void> {
    await this.#sysctl("net/ipv4/tcp_congestion_control", name);
  }

  async #sysctl(key: string, value: string): Promise<void> {
    const write = ["sh", "-c", 'echo "$1" > "/proc/sys/$2"', "sh", value, key];
    await this.#launcher.run(this.inside(write));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#holder?.[Symbol.asyncDispose]();
  }
}
