import { expect } from "vitest";
import { httpName, link, served } from "../../lab/addresses.ts";
import { compare } from "./comparison.ts";
import { fetch4, serving } from "./image.ts";
import { Podman, seenFromHost, seenFromWorld } from "./podman.ts";

// Rootless bridge networks: netavark and aardvark-dns in one namespace that all of them share, with
// one helper for that namespace.
compare("podman run --network=BRIDGE", Podman.create, (check) => {
  check("containers find each other by name, and the world", async (podman) => {
    await using _network = await podman.bridge("net");
    await using _web = await podman.start(["--network=net", "--name=web"], ...serving);
    const script = `nslookup web; nslookup ${httpName}; ${fetch4}`;
    const text = await podman.run(["--network=net"], "sh", "-c", script);
    expect(text).toMatch(/Name:\s+web\.dns\.podman\nAddress: 10\.89\./);
    expect(text).toContain(served.http);
    expect(text).toContain(podman.sha256);
    expect(await podman.helpers()).toHaveLength(1);
  });

  check("a published port is reached", async (podman) => {
    await using _network = await podman.bridge("net");
    const port = podman.port();
    const options = ["--network=net", "-p", `${port}:80`];
    await using _web = await podman.start(options, ...serving);
    await seenFromHost(podman.lab, port);
    await seenFromWorld(podman.lab, port);
    await seenFromHost(podman.lab, port, link.host);
  });

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
