import { expect } from "vitest";
import { link, served } from "../../lab/addresses.ts";
import { compare } from "./comparison.ts";
import { fetch4, serving } from "./image.ts";
import { Podman, seenFromHost } from "./podman.ts";
import { checkContainers, hearsOfFailures } from "./podman-checks.ts";

/** In the shell, the helper's pid, found by its descriptors; brackets exclude pgrep's own shell. */
const helperPid = "$(pgrep --full -- '-e 3 -r [4] ')";

compare("podman run", Podman.create, (check) => {
  checkContainers(check);

  check("has podman's addresses, MTU and route", async (podman) => {
    const text = await podman.run([], "sh", "-c", "ip link show tap0; ip -4 address; ip route");
    expect(text).toMatch(/tap0: .* mtu 65520 /);
    expect(text).toMatch(/inet 10\.0\.2\.100\/24 /);
    expect(text).toMatch(/default via 10\.0\.2\.2 dev tap0/);
  });

  check("pings beyond the gateway", async (podman) => {
    const text = await podman.run(["--cap-add=NET_RAW"], "ping", "-c", "1", "-W", "5", served.http);
    expect(text).toContain("1 packets received");
  });

  check(
    "pings beyond the gateway by IPv6",
    async (podman) => {
      const ping = ["ping6", "-c", "1", "-W", "2", served.http6];
      const text = await podman.run(["--cap-add=NET_RAW"], ...ping);
      expect(text).toContain("1 packets received");
    },
    { why: "ICMPv6 echo ends at the gateway", error: /status 1/ },
  );

  check("gets errors for a closed port and an unreachable host", hearsOfFailures, {
    why: "it drops the SYN",
    error: /timed out/,
  });

  check("the helper has a system call filter", async (podman) => {
    await using _box = await podman.start([], "sleep", "1000");
    const status = await podman.account.user.shell(`cat /proc/${helperPid}/status`);
    expect(status).toMatch(/^NoNewPrivs:\t1$/m);
    expect(status).toMatch(/^Seccomp:\t2$/m);
  });

  check(
    "the helper has no capability and no files",
    async (podman) => {
      await using _box = await podman.start([], "sleep", "1000");
      const status = await podman.account.user.shell(`cat /proc/${helperPid}/status`);
      expect(status).toMatch(/^CapEff:\t0{16}$/m);
      expect(status).toMatch(/^CapBnd:\t0{16}$/m);
      expect(await podman.account.user.shell(`ls -A /proc/${helperPid}/root/`)).toBe("");
    },
    { why: "CAP_NET_BIND_SERVICE, /etc and /run", error: /CapEff:/ },
  );

  check("restart", async (podman) => {
    const port = podman.port();
    const publish = ["-p", `${port}:80`, "--network=slirp4netns:port_handler=slirp4netns"];
    await using box = await podman.start(publish, ...serving);
    await seenFromHost(podman.lab, port, link.host);
    await podman.do("restart", "--time=0", box.id);
    await seenFromHost(podman.lab, port, link.host);
    expect(await box.exec("sh", "-c", fetch4)).toBe(podman.sha256);
    expect(await podman.helpers()).toHaveLength(1);
  });

  check("podman info names helper and version", async (podman) => {
    const format = "--format={{.Host.Slirp4NetNS.Executable}} {{.Host.Slirp4NetNS.Version}}";
    const [executable, version] = (await podman.do("info", format)).split(/ (.*)/s);
    expect(executable).toBe(podman.helper.path);
    expect(version).toMatch(/^slirp4netns version \d+\.\d+\.\d+\n/);
  });
});
