import { Account } from "../../../lab/account.ts";
import { debian13 } from "../../../lab/debian13.ts";
import type { Lab } from "../../../lab/lab.ts";
import { leftOut, modernPrograms } from "../../../lab/modern.ts";
import type { Process } from "../../../lab/process.ts";
import type { Helper } from "../../comparison.ts";
import { AccountEngine } from "../../engines/engine.ts";
import { image, makeImage, worldFile } from "../../engines/image.ts";

const SCRIPT = "/usr/share/docker.io/contrib/dockerd-rootless.sh";
const START_MS = 60_000;

/** Rootless docker of Debian 13 on a RootlessKit, which starts pasta. */
export class Docker extends AccountEngine {
  /** of the world's file, in hex */
  readonly sha256: string;
  readonly #daemon: Process;

  private constructor(account: Account, helper: Helper, daemon: Process, sha256: string) {
    super(account, helper);
    this.sha256 = sha256;
    this.#daemon = daemon;
  }

  /** @param path of directories in which to find RootlessKit before all others */
  static async create(lab: Lab, helper: Helper, path: readonly string[]): Promise<Docker> {
    const account = await Account.create(lab, `o${helper.firstPort}`, path, debian13);
    await makeImage(account);
    const settings = {
      NET: "pasta",
      PORT_DRIVER: "implicit",
      MTU: "65520",
      FLAGS: `--pasta-binary=${helper.path}`,
    };
    const environment = Object.entries(settings).map(
      ([name, value]) => `DOCKERD_ROOTLESS_ROOTLESSKIT_${name}=${value}`,
    );
    const options = ["--storage-driver=vfs", "--exec-opt", "native.cgroupdriver=cgroupfs"];
    const daemon = account.user.spawn(["env", ...environment, "sh", SCRIPT, ...options]);
    await daemon.printed(/API listen on/, START_MS);
    const docker = new Docker(account, helper, daemon, await worldFile(lab));
    await account.user.shell(`
      tar -C image --owner=0 --group=0 -c . |
        DOCKER_HOST=unix://$XDG_RUNTIME_DIR/docker.sock docker import - ${image}
    `);
    return docker;
  }

  /** Runs docker, which must succeed; its stdout without the last newline. */
  async do(...args: readonly string[]): Promise<string> {
    const script = 'DOCKER_HOST=unix://$XDG_RUNTIME_DIR/docker.sock exec docker "$@"';
    return (await this.account.user.output(["sh", "-c", script, "docker", ...args])).trimEnd();
  }

  /** Runs a command in a fresh container with these options. */
  run(options: readonly string[], ...command: readonly string[]): Promise<string> {
    return this.do("run", "--rm", ...options, image, ...command);
  }

  /** Starts a container that lasts as long as the returned object. */
  async start(options: readonly string[], ...command: readonly string[]): Promise<AsyncDisposable> {
    const id = await this.do("run", "--detach", ...options, image, ...command);
    return {
      [Symbol.asyncDispose]: async () => {
        await this.do("rm", "--force", id);
      },
    };
  }

  async close(): Promise<void> {
    this.#daemon.kill("SIGTERM");
    await this.#daemon.exit;
    await this.account.close();
  }
}

/** It on each RootlessKit. */
export const dockers = [
  {
    title: "rootless docker on RootlessKit 2",
    why: null,
    reachesLoopback: false,
    make: (lab: Lab, helper: Helper) => Docker.create(lab, helper, []),
  },
  {
    title: "rootless docker on RootlessKit 3",
    why: leftOut("rootlesskit"),
    reachesLoopback: true,
    make: (lab: Lab, helper: Helper) =>
      Docker.create(lab, helper, [lab.host.stage.inside(modernPrograms)]),
  },
] as const;
