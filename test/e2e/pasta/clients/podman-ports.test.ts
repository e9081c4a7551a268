import { expect } from "vitest";
import { link } from "../../../lab/addresses.ts";
import { image, serving } from "../../engines/image.ts";
import { type Podman, seenFromHost, seenFromWorld } from "../../engines/podman.ts";
import { checkUdpPorts, withUdpServer } from "../../engines/podman-checks.ts";
import { comparePodmans } from "./podman.ts";

const host6 = `[${link.host6}]`;
/** podman's --map-guest-addr: the host at the address that the container has, too. */
const mapped = "169.254.1.2";

comparePodmans("podman run -p", (check) => {
  check("from another host, which the container sees", async (podman) => {
    const { lab } = podman;
    const port = podman.port();
    await using _web = await podman.start(["-p", `${port}:80`], ...serving);
    expect(await seenFromWorld(lab, port)).toBe(link.world);
    expect(await seenFromWorld(lab, port, host6)).toBe(link.world6);
  });

  check("from the host's loopback, as from the container's own address", async (podman) => {
    const { lab } = podman;
    const port = podman.port();
    await using _web = await podman.start(["-p", `${port}:80`], ...serving);
    expect(await seenFromHost(lab, port)).toBe(link.host);
    expect(await seenFromHost(lab, port, "[::1]")).toMatch(/^(2001:db8:0:1::2|fe80::.*)$/);
  });

  check("from the host's own address, as from host.containers.internal", async (podman) => {
    const port = podman.port();
    await using _web = await podman.start(["-p", `${port}:80`], ...serving);
    expect(await seenFromHost(podman.lab, port, link.host)).toBe(mapped);
  });

  check(
    "from the host's own IPv6 address, as from the router",
    async (podman) => {
      const port = podman.port();
      await using _web = await podman.start(["-p", `${port}:80`], ...serving);
      expect(await seenFromHost(podman.lab, port, host6)).toBe(link.world6);
    },
    { why: "no answer if the router has no link-local address", error: /timed out|fe80::/ },
  );

  check("at one address: nowhere else", async (podman) => {
    const { lab } = podman;
    const hosts = lab.host.user;
    const worlds = lab.world.root;
    for (const [address, from, other] of [
      ["127.0.0.1", hosts, link.host],
      [link.host, worlds, host6],
      ["[::1]", hosts, "127.0.0.1"],
      [host6, worlds, link.host],
    ] as const) {
      const port = podman.port();
      await using _web = await podman.start(["-p", `${address}:${port}:80`], ...serving);
      if (from === hosts) await seenFromHost(lab, port, address);
      else await seenFromWorld(lab, port, address);
      const url = `http://${other}:${port}/`;
      expect(await from.run(["curl", "-s", "-m", "5", url]), url).toMatchObject({ code: 7 });
    }
  });

  check("a range and several ports of both protocols", async (podman) => {
    const { lab } = podman;
    const [a, b, c] = [podman.port(), podman.port(), podman.port()];
    const ports = ["-p", `${a}-${b}:79-80`, "-p", `${c}:80`, "-p", `${a}-${b}:53-54/udp`];
    await using _web = await podman.start(ports, ...serving);
    expect(await seenFromWorld(lab, b)).toBe(link.world);
    expect(await seenFromWorld(lab, c)).toBe(link.world);
    // Nobody listens at the container's port 79.
    const refused = await lab.world.root.run([
      "curl",
      "-s",
      "-m",
      "5",
      `http://${link.host}:${a}/`,
    ]);
    expect(refused.code).not.toBe(0);
  });

  for (const [title, from, address, own] of [
    ["UDP from another host, which the container sees", "world", link.host, link.world],
    ["UDP from another host by IPv6", "world", link.host6, link.world6],
    ["UDP from the host's loopback", "host", "127.0.0.1", link.host],
    ["UDP from the host's own address", "host", link.host, mapped],
  ] as const) {
    check(title, async (podman) => {
      const port = podman.port();
      await withUdpServer(podman, ["-p", `${port}:53/udp`], "::", async (server) => {
        const client = await podman.lab[from].agent.udp(address.includes(":") ? "::" : "0.0.0.0");
        for (const text of ["question", "another"]) {
          await client.send({ address, port }, text);
          const question = await server.receive();
          expect(question.text).toBe(text);
          expect(question.from.address.replace("::ffff:", "")).toBe(own);
          await server.send(question.from, "answer");
          expect((await client.receive(5_000)).from).toEqual({ address, port });
        }
      });
    });
  }

  checkUdpPorts(check, [], "::");

  check("a port in use is refused, and the container does not start", async (podman) => {
    await using taken = await podman.lab.host.agent.listen("0.0.0.0");
    const { port } = taken.endpoint;
    const text = await refusal(podman, `${link.host}:${port}:80`);
    expect(text).toContain(
      `Failed to bind port ${port} (Address already in use) for option '-t ${link.host}/${port}-${port}:80-80'`,
    );
  });

  check("a port in use in IPv4 only is published in IPv6", async (podman) => {
    await using taken = await podman.lab.host.agent.listen("0.0.0.0");
    const { port } = taken.endpoint;
    await using _web = await podman.start(["-p", `${port}:80`], ...serving);
    expect(await seenFromWorld(podman.lab, port, host6)).toBe(link.world6);
  });

  check("a privileged port is refused", async (podman) => {
    expect(await refusal(podman, "81:80")).toContain("Failed to bind port 81 (Permission denied)");
  });

  check("an address that the host does not have is refused", async (podman) => {
    const port = podman.port();
    expect(await refusal(podman, `192.0.2.77:${port}:80`)).toContain(
      `Failed to bind port ${port} (Cannot assign requested address)`,
    );
  });

  check("the port is free when the container is gone", async (podman) => {
    const port = podman.port();
    for (const _ of [1, 2]) {
      await using web = await podman.start(["-p", `${port}:80`], ...serving);
      await seenFromWorld(podman.lab, port);
      await podman.do("kill", web.id);
      await podman.do("wait", web.id);
      await expect.poll(() => podman.helpers()).toEqual([]);
    }
  });
});

/** What podman says of a container that cannot be published so; nothing of it is left. */
async function refusal(podman: Podman, publish: string): Promise<string> {
  const { code, stderr } = await podman.attempt(["run", "--rm", "-p", publish, image, "true"]);
  expect(code).toBe(126);
  expect(stderr).toMatch(/^Error: .*pasta failed with exit code 1:\n/m);
  await expect.poll(() => podman.helpers()).toEqual([]);
  expect(await podman.do("ps", "--all", "--quiet")).toBe("");
  return stderr;
}
