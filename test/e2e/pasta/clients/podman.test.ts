import { expect } from "vitest";
import { link, served } from "../../../lab/addresses.ts";
import { fetch4, serving } from "../../engines/image.ts";
import { seenFromHost } from "../../engines/podman.ts";
import { checkContainers, hearsOfFailures } from "../../engines/podman-checks.ts";
import { comparePodmans } from "./podman.ts";

comparePodmans("podman run", (check) => {
  checkContainers(check);

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

  check("pings the world", async (podman) => {
    const script = `ping -c 1 -W 5 ${served.http}; ping6 -c 1 -W 5 ${served.http6}`;
    const text = await podman.run(["--cap-add=NET_RAW"], "sh", "-c", script);
    expect(text.match(/1 packets received/g)).toHaveLength(2);
  });

  check("is told of a closed port and an unreachable host", hearsOfFailures, {
    why: "says that an unreachable host refuses",
    error: /No route to host/,
  });

  check("the helper prints nothing", async (podman) => {
    const { stdout, stderr } = await podman.attempt(["run", "--rm", "localhost/box", "true"]);
    expect(stdout + stderr).toBe("");
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
