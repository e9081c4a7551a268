import { expect } from "vitest";
import { failing, httpName, link, served } from "../../../lab/addresses.ts";
import { fetch4, fetch6, serving } from "../../engines/image.ts";
import { seenFromHost } from "../../engines/podman.ts";
import { comparePodmans } from "./podman.ts";

comparePodmans("podman run", (check) => {
  check("has the host's interface, addresses and routes", async (podman) => {
    const script = "ip address show eth0; ip route; ip -6 route";
    const text = await podman.run([], "sh", "-c", script);
    expect(text).toMatch(/eth0: .* mtu 65520 /);
    expect(text).toContain(`inet ${link.host}/${link.length} `);
    expect(text).toMatch(new RegExp(`inet6 ${link.host6}/${link.length6} scope global`));
    expect(text).toMatch(new RegExp(`^default via ${link.world} dev eth0`, "m"));
    expect(text).toMatch(new RegExp(`^default via ${link.world6} dev eth0`, "m"));
    expect(text).not.toMatch(/scope global .*tentative/);
  });

  check(
    "its link-local address is of use at once",
    async (podman) => {
      const text = await podman.run([], "sh", "-c", "ip address show eth0");
      expect(text).toMatch(/inet6 fe80::\S+ scope link/);
      expect(text).not.toContain("tentative");
    },
    { why: "is tentative for a moment", error: null },
  );

  check("fetches a file by IPv4, by IPv6, and resolves names", async (podman) => {
    const script = `${fetch4}; ${fetch6}; nslookup ${httpName}`;
    const [by4, by6, ...resolved] = (await podman.run([], "sh", "-c", script)).split("\n");
    expect(by4).toBe(podman.sha256);
    expect(by6).toBe(podman.sha256);
    expect(resolved.join("\n")).toContain(served.http);
    expect(resolved.join("\n")).toContain(served.http6);
  });

  check("pings the world", async (podman) => {
    const script = `ping -c 1 -W 5 ${served.http}; ping6 -c 1 -W 5 ${served.http6}`;
    const text = await podman.run(["--cap-add=NET_RAW"], "sh", "-c", script);
    expect(text.match(/1 packets received/g)).toHaveLength(2);
  });

  check(
    "is told of a closed port and an unreachable host",
    async (podman) => {
      await using box = await podman.start([], "sleep", "1000");
      const to = (address: string) =>
        podman.attempt(["exec", box.id, "nc", "-w", "4", address, "1"]);
      expect((await to(served.http)).stderr).toContain("Connection refused");
      expect((await to(failing.hostUnreachable)).stderr).toContain("No route to host");
    },
    { why: "says that an unreachable host refuses", error: /No route to host/ },
  );

  check("the helper prints nothing", async (podman) => {
    const { stdout, stderr } = await podman.attempt(["run", "--rm", "localhost/box", "true"]);
    expect(stdout + stderr).toBe("");
  });

  check("exec", async (podman) => {
    await using box = await podman.start([], "sleep", "1000");
    expect(await box.exec("sh", "-c", fetch4)).toBe(podman.sha256);
  });

  check("the helper ends with its container", async (podman) => {
    await using box = await podman.start([], "sleep", "1000");
    expect(await podman.helpers()).toHaveLength(1);
    await podman.do("kill", box.id);
    await podman.do("wait", box.id);
    await expect.poll(() => podman.helpers()).toEqual([]);
  });

  check("stop, then start", async (podman) => {
    const port = podman.port();
    await using box = await podman.start(["-p", `${port}:80`], ...serving);
    await seenFromHost(podman.lab, port, link.host);
    await podman.do("stop", "--time=0", box.id);
    await expect.poll(() => podman.helpers()).toEqual([]);
    await podman.do("start", box.id);
    await seenFromHost(podman.lab, port, link.host);
    expect(await box.exec("sh", "-c", fetch4)).toBe(podman.sha256);
    expect(await podman.helpers()).toHaveLength(1);
  });

  check("kill -9 of the helper, then podman start", async (podman) => {
    const port = podman.port();
    await using box = await podman.start(["-p", `${port}:80`], ...serving);
    await seenFromHost(podman.lab, port);
    await podman.account.user.shell("pkill -KILL --full -- --config-net");
    await expect.poll(() => podman.helpers()).toEqual([]);
    await podman.do("stop", "--time=0", box.id);
    await podman.do("start", box.id);
    await seenFromHost(podman.lab, port);
    expect(await podman.helpers()).toHaveLength(1);
  });

  check("ten containers at once", async (podman) => {
    const ten = Array.from({ length: 10 }, () => podman.run([], "sh", "-c", fetch4));
    for (const output of await Promise.all(ten)) expect(output).toBe(podman.sha256);
    await expect.poll(() => podman.helpers()).toEqual([]);
  });

  check("--userns=keep-id", async (podman) => {
    const text = await podman.run(["--userns=keep-id"], "sh", "-c", `id -u; ${fetch4}`);
    const [uid, sum] = text.split("\n");
    expect(uid).toBe("61000");
    expect(sum).toBe(podman.sha256);
  });

  check("pods share one network", async (podman) => {
    const port = podman.port();
    await using pod = await podman.pod("-p", `${port}:80`);
    await using _box = await podman.start([`--pod=${pod.id}`], ...serving);
    await seenFromHost(podman.lab, port);
    const ask = "printf 'GET /cgi-bin/who HTTP/1.0\\r\\n\\r\\n'";
    const text = await podman.run(
      [`--pod=${pod.id}`],
      ...["sh", "-c", `${ask} | nc -w 5 127.0.0.1 80; ${fetch4}`],
    );
    expect(text).toContain("127.0.0.1");
    expect(text).toContain(podman.sha256);
    expect(await podman.helpers()).toHaveLength(1);
  });

  check("podman info names the helper", async (podman) => {
    const executable = await podman.do("info", "--format={{.Host.Pasta.Executable}}");
    expect(executable).toBe(podman.helper.path);
  });

  check(
    "podman info has its version",
    async (podman) => {
      const version = await podman.do("info", "--format={{.Host.Pasta.Version}}");
      expect(version).toMatch(/^\S+ \d+/);
    },
    { why: "prints none into a pipe", error: /to match/ },
  );
});
