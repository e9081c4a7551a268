import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { expect } from "vitest";
import { httpName, link, served } from "../../../lab/addresses.ts";
import type { Check } from "../../comparison.ts";
import { refusedFromHost, seenFromHost, seenFromWorld } from "../../engines/podman.ts";
import { type RootlessKit, type Session, status } from "../../engines/rootlesskit.ts";
import { compare } from "./comparison.ts";
import { rootlessKits } from "./rootlesskit.ts";

/** Runs image.ts's web server once more, at this port. */
function serve(session: Session, kit: RootlessKit, port: number): AsyncDisposable {
  const www = `${kit.account.home}/image/www`;
  const server = session.inside.spawn(["busybox", "httpd", "-f", "-p", `${port}`, "-h", www]);
  return {
    [Symbol.asyncDispose]: async () => {
      server.kill("SIGKILL");
      await server.exit;
    },
  };
}

function address(session: Session, name: string): Promise<string> {
  return session.inside.output(["ip", "address", "show", name]);
}

/** RootlessKit is dead, and its helper has this long. */
const GONE = { timeout: 5_000 };

for (const { title, why, hasIpv6, hasPesto, make } of rootlessKits) {
  compare(
    title,
    make,
    (check) => {
      defineChecks(check, hasIpv6);
      if (hasPesto) definePestosChecks(check);
    },
    why,
  );
}

function defineChecks(check: Check<RootlessKit>, hasIpv6: boolean): void {
  check("reaches the world by name and address, and pings it", async (kit) => {
    await using session = await kit.start("--disable-host-loopback");
    expect(await status(session.inside, httpName)).toBe("403");
    expect(await status(session.inside, served.http)).toBe("403");
    await session.inside.output(["ping", "-n", "-c", "1", "-W", "5", served.http]);
  });

  check("has the address and the MTU that it asked for", async (kit) => {
    await using session = await kit.start("--mtu=1400", "--cidr=10.99.0.0/16", "--ifname=eth7");
    const text = await address(session, "eth7");
    expect(text).toContain("inet 10.99.0.100/16 ");
    expect(text).toContain(" mtu 1400 ");
    expect(await status(session.inside, httpName)).toBe("403");
  });

  // RootlessKit 2 gives no IPv6 address, and has neither DHCP nor router advertisements.
  check("--ipv6", async (kit) => {
    await using session = await kit.start("--ipv6");
    expect(await status(session.inside, served.http)).toBe("403");
    const expected = hasIpv6 ? /inet6 fd00::100\/64 scope global (?!tent)/ : /inet6 fe80::/;
    await expect.poll(() => address(session, "tap0")).toMatch(expected);
    if (hasIpv6) expect(await status(session.inside, `[${served.http6}]`)).toBe("403");
  });

  check("port driver implicit: ports that it opens are the host's", async (kit) => {
    const port = kit.port();
    await using session = await kit.start("--port-driver=implicit");
    await using _server = serve(session, kit, port);
    await seenFromHost(kit.lab, port);
    await seenFromWorld(kit.lab, port);
    expect(await status(session.inside, httpName)).toBe("403");
  });

  check("port driver none: ports that it opens are not", async (kit) => {
    const port = kit.port();
    await using session = await kit.start("--port-driver=none");
    await using _server = serve(session, kit, port);
    const patience = ["--retry", "20", "--retry-connrefused", "--retry-delay", "1"];
    const ask = ["curl", "-sS", "-o", "/dev/null", ...patience];
    await session.inside.output([...ask, `http://127.0.0.1:${port}/`]);
    // "auto" would have found it within a second.
    await delay(2_500);
    await refusedFromHost(kit.lab, port);
  });

  check("--detach-netns: its namespace has the network, its command the host's", async (kit) => {
    await using session = await kit.start("--detach-netns", "--port-driver=implicit");
    const network = ["readlink", "/proc/self/ns/net"];
    expect(await session.commandsNetwork()).toBe(await kit.account.user.output(network));
    expect(await session.commandsNetwork()).not.toBe(await session.detached.output(network));
    expect(await status(session.detached, served.http)).toBe("403");
    expect(await kit.helpers()).toContainEqual(expect.stringContaining("--netns=/proc/"));
  });

  check("the helper ends with RootlessKit", async (kit) => {
    const session = await kit.start();
    expect(await kit.helpers()).not.toEqual([]);
    await session.kill();
    await expect.poll(() => kit.helpers(), GONE).toEqual([]);
  });

  check(
    "the helper ends with RootlessKit, --detach-netns",
    async (kit) => {
      const session = await kit.start("--detach-netns");
      expect(await kit.helpers()).not.toEqual([]);
      await session.kill();
      try {
        await expect.poll(() => kit.helpers(), GONE).toEqual([]);
      } finally {
        await kit.account.user.run(["pkill", "--full", "--", "--netns=/proc/"]);
      }
    },
    { why: "does not notice", error: /to deeply equal \[\]/ },
  );
}

function definePestosChecks(check: Check<RootlessKit>): void {
  check(
    "port driver pesto: add-ports, list-ports, remove-ports",
    async (kit) => {
      const [stays, goes] = [kit.port(), kit.port()];
      const pesto = `--pesto-binary=${join(dirname(kit.helper.path), "pesto")}`;
      await using session = await kit.start("--port-driver=pesto", pesto);
      expect(await session.control("add-ports", `0.0.0.0:${stays}:80/tcp`)).toBe("1");
      expect(await session.control("add-ports", `127.0.0.1:${goes}:80/tcp`)).toBe("2");
      expect(await seenFromWorld(kit.lab, stays)).toBe(link.world);
      await seenFromHost(kit.lab, goes);
      expect(await session.control("list-ports", "--json")).toContain(`"parentPort":${stays}`);
      await session.control("remove-ports", "2");
      await refusedFromHost(kit.lab, goes);
      await seenFromWorld(kit.lab, stays);
    },
    { why: "has no pesto in Debian 13", error: /pesto/ },
  );
}
