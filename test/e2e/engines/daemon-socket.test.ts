import { dirname } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { accountsPossible } from "../../lab/account.ts";
import { Lab } from "../../lab/lab.ts";
import { helper, isSlipway, slipway } from "../../lab/product.ts";
import { image } from "./image.ts";
import { Podman } from "./podman.ts";

const { possible, why } = accountsPossible();

/** Asks for an attachment that leads to the host's loopback. */
const JOIN = JSON.stringify({
  v: 4,
  method: "member.join",
  params: { attachments: [{ network: "web" }], hostLoopback: true },
});

/** Containers with the daemon's socket mounted. */
describe.runIf(possible && isSlipway)(possible ? "the daemon's socket in podman run" : why, () => {
  let lab: Lab;
  let podman: Podman;
  beforeAll(async () => {
    lab = await Lab.create(undefined, true);
    const path = lab.host.stage.inside(helper);
    podman = await Podman.create(lab, { name: "Slipway", path, firstPort: 9_100 });
    await daemon("start");
    await podman.account.user.output([lab.host.stage.inside(slipway), "network", "create", "web"]);
  });
  afterAll(async () => {
    await daemon("stop");
    await podman.close();
    await lab.close();
  });

  const daemon = (...args: string[]) =>
    podman.account.user.output([lab.host.stage.inside(slipway), "daemon", ...args]);

  /** The answer to a container that asks with the host's programs. */
  async function asked(options: readonly string[]): Promise<string> {
    const programs = ["/usr", "/lib", "/lib64"].map((each) => `--volume=${each}:${each}:ro`);
    const socket = `--volume=${dirname(podman.account.home)}/run/slipway/daemon:/daemon`;
    const argv = ["/usr/bin/socat", "-t5", "STDIO", "UNIX-CONNECT:/daemon/api.sock"];
    const args = ["run", "--rm", "-i", ...programs, socket, ...options, image, ...argv];
    const { stdout, stderr } = await podman.attempt(args, { input: `${JOIN}\n` });
    return stdout + stderr;
  }

  test.for([
    ["--network=slirp4netns", "network namespace"],
    ["--network=none", "network namespace"],
    ["--network=slirp4netns --pid=host", "network namespace"],
    ["--network=slirp4netns --pid=host --userns=keep-id", "network namespace"],
    ["--network=host", "PID namespace"],
    ["--network=host --userns=keep-id", "PID namespace"],
  ])("does not serve one with %s", async ([options = "", namespace = ""]) => {
    expect(await asked(options.split(" "))).toMatch(
      new RegExp(`^{"error":{"message":"the daemon .*${namespace}`),
    );
  });

  test("serves one with --serve-containers, and no COMMAND of slipway run", async () => {
    const again = podman.account.user.run([
      ...[lab.host.stage.inside(slipway), "daemon", "start", "--serve-containers"],
    ]);
    expect((await again).stderr).toMatch(/^slipway: the daemon is already running, without/);
    await daemon("stop");
    await daemon("start", "--serve-containers");
    expect(await asked(["--network=none"])).toMatch(/^{"result":{"id":/);
    const socket = `${dirname(podman.account.home)}/run/slipway/daemon/api.sock`;
    const alias = `${podman.account.home}/alias.sock`;
    await podman.account.user.output(["ln", socket, alias]);
    const ask = `printf '%s\\n' '${JOIN}' | socat -t5 STDIO UNIX-CONNECT:${alias}`;
    for (const way of ["", "unshare -Urn ", "unshare -Urpf --mount-proc "]) {
      const run = [
        lab.host.stage.inside(slipway),
        "run",
        "--",
        "sh",
        "-c",
        `${way}sh -c "$0"`,
        ask,
      ];
      expect(await podman.account.user.output(run)).toMatch(/^{"error":.*network namespace/);
    }
  });
});
