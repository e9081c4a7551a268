import type { MemberReport, NetworkReport } from "../../src/rpc/reports.ts";
import { Agent } from "../lab/agent/client.ts";
import type { Host } from "../lab/host.ts";
import type { Lab } from "../lab/lab.ts";
import type { HeldNamespace } from "../lab/namespace.ts";
import type { Outcome, Process } from "../lab/process.ts";
import { userDirectory } from "./api-client.ts";

let serial = 0;

/** A user of some host with a daemon of its own. */
export class HostDaemon {
  readonly host: Host;
  /** Of the daemon: its sockets, its state and its configuration. */
  readonly env: Readonly<Record<string, string>>;
  readonly #home: string;

  protected constructor(host: Host, home: string) {
    this.host = host;
    this.env = { XDG_RUNTIME_DIR: home, XDG_STATE_HOME: home, XDG_CONFIG_HOME: home };
    this.#home = home;
  }

  /** @param configuration text of its config.toml; "": none */
  static async on(host: Host, configuration: string): Promise<HostDaemon> {
    return new HostDaemon(host, await newHome(host, configuration));
  }

  /** What is in the directory of sockets and state. */
  get directory(): string {
    return `${this.#home}/slipway`;
  }

  /** Runs `slipway` to its end. */
  command(...args: string[]): Promise<Outcome> {
    return this.host.user.run([this.host.slipwayPath, ...args], { env: this.env });
  }

  /** Runs `slipway`, which must succeed; returns its stdout. */
  async ok(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.command(...args);
    if (code !== 0) throw new Error(`slipway ${args.join(" ")}: ${code}\n${stderr}`);
    return stdout;
  }

  /** What `slipway` says that must refuse. */
  async refusal(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.command(...args);
    if (code === 0) throw new Error(`slipway ${args.join(" ")}: ${stdout}`);
    return `${code} ${stderr.trim()}`;
  }

  async inspect(...networks: string[]): Promise<readonly NetworkReport[]> {
    return JSON.parse(await this.ok("network", "inspect", ...networks));
  }

  async members(): Promise<readonly MemberReport[]> {
    return JSON.parse(await this.ok("ps", "--json"));
  }

  /** Starts `slipway run` and goes on. */
  run(...args: string[]): Process {
    return this.host.slipway(["run", ...args], { env: this.env });
  }

  /** A namespace of the user, connected to a network under a name. */
  async member(network: string, name: string, ...options: string[]): Promise<Member> {
    const [report] = await this.inspect(network);
    const [{ Gateway: dns }] = report.IPAM.Config;
    const namespace = await this.host.namespace(dns);
    await this.ok("network", "connect", network, `${namespace.pid}`, "--name", name, ...options);
    const agent = await Agent.start(namespace, this.host.stage);
    return { name, namespace, agent, addresses: await this.addressesOf(name, network) };
  }

  async addressesOf(name: string, network: string): Promise<Addresses> {
    const member = (await this.members()).find((each) => each.name === name);
    const place = member?.networks.find((each) => each.network === network);
    if (place === undefined) throw new Error(`${name} is not on ${network}`);
    const addresses = place.addresses.map(({ address }) => address);
    const isIpv6 = (address: string) => address.includes(":");
    return {
      v4: addresses.find((each) => !isIpv6(each)) ?? "",
      v6: addresses.find(isIpv6) ?? "",
    };
  }

  async kill(): Promise<void> {
    const pid = await this.ok("daemon", "status", "--format", "{{.pid}}");
    await this.host.user.output(["kill", "-KILL", pid.trim()]);
  }

  /** Nothing of the daemon is left when its lab is closed. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.ok("daemon", "stop");
  }
}

async function newHome(host: Host, configuration = ""): Promise<string> {
  serial += 1;
  const name = `daemon${serial}`;
  const directory = `${await userDirectory({ host })}/${name}`;
  await host.user.shell(`mkdir -m 0700 ${directory}`);
  // Whatever else is there the daemon makes itself.
  if (configuration !== "") {
    await host.user.shell(`mkdir -m 0700 ${directory}/slipway`);
    await host.user.output(["tee", `${directory}/slipway/config.toml`], { input: configuration });
  }
  return directory;
}

/** The user of a lab's only host, with a daemon of its own. */
export class DaemonUser extends HostDaemon {
  readonly lab: Lab;

  private constructor(lab: Lab, home: string) {
    super(lab.host, home);
    this.lab = lab;
  }

  static async create(lab: Lab): Promise<DaemonUser> {
    return new DaemonUser(lab, await newHome(lab.host));
  }
}

export interface Addresses {
  readonly v4: string;
  readonly v6: string;
}

export interface Member {
  readonly name: string;
  readonly namespace: HeldNamespace;
  readonly agent: Agent;
  readonly addresses: Addresses;
}

/** Repeats what throws, or finds nothing, until it does; the last failure is thrown when the time is over. */
export async function eventually<T>(attempt: () => Promise<T>, withinMs = 10_000): Promise<T> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
