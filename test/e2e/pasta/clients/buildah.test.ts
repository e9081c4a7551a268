import { dirname } from "node:path";
import { expect } from "vitest";
import { Account } from "../../../lab/account.ts";
import { httpName, link, served } from "../../../lab/addresses.ts";
import { debian13 } from "../../../lab/debian13.ts";
import type { Lab } from "../../../lab/lab.ts";
import type { Engine, Helper } from "../../comparison.ts";
import { fetch4, makeImage, worldFile } from "../../engines/image.ts";
import { compare } from "./comparison.ts";

/** buildah of Debian 13, which starts the pasta that containers.conf leads to, and a container. */
class Buildah implements Engine {
  readonly account: Account;
  /** of the world's file, in hex */
  readonly sha256: string;

  private constructor(account: Account, sha256: string) {
    this.account = account;
    this.sha256 = sha256;
  }

  static async create(lab: Lab, helper: Helper): Promise<Buildah> {
    const account = await Account.create(lab, `b${helper.firstPort}`, [], debian13);
    await makeImage(account);
    await account.user.shell(`
      mkdir -p .config/containers context
      printf '[storage]\\ndriver = "vfs"\\n' > .config/containers/storage.conf
      cat > .config/containers/containers.conf <<'END'
[engine]
cgroup_manager = "cgroupfs"
helper_binaries_dir = ["${dirname(helper.path)}", {append=true}]
END
      buildah from --name base scratch
      buildah add --quiet base image /
      buildah commit --quiet base localhost/box
    `);
    return new Buildah(account, await worldFile(lab));
  }

  /** Runs a shell script in the container; returns its stdout. */
  run(options: readonly string[], script: string): Promise<string> {
    const command = ["base", "--", "sh", "-c", script];
    return this.account.user.output(["buildah", "run", ...options, ...command]);
  }

  /** Command lines of the helpers that run. */
  async helpers(): Promise<string[]> {
    return (await this.account.processes()).filter((line) => line.includes("--config-net"));
  }

  async close(): Promise<void> {
    await this.account.user.output(["buildah", "rm", "--all"]);
    // Ends the process that holds the user namespace between calls.
    await this.account.user.output(["podman", "system", "migrate"]);
    await this.account.close();
  }
}

compare("buildah", Buildah.create, (check) => {
  const rootless = ["--isolation=rootless"];

  check("run: the host's addresses, the world, names", async (buildah) => {
    const text = await buildah.run(rootless, `ip address; ${fetch4}; nslookup ${httpName}`);
    expect(text).toMatch(/eth0: .* mtu 65520 /);
    expect(text).toContain(`inet ${link.host}/`);
    expect(text).toContain(buildah.sha256);
    expect(text).toContain(served.http);
    await expect.poll(() => buildah.helpers()).toEqual([]);
  });

  check("run --network=pasta:OPTIONS", async (buildah) => {
    const options = [...rootless, "--network=pasta:--mtu,1400"];
    expect(await buildah.run(options, "cat /sys/class/net/eth0/mtu")).toBe("1400\n");
  });

  check("run --network=none", async (buildah) => {
    const text = await buildah.run([...rootless, "--network=none"], "ls /sys/class/net");
    expect(text).toBe("lo\n");
  });

  check("build: a RUN line reaches the world", async (buildah) => {
    const { user } = buildah.account;
    await user.shell(`printf 'FROM localhost/box\\nRUN ${fetch4}\\n' > context/Containerfile`);
    const text = await user.output(["buildah", "build", ...rootless, "--no-cache", "context"]);
    expect(text).toContain(buildah.sha256);
    await expect.poll(() => buildah.helpers()).toEqual([]);
  });
});
