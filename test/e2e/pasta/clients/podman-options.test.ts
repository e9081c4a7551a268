import { expect } from "vitest";
import { httpName, link, served } from "../../../lab/addresses.ts";
import { Agent } from "../../../lab/agent/client.ts";
import { fetch4, image, serving } from "../../engines/image.ts";
import { type Podman, seenFromHost, seenFromWorld } from "../../engines/podman.ts";
import { comparePodmans } from "./podman.ts";

/** Sends a line to a port of an echo server and prints the answer. */
function ask(address: string, port: number): readonly string[] {
  return ["sh", "-c", `echo hello | nc -w 5 ${address} ${port} | head -n 1`];
}

const network = (...options: readonly string[]) => `--network=pasta:${options.join(",")}`;

comparePodmans("podman run --network=pasta:OPTIONS", (check) => {
  check("host.containers.internal is the host at its own address", async (podman) => {
    const { port } = await podman.lab.host.agent.echo(link.host);
    expect(await podman.run([], ...ask("host.containers.internal", port))).toBe("hello");
  });

  check("the host's loopback cannot be reached by default", async (podman) => {
    const { port } = await podman.lab.host.agent.echo("127.0.0.1");
    const gateway = ask(link.world, port);
    const mapped = ask("host.containers.internal", port);
    expect(await podman.run([], ...gateway)).toBe("");
    expect(await podman.run([], ...mapped)).toBe("");
  });

  check("--map-gw: the host's loopback is at the gateway", async (podman) => {
    const { port } = await podman.lab.host.agent.echo("127.0.0.1");
    const options = [network("--map-gw")];
    expect(await podman.run(options, ...ask(link.world, port))).toBe("hello");
  });

  check("--map-host-loopback: an address of the user's choice leads there", async (podman) => {
    const { port } = await podman.lab.host.agent.echo("127.0.0.1");
    const options = [network("--map-host-loopback=192.0.2.9")];
    expect(await podman.run(options, ...ask("192.0.2.9", port))).toBe("hello");
  });

  check("-T: a port of the host's loopback is on the container's", async (podman) => {
    const { port } = await podman.lab.host.agent.echo("127.0.0.1");
    const options = [network("-T", `${port}`)];
    expect(await podman.run(options, ...ask("127.0.0.1", port))).toBe("hello");
  });

  check(
    "--host-lo-to-ns-lo: from the host's loopback to a server on the container's",
    async (podman) => {
      const port = podman.port();
      const options = [network("--host-lo-to-ns-lo"), "-p", `127.0.0.1:${port}:80`];
      const server = ["httpd", "-f", "-p", "127.0.0.1:80", "-h", "/www"];
      await using _web = await podman.start(options, ...server);
      expect(await seenFromHost(podman.lab, port)).toBe("127.0.0.1");
    },
  );

  check("-U: a UDP port of the host's loopback is on the container's", async (podman) => {
    const server = await podman.lab.host.agent.udp("127.0.0.1");
    const { port } = server.endpoint;
    await using box = await podman.start([network("-U", `${port}`)], "sleep", "1000");
    await using agent = await Agent.start(await box.network(), podman.lab.host.stage);
    const client = await agent.udp("127.0.0.1");
    await client.send({ address: "127.0.0.1", port }, "question");
    const { text, from } = await server.receive();
    expect(text).toBe("question");
    await server.send(from, "answer");
    expect(await client.receive(5_000)).toMatchObject({ text: "answer", from: { port } });
  });

  check("-t: published without podman's knowledge", async (podman) => {
    const port = podman.port();
    await using _web = await podman.start([network("-t", `${port}:80`)], ...serving);
    expect(await seenFromWorld(podman.lab, port)).toBe(link.world);
    expect(await seenFromHost(podman.lab, port)).toBe(link.host);
  });

  check("-t with an interface", async (podman) => {
    const port = podman.port();
    await using _web = await podman.start([network("-t", `%lo/${port}:80`)], ...serving);
    expect(await seenFromHost(podman.lab, port)).toBe(link.host);
    const url = `http://${link.host}:${port}/`;
    const from = await podman.lab.world.root.run(["curl", "-s", "-m", "5", url]);
    expect(from.code).toBe(7);
  });

  check("-t auto: what listens in the container is published", async (podman) => {
    const port = podman.port();
    const server = ["httpd", "-f", "-p", `${port}`, "-h", "/www"];
    await using _web = await podman.start([network("-t", "auto")], ...server);
    expect(await seenFromWorld(podman.lab, port)).toBe(link.world);
  });

  check("--address, --netmask, --gateway: addresses of the user's choice", async (podman) => {
    const own = network("-a", "192.0.2.100", "-n", "24", "-g", "192.0.2.2");
    const script = `ip -4 address show eth0; ip route; ${fetch4}`;
    const text = await podman.run([own], "sh", "-c", script);
    expect(text).toContain("inet 192.0.2.100/24 ");
    expect(text).toMatch(/^default via 192\.0\.2\.2 /m);
    expect(text).toContain(podman.sha256);
  });

  check(
    "all addresses of the host's interface; --outbound-addr chooses the source",
    async (podman) => {
      const { lab } = podman;
      const other = "198.51.100.7";
      await lab.host.root.shell(`ip address replace ${other}/32 dev eth0`);
      try {
        const server = await lab.world.agent.listen(served.services);
        const { address, port } = server.endpoint;
        await using box = await podman.start([network("-o", other)], "sleep", "1000");
        expect(await box.exec("ip", "-4", "address", "show", "eth0")).toContain(
          `inet ${other}/32 `,
        );
        const client = box.exec("nc", address, `${port}`);
        const connection = await server.accept();
        expect(connection.client.address).toBe(other);
        await connection.close();
        await client;
      } finally {
        await lab.host.root.shell(`ip address delete ${other}/32 dev eth0`);
      }
    },
  );

  check("--ns-ifname, --ns-mac-addr and --mtu", async (podman) => {
    const options = network(
      ...["--ns-ifname", "net7", "--ns-mac-addr", "02:00:5e:10:00:07", "-m", "1400"],
    );
    const text = await podman.run([options], "sh", "-c", `ip link show net7; ${fetch4}`);
    expect(text).toContain(" mtu 1400 ");
    expect(text).toContain("02:00:5e:10:00:07");
    expect(text).toContain(podman.sha256);
  });

  check("-4: without IPv6", async (podman) => {
    const script = `ip -6 address show scope global; ${fetch4}`;
    expect(await podman.run([network("-4")], "sh", "-c", script)).toBe(podman.sha256);
  });

  check("-6: without IPv4", async (podman) => {
    const script = "ip -4 address show eth0; ip -6 address show eth0";
    const text = await podman.run([network("-6")], "sh", "-c", script);
    expect(text).not.toContain("inet ");
    expect(text).toContain(`inet6 ${link.host6}/${link.length6} `);
  });

  check("--dns-forward, --dns-host: names by another resolver", async (podman) => {
    const options = network("--dns-forward", "192.0.2.53", "--dns-host", served.dns6);
    const script = `cat /etc/resolv.conf; nslookup ${httpName} 192.0.2.53`;
    const text = await podman.run([options], "sh", "-c", script);
    expect(text).toContain("nameserver 192.0.2.53");
    expect(text).toContain(served.http);
  });

  check("resolv.conf leads to --dns-forward, by UDP and TCP", async (podman) => {
    const script = "cat /etc/resolv.conf; nc -w 5 169.254.1.1 53 < /dev/null && echo open";
    const text = await podman.run([], "sh", "-c", script);
    expect(text).toMatch(/^nameserver 169\.254\.1\.1$/m);
    expect(text).toContain("open");
  });

  check("--no-tcp", async (podman) => {
    const script = `nc -w 2 ${served.http} 80 < /dev/null || echo closed; nslookup ${httpName}`;
    const text = await podman.run([network("--no-tcp")], "sh", "-c", script);
    expect(text).toContain("closed");
    expect(text).toContain(served.http);
  });

  check("--pcap", async (podman) => {
    const file = `${podman.account.home}/capture`;
    expect(await podman.run([network("--pcap", file)], "sh", "-c", fetch4)).toBe(podman.sha256);
    const size = Number(await podman.account.user.output(["stat", "--format=%s", file]));
    expect(size).toBeGreaterThan(300_000);
  });

  check(
    "pasta_options in containers.conf, and those of the command line after them",
    async (podman) => {
      await withConfig(podman, 'pasta_options = ["--mtu", "1300", "-T", "none"]', async () => {
        const mtu = (options: readonly string[]) =>
          podman.run(options, "cat", "/sys/class/net/eth0/mtu");
        expect(await mtu([])).toBe("1300");
        expect(await mtu([network("--mtu", "1500")])).toBe("1500");
      });
    },
  );

  for (const [what, option, text] of [
    ["an unknown option", "--no-such-option", /unrecognized option '--no-such-option'/],
    ["a port that is none", "-t,foo", /Invalid port specifier foo/],
    ["an address that is none", "-a,999.1.1.1", /Invalid address: 999\.1\.1\.1/],
    ["an interface that the host does not have", "-i,nope0", /nope0/],
  ] as const) {
    check(`${what} is refused, and the container does not start`, async (podman) => {
      const args = ["run", "--rm", network(option), image, "true"];
      const { code, stderr } = await podman.attempt(args);
      expect(code).toBe(126);
      expect(stderr).toMatch(/pasta failed with exit code 1:\n/);
      expect(stderr).toMatch(text);
      expect(await podman.helpers()).toEqual([]);
      expect(await podman.do("ps", "--all", "--quiet")).toBe("");
    });
  }
});

/** With one more line in containers.conf, of section network. */
async function withConfig(podman: Podman, line: string, body: () => Promise<void>): Promise<void> {
  const file = "$HOME/.config/containers/containers.conf";
  await podman.account.user.shell(
    `cp ${file} ${file}.old; printf '[network]\\n${line}\\n' >> ${file}`,
  );
  try {
    await body();
  } finally {
    await podman.account.user.shell(`mv ${file}.old ${file}`);
  }
}
