import { expect } from "vitest";
import { failing, httpName, link, served } from "../../lab/addresses.ts";
import { Agent, type UdpSocket } from "../../lab/agent/client.ts";
import type { Check } from "../comparison.ts";
import { fetch4, fetch6, serving } from "./image.ts";
import { type Podman, seenFromHost, seenFromWorld } from "./podman.ts";

/** What podman's containers can do whatever the helper is: slirp4netns, or pasta (../pasta/clients). */
export function checkContainers(check: Check<Podman>): void {
  check("fetches a file by IPv4, by IPv6, and resolves names", async (podman) => {
    const script = `${fetch4}; ${fetch6}; nslookup ${httpName}`;
    const [by4, by6, ...resolved] = (await podman.run([], "sh", "-c", script)).split("\n");
    expect(by4).toBe(podman.sha256);
    expect(by6).toBe(podman.sha256);
    expect(resolved.join("\n")).toContain(served.http);
    expect(resolved.join("\n")).toContain(served.http6);
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
}

/** A container is told that a port is closed, and that a host cannot be reached. */
export async function hearsOfFailures(podman: Podman): Promise<void> {
  await using box = await podman.start([], "sleep", "1000");
  const to = (address: string) => podman.attempt(["exec", box.id, "nc", "-w", "4", address, "1"]);
  expect((await to(served.http)).stderr).toContain("Connection refused");
  expect((await to(failing.hostUnreachable)).stderr).toContain("No route to host");
}

/** Likewise, of bridge networks: one helper has the namespace that all of a user share. */
export function checkNetworks(check: Check<Podman>): void {
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
    await seenFromHost(podman.lab, port, link.host);
    await seenFromWorld(podman.lab, port);
  });
}

/**
 * Two ports of the host for one of a container: an answer leaves from the port that was asked.
 * @param options of podman run, before the ports
 * @param address where the container listens
 */
export function checkUdpPorts(
  check: Check<Podman>,
  options: readonly string[],
  address: "0.0.0.0" | "::",
): void {
  check(
    "two UDP ports of the host lead to one of the container",
    async (podman) => {
      const [a, b] = [podman.port(), podman.port()];
      const ports = ["-p", `${a}:53/udp`, "-p", `${b}:53/udp`];
      await withUdpServer(podman, [...options, ...ports], address, async (server) => {
        const client = await podman.lab.world.agent.udp("0.0.0.0");
        for (const port of [a, b]) {
          await client.send({ address: link.host, port }, `to ${port}`);
          const { from, text } = await server.receive();
          expect(text).toBe(`to ${port}`);
          await server.send(from, "answer");
          expect((await client.receive()).from).toEqual({ address: link.host, port });
        }
      });
    },
    { why: "answers of one leave from the other", error: /"port": 9\d+|to deeply equal/ },
  );
}

/** A socket at port 53 of a container with these options. */
export async function withUdpServer(
  podman: Podman,
  options: readonly string[],
  address: "0.0.0.0" | "::",
  body: (server: UdpSocket) => Promise<void>,
): Promise<void> {
  await using box = await podman.start(options, "sleep", "1000");
  await using agent = await Agent.start(await box.network(), podman.lab.host.stage);
  await body(await agent.udp(address, 53));
}
