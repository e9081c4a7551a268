import { expect } from "vitest";
import { httpName, served } from "../../../lab/addresses.ts";
import { fetch4, image } from "../../engines/image.ts";
import type { Podman } from "../../engines/podman.ts";
import { comparePodmans } from "./podman.ts";

/** Builds an image whose RUN lines these are, and prints what the last one wrote to /out. */
async function build(podman: Podman, options: readonly string[], run: string): Promise<string> {
  await podman.account.user.shell(`
    mkdir -p build
    cat > build/Containerfile <<'END'
FROM ${image}
RUN ${run}
END
  `);
  await podman.do("build", "--quiet", "--no-cache", ...options, "--tag", "built", "build");
  const text = await podman.do("run", "--rm", "--network=none", "built", "cat", "/out");
  await podman.do("rmi", "built");
  return text;
}

comparePodmans("podman build", (check) => {
  check("a RUN line reaches the world by address and name", async (podman) => {
    const text = await build(podman, [], `(${fetch4}; nslookup ${httpName}) > /out`);
    expect(text).toContain(podman.sha256);
    expect(text).toContain(served.http);
    await expect.poll(() => podman.helpers()).toEqual([]);
  });

  check("--network=pasta:OPTIONS", async (podman) => {
    const options = ["--network=pasta:--mtu,1400"];
    const text = await build(podman, options, "cat /sys/class/net/eth0/mtu > /out");
    expect(text).toBe("1400");
  });

  check("--network=none", async (podman) => {
    const text = await build(podman, ["--network=none"], "ls /sys/class/net > /out");
    expect(text).toBe("lo");
  });

  check("no helper is left of a RUN line that is killed", async (podman) => {
    const { user } = podman.account;
    const building = build(podman, [], "sleep 1000");
    const failed = expect(building).rejects.toThrow();
    await expect.poll(() => user.run(["pkill", "-KILL", "-x", "sleep"])).toMatchObject({ code: 0 });
    await failed;
    await expect.poll(() => podman.helpers()).toEqual([]);
  });
});
