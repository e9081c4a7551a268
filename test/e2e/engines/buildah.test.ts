import { join } from "node:path";
import { expect } from "vitest";
import { Account } from "../../lab/account.ts";
import { httpName, served } from "../../lab/addresses.ts";
import type { Lab } from "../../lab/lab.ts";
import type { Engine, Helper } from "../comparison.ts";
import { compare } from "./comparison.ts";
import { makeImage } from "./image.ts";

/** buildah of an ordinary user, with a helper found through PATH, and a container. */
class Buildah implements Engine {
  readonly #account: Account;

  private constructor(account: Account) {
    this.#account = account;
  }

  static async create(lab: Lab, helper: Helper): Promise<Buildah> {
    const name = `b${helper.firstPort}`;
    const programs = join(lab.directory, `${name}.bin`);
    const account = await Account.create(lab, name, [programs]);
    await makeImage(account);
    await account.user.shell(`
      mkdir ${programs}
      ln -s ${helper.path} ${programs}/slirp4netns
      mkdir -p .config/containers context
      printf '[storage]\\ndriver = "vfs"\\n' > .config/containers/storage.conf
      printf '[engine]\\ncgroup_manager = "cgroupfs"\\n' > .config/containers/containers.conf
      buildah from --name base scratch
      buildah add --quiet base image /
      buildah commit --quiet base localhost/box
    `);
    return new Buildah(account);
  }

  /** Runs a command in the container; returns its stdout. */
  run(options: readonly string[], ...command: readonly string[]): Promise<string> {
    return this.#account.user.output(["buildah", "run", ...options, "base", "--", ...command]);
  }

  /** Builds an image from lines after FROM; returns what the build printed. */
  async build(...lines: readonly string[]): Promise<string> {
    await this.#account.user.shell(`
      cat > context/Containerfile <<'END'
FROM localhost/box
${lines.join("\n")}
END
    `);
    return this.#account.user.output([
      ...["buildah", "build", "--isolation=rootless", "--no-cache", "context"],
    ]);
  }

  async close(): Promise<void> {
    await this.#account.user.output(["buildah", "rm", "--all"]);
    // Ends the process that holds the user namespace between calls.
    await this.#account.user.output(["podman", "system", "migrate"]);
    await this.#account.close();
  }
}

compare("buildah", Buildah.create, (check) => {
  const rootless = ["--isolation=rootless"];

  check("run --isolation=rootless has a network", async (buildah) => {
    const text = await buildah.run(rootless, "sh", "-c", `ip link; nslookup ${httpName}`);
    expect(text).toMatch(/tap0: .* mtu 65520 /);
    expect(text).toContain(served.http);
  });

  check("run --network=none has none", async (buildah) => {
    const text = await buildah.run([...rootless, "--network=none"], "ip", "link");
    expect(text).not.toContain("tap0");
  });

  check("build: a RUN line reaches the world", async (buildah) => {
    const text = await buildah.build(`RUN nslookup ${httpName} && fetch ${served.http} /`);
    expect(text).toContain(served.http);
    expect(text).toMatch(/^[0-9a-f]{64}$/m);
  });
});
