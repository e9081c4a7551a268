import { join } from "node:path";
import type { Launcher } from "../launch.ts";
import { Namespace } from "../namespace.ts";
import { type Helper, type HelperOptions, NotAvailable, type RunningHelper } from "./helper.ts";

/**
 * RootlessKit's builtin port driver: a process on each side of a namespace of its own, and Go's
 * splice between a socket of each. Its packets bypass the TAP, and clients' addresses are lost.
 */
export class RootlessKit implements Helper {
  readonly name: string;
  readonly path: string;
  readonly part = "published";
  readonly #directory: string;

  /** @param directory where the unprivileged user may create files. */
  constructor(name: string, path: string, directory: string) {
    this.name = name;
    this.path = path;
    this.#directory = directory;
  }

  async start(
    launcher: Launcher,
    namespace: Namespace,
    { mtu, publish }: HelperOptions,
  ): Promise<RunningHelper> {
    if (publish === null) throw new NotAvailable("measured for published ports only");
    const state = join(this.#directory, `rootlesskit.${namespace.pid}`);
    const port = `127.0.0.1:${publish.hostPort}:${publish.guestPort}/tcp`;
    const began = performance.now();
    await using scope = new AsyncDisposableStack();
    const program = scope.use(
      launcher.start([
        this.path,
        ...[`--state-dir=${state}`, "--net=slirp4netns", `--mtu=${mtu}`],
        ...["--disable-host-loopback", "--port-driver=builtin", `--publish=${port}`],
        // In our own PID namespace: its process id is the same here.
        ...["sh", "-c", "echo $$; exec sleep infinity"],
      ]),
    );
    const child = Number(await program.line());
    const readyMs = performance.now() - began;
    const own = Namespace.ofProcess(launcher, child);
    const running = { program, pid: await program.pid(), readyMs, namespace: own };
    scope.move();
    return running;
  }
}
