import { expect } from "vitest";
import { Account } from "../../lab/account.ts";
import { link } from "../../lab/addresses.ts";
import type { Lab } from "../../lab/lab.ts";
import type { Namespace, RunOptions } from "../../lab/namespace.ts";
import type { Outcome } from "../../lab/process.ts";
import type { Helper } from "../comparison.ts";
import { AccountEngine } from "./engine.ts";
import { image, makeImage, worldFile } from "./image.ts";

/** An object of podman's, removed when disposed of. */
class Removable {
  readonly id: string;
  protected readonly podman: Podman;
  readonly #removal: readonly string[];

  constructor(podman: Podman, id: string, removal: readonly string[]) {
    this.podman = podman;
    this.id = id;
    this.#removal = removal;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.podman.do(...this.#removal);
  }
}

/** A container that runs in the background. */
class Container extends Removable {
  constructor(podman: Podman, id: string) {
    super(podman, id, ["rm", "--force", "--time=0", id]);
  }

  exec(...command: readonly string[]): Promise<string> {
    return this.podman.do("exec", this.id, ...command);
  }

  /** Its network namespace. */
  async network(): Promise<Namespace> {
    const pid = await this.podman.do("inspect", "--format={{.State.Pid}}", this.id);
    return this.podman.account.network(Number(pid));
  }
}

/** What tells one helper of podman's from another. */
interface Door {
  /** lines for the section engine of containers.conf */
  readonly settings: string;
  /** further lines: of the section containers, and sections after it */
  readonly further?: string;
  /** command lines of the helper's processes */
  readonly processes: RegExp;
  /** ends what the helper needs beside itself, when all containers are gone */
  readonly end?: () => Promise<unknown>;
}

/** podman of an ordinary user, with a helper set in containers.conf. */
export class Podman extends AccountEngine {
  /** of the world's file, in hex: what {@link fetch4} prints */
  readonly sha256: string;
  readonly #door: Door;

  private constructor(account: Account, helper: Helper, door: Door, sha256: string) {
    super(account, helper);
    this.sha256 = sha256;
    this.#door = door;
  }

  /** podman of this machine with a helper that has slirp4netns's command line. */
  static async create(lab: Lab, helper: Helper): Promise<Podman> {
    const account = await Account.create(lab, `p${helper.firstPort}`);
    return Podman.of(account, helper, {
      settings: `network_cmd_path = "${helper.path}"`,
      processes: /--netns-type|^\S*slirp4netns/,
    });
  }

  /** podman of an account's machine. */
  static async of(account: Account, helper: Helper, door: Door): Promise<Podman> {
    await makeImage(account);
    await account.user.shell(`
      mkdir -p .config/containers
      cat > .config/containers/containers.conf <<END
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
${door.settings}
[containers]
log_driver = "k8s-file"
${door.further ?? ""}
END
      # The driver that needs nothing of kernel and file system.
      printf '[storage]\\ndriver = "vfs"\\n' > .config/containers/storage.conf
      tar -C image --owner=0 --group=0 -c . | podman import --quiet - ${image}
    `);
    return new Podman(account, helper, door, await worldFile(account.lab));
  }

  /** Runs podman to its end. */
  attempt(args: readonly string[], options?: RunOptions): Promise<Outcome> {
    return this.account.user.run(["podman", ...args], options);
  }

  /** Runs podman, which must succeed; its stdout without the last newline. */
  async do(...args: readonly string[]): Promise<string> {
    return (await this.account.user.output(["podman", ...args])).trimEnd();
  }

  /** Runs a command in a fresh container with these options. */
  run(options: readonly string[], ...command: readonly string[]): Promise<string> {
    return this.do("run", "--rm", ...options, image, ...command);
  }

  /** Starts a container that lasts as long as the returned object. */
  async start(options: readonly string[], ...command: readonly string[]): Promise<Container> {
    return new Container(this, await this.do("run", "--detach", ...options, image, ...command));
  }

  /** Makes a pod that lasts as long as the returned object. */
  async pod(...options: readonly string[]): Promise<Removable> {
    const id = await this.do("pod", "create", ...options);
    return new Removable(this, id, ["pod", "rm", "--force", "--time=0", id]);
  }

  /** Makes a bridge network that lasts as long as the returned object. */
  async bridge(name: string): Promise<Removable> {
    await this.do("network", "create", name);
    return new Removable(this, name, ["network", "rm", "--force", name]);
  }

  /** Command lines of the helpers that run. */
  async helpers(): Promise<string[]> {
    const processes = await this.account.processes();
    return processes.filter((line) => this.#door.processes.test(line));
  }

  async close(): Promise<void> {
    await this.do("pod", "rm", "--all", "--force", "--time=0");
    await this.do("rm", "--all", "--force", "--time=0");
    // Ends the process that holds the user namespace between calls.
    await this.do("system", "migrate");
    await this.#door.end?.();
    // podman 4.3 forgets its name server after `network disconnect`.
    await this.account.close(/aardvark-dns/);
  }
}

/** The client's address as image.ts's server sees it: of the world, of the host's loopback. */
export function seenFromWorld(
  lab: Lab,
  port: number,
  address: string = link.host,
): Promise<string> {
  return asked(lab.world.root, `${address}:${port}`);
}

export function seenFromHost(lab: Lab, port: number, address = "127.0.0.1"): Promise<string> {
  return asked(lab.host.user, `${address}:${port}`);
}

/** Nobody listens at a port of the host's loopback. */
export async function refusedFromHost(lab: Lab, port: number): Promise<void> {
  const error = await lab.host.agent.refusal({ address: "127.0.0.1", port });
  expect(error.code).toBe("ECONNREFUSED");
}

async function asked(from: Namespace, server: string): Promise<string> {
  const retry = ["--retry", "20", "--retry-delay", "0", "--retry-all-errors"];
  const limits = ["--max-time", "5", "--retry-max-time", "5"];
  const url = `http://${server}/cgi-bin/who`;
  const text = await from.output(["curl", "--silent", "--show-error", ...retry, ...limits, url]);
  return text.trim().replace(/^\[?(::ffff:)?([^\]]*)\]?$/, "$2");
}
