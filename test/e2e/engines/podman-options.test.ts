import { expect } from "vitest";
import { httpName, link, served } from "../../lab/addresses.ts";
import { compare } from "./comparison.ts";
import { fetch4, image } from "./image.ts";
import { Podman } from "./podman.ts";

compare("podman run --network=slirp4netns:OPTION", Podman.create, (check) => {
  const network = (option: string) => `--network=slirp4netns:${option}`;

  check("allow_host_loopback is off by default", async (podman) => {
    const { port } = await podman.lab.host.agent.echo("127.0.0.1");
    const { code } = await podman.attempt([
      ...["run", "--rm", image],
      ...["sh", "-c", `echo hello | nc -w 3 10.0.2.2 ${port}`],
    ]);
    expect(code).toBe(1);
  });

  check("allow_host_loopback=true", async (podman) => {
    const { port } = await podman.lab.host.agent.echo("127.0.0.1");
    const client = `echo hello | nc -w 5 10.0.2.2 ${port} | head -n 1`;
    const options = [network("allow_host_loopback=true")];
    expect(await podman.run(options, "sh", "-c", client)).toBe("hello");
  });

  check("cidr", async (podman) => {
    const script = `ip -4 address show tap0; ${fetch4}; nslookup ${httpName}`;
    const text = await podman.run([network("cidr=10.99.0.0/16")], "sh", "-c", script);
    expect(text).toContain("inet 10.99.0.100/16 ");
    expect(text).toContain(served.http);
    expect(text).toContain(podman.sha256);
  });

  check("mtu", async (podman) => {
    const script = `ip link show tap0; ${fetch4}`;
    const text = await podman.run([network("mtu=1400")], "sh", "-c", script);
    expect(text).toContain(" mtu 1400 ");
    expect(text).toContain(podman.sha256);
  });

  check("enable_ipv6=false", async (podman) => {
    const script = "cat /proc/net/if_inet6";
    // The address comes by a router advertisement, somewhat after the start.
    const patient = `for i in $(seq 100); do grep -q ^fd00 /proc/net/if_inet6 && break; sleep 0.1; done; ${script}`;
    expect(await podman.run([network("enable_ipv6=true")], "sh", "-c", patient)).toMatch(/^fd00/m);
    expect(await podman.run([network("enable_ipv6=false")], "sh", "-c", script)).not.toMatch(
      /^fd00/m,
    );
  });

  check("outbound_addr, as an address and as an interface", async (podman) => {
    const other = "198.51.100.7";
    const { lab } = podman;
    await lab.host.root.shell(`ip address replace ${other}/32 dev eth0`);
    const server = await lab.world.agent.listen(served.services);
    for (const [source, seen] of [
      [other, other],
      ["eth0", link.host],
    ]) {
      const { address, port } = server.endpoint;
      const client = podman.run([network(`outbound_addr=${source}`)], "nc", address, `${port}`);
      const connection = await server.accept();
      expect(connection.client.address).toBe(seen);
      await connection.close();
      await client;
    }
  });

  check(
    "an outbound_addr that the host does not have is refused",
    async (podman) => {
      const options = ["run", "--rm", network("outbound_addr=192.0.2.77"), image, "true"];
      const { code, stderr } = await podman.attempt(options);
      expect(code).toBe(126);
      expect(stderr).toContain("192.0.2.77");
    },
    { why: "taken, and nothing gets out", error: /expected \+0 to be 126/ },
  );

  check(
    "the last line says what is wrong with an option",
    async (podman) => {
      const { code, stderr } = await podman.attempt([
        "run",
        "--rm",
        network("mtu=70000"),
        image,
        "true",
      ]);
      expect(code).toBe(126);
      // podman quotes everything the helper printed.
      expect(stderr.trimEnd().replaceAll("\\n", "\n").split("\n").at(-2)).toMatch(/MTU|mtu/);
    },
    { why: "its usage follows the reason", error: /to match/ },
  );
});
