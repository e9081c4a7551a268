import { expect } from "vitest";
import { httpName, link, served } from "../../lab/addresses.ts";
import { compare } from "./comparison.ts";
import { refusedFromHost, seenFromHost, seenFromWorld } from "./podman.ts";
import { RootlessKit, status } from "./rootlesskit.ts";

compare("rootlesskit", RootlessKit.create, (check) => {
  check("reaches the world by name and address", async (kit) => {
    await using session = await kit.start("--mtu=65520", "--disable-host-loopback");
    expect(await status(session.inside, httpName)).toBe("403");
    expect(await status(session.inside, served.http)).toBe("403");
    const links = await session.inside.output(["ip", "link", "show", "tap0"]);
    expect(links).toContain(" mtu 65520 ");
  });

  check("sandbox and seccomp", async (kit) => {
    const flags = ["--slirp4netns-sandbox=true", "--slirp4netns-seccomp=true"];
    await using session = await kit.start(...flags);
    expect(await status(session.inside, httpName)).toBe("403");
    const [helper] = await kit.helpers();
    expect(helper).toContain("--enable-sandbox --enable-seccomp");
  });

  check("--ipv6", async (kit) => {
    await using session = await kit.start("--ipv6");
    const addresses = () => session.inside.output(["ip", "-6", "address", "show", "tap0"]);
    await expect.poll(addresses).toMatch(/inet6 fd00::\S+ scope global (?!tent)/);
    expect(await status(session.inside, `[${served.http6}]`)).toBe("403");
  });

  check("--cidr and --ifname", async (kit) => {
    await using session = await kit.start("--cidr=10.99.0.0/16", "--ifname=eth0");
    const address = await session.inside.output(["ip", "-4", "address", "show", "eth0"]);
    expect(address).toContain("inet 10.99.0.100/16 ");
    expect(await status(session.inside, httpName)).toBe("403");
  });

  for (const driver of ["builtin", "slirp4netns"] as const) {
    check(`port driver ${driver}: published at the start`, async (kit) => {
      const port = kit.port();
      await using _session = await kit.start(
        ...[`--port-driver=${driver}`, "--disable-host-loopback", `-p=0.0.0.0:${port}:80/tcp`],
      );
      await seenFromHost(kit.lab, port);
      await seenFromWorld(kit.lab, port);
    });

    check(`port driver ${driver}: add-ports, list-ports, remove-ports`, async (kit) => {
      const [stays, goes] = [kit.port(), kit.port()];
      await using session = await kit.start(`--port-driver=${driver}`, "--disable-host-loopback");
      expect(await session.control("add-ports", `0.0.0.0:${stays}:80/tcp`)).toBe("1");
      expect(await session.control("add-ports", `127.0.0.1:${goes}:80/tcp`)).toBe("2");
      await seenFromHost(kit.lab, stays);
      await seenFromHost(kit.lab, goes);
      const list = await session.control("list-ports", "--json");
      expect(list).toContain(`"parentPort":${stays}`);
      expect(list).toContain(`"parentPort":${goes}`);
      await session.control("remove-ports", "2");
      await refusedFromHost(kit.lab, goes);
      await seenFromHost(kit.lab, stays);
    });
  }

  check("port driver slirp4netns: the command sees the client's address", async (kit) => {
    const port = kit.port();
    const driver = "--port-driver=slirp4netns";
    await using _session = await kit.start(driver, `-p=0.0.0.0:${port}:80/tcp`);
    expect(await seenFromWorld(kit.lab, port)).toBe(link.world);
  });

  check("port driver slirp4netns: a port in use is an error", async (kit) => {
    const taken = await kit.lab.host.agent.listen("0.0.0.0");
    await using session = await kit.start("--port-driver=slirp4netns");
    const spec = `0.0.0.0:${taken.endpoint.port}:80/tcp`;
    await expect(session.control("add-ports", spec)).rejects.toThrow(/slirp_add_hostfwd failed/);
    expect(await status(session.inside, served.http)).toBe("403");
  });

  check("the helper dies with RootlessKit", async (kit) => {
    const session = await kit.start("--port-driver=slirp4netns");
    expect(await kit.helpers()).toHaveLength(1);
    await session.killParent("KILL");
    await expect.poll(() => kit.helpers()).toEqual([]);
  });
});
