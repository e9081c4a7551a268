import type { MemberReport, NetworkReport } from "../../src/rpc/reports.ts";
import { Agent } from "../lab/agent/client.ts";
import type { Lab } from "../lab/lab.ts";
import type { HeldNamespace } from "../lab/namespace.ts";
import type { Outcome, Process } from "../lab/process.ts";
import { userDirectory } from "./api-client.ts";

let serial = 0;

/** The host's user with a daemon of its own. */
export class DaemonUser {
  readonly lab: Lab;
  /** Of the daemon: its sockets and its state. */
  readonly env: Readonly<Record<string, string>>;
  readonly #home: string;

  private constructor(lab: Lab, home: string) {
    this.lab = lab;
    this.env = { XDG_RUNTIME_DIR: home, XDG_STATE_HOME: home };
    this.#home = home;
  }

  static async create(lab: Lab): Promise<DaemonUser> {
    serial += 1;
    const directory = `${await userDirectory(lab)}/daemon${serial}`;
    await lab.host.user.shell(`mkdir -p -m 0700 ${directory}`);
    return new DaemonUser(lab, directory);
  }

  /** What is in the directory of sockets and state. */
  get directory(): string {
    return `${this.#home}/slipway`;
  }

  /** Runs `slipway` to its end. */
  command(...args: string[]): Promise<Outcome> {
    return this.lab.host.user.run([this.lab.host.slipwayPath, ...args], { env: this.env });
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
    return this.lab.host.slipway(["run", ...args], { env: this.env });
  }

  /** A namespace of the user, connected to a network under a name. */
  async member(network: string, name: string, ...options: string[]): Promise<Member> {
    const [report] = await this.inspect(network);
    const [{ Gateway: dns }] = report.IPAM.Config;
    const namespace = await this.lab.host.namespace(dns);
    await this.ok("network", "connect", network, `${namespace.pid}`, "--name", name, ...options);
    const agent = await Agent.start(namespace, this.lab.host.stage);
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
    await this.lab.host.user.output(["kill", "-KILL", pid.trim()]);
  }

  /** Nothing of the daemon is left when its lab is closed. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.ok("daemon", "stop");
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

/** Repeats what throws, or finds nothing, until it does; the last failure is thrown after 10 s. */
export async function eventually<T>(attempt: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + 10_000;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
