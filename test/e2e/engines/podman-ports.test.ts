import { expect } from "vitest";
import { link } from "../../lab/addresses.ts";
import { compare } from "./comparison.ts";
import { image, serving } from "./image.ts";
import { Podman, seenFromHost, seenFromWorld } from "./podman.ts";
import { checkUdpPorts, withUdpServer } from "./podman-checks.ts";

compare("podman run -p", Podman.create, (check) => {
  const rootlessport: string[] = [];
  const slirp4netns = ["--network=slirp4netns:port_handler=slirp4netns"];

  check("by rootlesskit's port handler", async (podman) => {
    const port = podman.port();
    await using _box = await podman.start([...rootlessport, "-p", `${port}:80`], ...serving);
    await seenFromHost(podman.lab, port);
    await seenFromWorld(podman.lab, port);
  });

  check("by the helper's API, from another host", async (podman) => {
    const port = podman.port();
    await using _box = await podman.start([...slirp4netns, "-p", `${port}:80`], ...serving);
    await seenFromWorld(podman.lab, port);
  });

  check("by the helper's API, from the host's 127.0.0.1", async (podman) => {
    const port = podman.port();
    await using _box = await podman.start([...slirp4netns, "-p", `${port}:80`], ...serving);
    await seenFromHost(podman.lab, port);
  });

  check("the container sees the client's address", async (podman) => {
    const port = podman.port();
    await using _box = await podman.start([...slirp4netns, "-p", `${port}:80`], ...serving);
    expect(await seenFromWorld(podman.lab, port)).toBe(link.world);
  });

  check(
    "by the helper's API, at an IPv6 address",
    async (podman) => {
      const port = podman.port();
      await using _box = await podman.start([...slirp4netns, "-p", `[::1]:${port}:80`], ...serving);
      await seenFromHost(podman.lab, port, "[::1]");
    },
    { why: "its API has IPv4 only", error: /bad arguments.host_addr/ },
  );

  check("UDP from another host", (podman) => asksUdp(podman, "world"));

  check("UDP from 127.0.0.1, host loopback disabled", (podman) => asksUdp(podman, "host"), {
    why: "no answer arrives",
    error: /no answer within/,
  });

  check("several ports, TCP and UDP, and a range", async (podman) => {
    const [a, b, c] = [podman.port(), podman.port(), podman.port()];
    const ports = ["-p", `${a}:80`, "-p", `${b}-${c}:80-81/tcp`, "-p", `${a}:53/udp`];
    await using _box = await podman.start([...slirp4netns, ...ports], ...serving);
    await seenFromWorld(podman.lab, a);
    await seenFromWorld(podman.lab, b);
  });

  checkUdpPorts(check, slirp4netns, "0.0.0.0");

  check("a port in use is refused, and the container does not start", async (podman) => {
    const taken = await podman.lab.host.agent.listen("0.0.0.0");
    const { port } = taken.endpoint;
    const { code, stderr } = await podman.attempt([
      ...["run", "--rm", ...slirp4netns, "-p", `${port}:80`, image, "true"],
    ]);
    expect(code).toBe(126);
    expect(stderr).toContain("slirp_add_hostfwd failed");
    await expect.poll(() => podman.helpers()).toEqual([]);
  });

  check("the port is free when the container is gone", async (podman) => {
    const port = podman.port();
    for (const _ of [1, 2]) {
      await using web = await podman.start([...slirp4netns, "-p", `${port}:80`], ...serving);
      await seenFromWorld(podman.lab, port);
      await podman.do("kill", web.id);
      await expect.poll(() => podman.helpers()).toEqual([]);
    }
  });

  async function asksUdp(podman: Podman, from: "world" | "host"): Promise<void> {
    const port = podman.port();
    const options = [...slirp4netns, "-p", `${port}:53/udp`];
    await withUdpServer(podman, options, "0.0.0.0", async (server) => {
      const { agent } = podman.lab[from];
      const client = await agent.udp("0.0.0.0");
      const address = from === "world" ? link.host : "127.0.0.1";
      await client.send({ address, port }, "question");
      const question = await server.receive();
      expect(question.text).toBe("question");
      await server.send(question.from, "answer");
      expect((await client.receive(2_000)).text).toBe("answer");
    });
  }
});
