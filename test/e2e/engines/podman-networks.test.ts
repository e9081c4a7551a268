import { expect } from "vitest";
import { compare } from "./comparison.ts";
import { fetch4 } from "./image.ts";
import { Podman } from "./podman.ts";
import { checkNetworks } from "./podman-checks.ts";

// Rootless bridge networks: netavark and aardvark-dns in one namespace that all of them share, with
// one helper for that namespace.
compare("podman run --network=BRIDGE", Podman.create, (check) => {
  checkNetworks(check);

  check("network connect and disconnect", async (podman) => {
    await using _one = await podman.bridge("one");
    await using _two = await podman.bridge("two");
    await using box = await podman.start(["--network=one"], "sleep", "1000");
    const interfaces = () => box.exec("sh", "-c", "ls /sys/class/net | grep -c eth");
    expect(await interfaces()).toBe("1");
    await podman.do("network", "connect", "two", box.id);
    expect(await interfaces()).toBe("2");
    expect(await box.exec("sh", "-c", fetch4)).toBe(podman.sha256);
    await podman.do("network", "disconnect", "one", box.id);
    // The default route goes with it, whatever the helper: that is podman's doing.
    expect(await interfaces()).toBe("1");
  });

  check("the helper outlives one of two containers, and ends with the last", async (podman) => {
    await using _network = await podman.bridge("net");
    await using first = await podman.start(["--network=net"], "sleep", "1000");
    await using second = await podman.start(["--network=net"], "sleep", "1000");
    await podman.do("kill", first.id);
    await podman.do("wait", first.id);
    expect(await second.exec("sh", "-c", fetch4)).toBe(podman.sha256);
    expect(await podman.helpers()).toHaveLength(1);
    await podman.do("kill", second.id);
    await expect.poll(() => podman.helpers()).toEqual([]);
  });
});
