import { expect } from "vitest";
import { link, served } from "../../../lab/addresses.ts";
import { fetch4, serving } from "../../engines/image.ts";
import { type Podman, seenFromWorld } from "../../engines/podman.ts";
import { checkNetworks } from "../../engines/podman-checks.ts";
import { comparePodmans } from "./podman.ts";

/** Where podman keeps what the networks of a user share, below the runtime directory. */
const shared = '"$XDG_RUNTIME_DIR"/containers/networks/rootless-netns';

// Rootless bridge networks: netavark and aardvark-dns in one namespace that all of them share, with
// one pasta for that namespace.
comparePodmans("podman run --network=BRIDGE", (check) => {
  checkNetworks(check);

  check("host.containers.internal is the host", async (podman) => {
    await using _network = await podman.bridge("net");
    const { port } = await podman.lab.host.agent.echo(link.host);
    const script = `echo hello | nc -w 5 host.containers.internal ${port} | head -n 1`;
    expect(await podman.run(["--network=net"], "sh", "-c", script)).toBe("hello");
  });

  check("network connect, disconnect and reload", async (podman) => {
    await using _one = await podman.bridge("one");
    await using _two = await podman.bridge("two");
    await using box = await podman.start(["--network=one"], "sleep", "1000");
    const interfaces = () => box.exec("sh", "-c", "ls /sys/class/net | grep -c eth");
    await podman.do("network", "connect", "two", box.id);
    expect(await interfaces()).toBe("2");
    await podman.do("network", "disconnect", "two", box.id);
    expect(await interfaces()).toBe("1");
    await podman.do("network", "reload", box.id);
    expect(await box.exec("sh", "-c", fetch4)).toBe(podman.sha256);
    expect(await podman.helpers()).toHaveLength(1);
  });

  check("the helper outlives one of two containers, and ends with the last", async (podman) => {
    await using _network = await podman.bridge("net");
    await using first = await podman.start(["--network=net"], "sleep", "1000");
    await using second = await podman.start(["--network=net"], "sleep", "1000");
    const pid = await helperPid(podman);
    await podman.do("kill", first.id);
    await podman.do("wait", first.id);
    expect(await second.exec("sh", "-c", fetch4)).toBe(podman.sha256);
    expect(await helperPid(podman)).toBe(pid);
    await podman.do("kill", second.id);
    await podman.do("wait", second.id);
    await expect.poll(() => podman.helpers()).toEqual([]);
  });

  check("the pid file is the helper's, and only the user reads it", async (podman) => {
    await using _network = await podman.bridge("net");
    await using _box = await podman.start(["--network=net"], "sleep", "1000");
    const pid = await helperPid(podman);
    const command = await podman.account.user.output(["cat", `/proc/${pid}/cmdline`]);
    expect(command).toContain("rootless-netns-conn.pid");
    const mode = await podman.account.user.shell(`stat --format=%a ${shared}/*.pid`);
    expect(mode.trim()).toBe("600");
  });

  check("kill -9 of the helper: the next container starts another", async (podman) => {
    await using _network = await podman.bridge("net");
    await using box = await podman.start(["--network=net"], "sleep", "1000");
    await podman.account.user.output(["kill", "-KILL", await helperPid(podman)]);
    await expect.poll(() => podman.helpers()).toEqual([]);
    expect(await podman.run(["--network=net"], "sh", "-c", fetch4)).toBe(podman.sha256);
    expect(await podman.helpers()).toHaveLength(1);
    expect(await box.exec("sh", "-c", fetch4)).toBe(podman.sha256);
  });

  check("podman unshare --rootless-netns", async (podman) => {
    const script = `ip -4 address show eth0; curl -sS -m 5 -o /dev/null -w '%{http_code}' http://${served.http}/`;
    const text = await podman.do("unshare", "--rootless-netns", "sh", "-c", script);
    expect(text).toContain(`inet ${link.host}/`);
    expect(text).toMatch(/\d{3}$/);
    await expect.poll(() => podman.helpers()).toEqual([]);
  });

  check("pods on a bridge network", async (podman) => {
    await using _network = await podman.bridge("net");
    const port = podman.port();
    await using pod = await podman.pod("--network=net", "--name=shop", "-p", `${port}:80`);
    await using _web = await podman.start([`--pod=${pod.id}`], ...serving);
    await seenFromWorld(podman.lab, port);
    const text = await podman.run(["--network=net"], "nslookup", "shop");
    expect(text).toMatch(/Address: 10\.89\./);
  });

  check("ten containers at once on one network", async (podman) => {
    await using _network = await podman.bridge("net");
    const ten = Array.from({ length: 10 }, () => podman.run(["--network=net"], "sh", "-c", fetch4));
    for (const output of await Promise.all(ten)) expect(output).toBe(podman.sha256);
    await expect.poll(() => podman.helpers()).toEqual([]);
  });
});

/** What podman has written down as the helper's pid. */
async function helperPid(podman: Podman): Promise<string> {
  return (await podman.account.user.shell(`cat ${shared}/rootless-netns-conn.pid`)).trim();
}
