import { expect } from "vitest";
import { failing, httpName, link, served } from "../../lab/addresses.ts";
import { Agent, type UdpSocket } from "../../lab/agent/client.ts";
import { compare } from "./comparison.ts";
import { fetch4, fetch6, image, serving } from "./image.ts";
import { Podman, seenFromHost, seenFromWorld } from "./podman.ts";

/** In the shell, the number of the helper, by its descriptors; brackets keep pgrep's own shell out. */
const helperPid = "$(pgrep --full -- '-e 3 -r [4] ')";

compare("podman run", Podman.create, (check) => {
  check("has podman's addresses, MTU and route", async (podman) => {
    const text = await podman.run([], "sh", "-c", "ip link show tap0; ip -4 address; ip route");
    expect(text).toMatch(/tap0: .* mtu 65520 /);
    expect(text).toMatch(/inet 10\.0\.2\.100\/24 /);
    expect(text).toMatch(/default via 10\.0\.2\.2 dev tap0/);
  });

  check("fetches a file by IPv4, by IPv6, and resolves names", async (podman) => {
    const script = `${fetch4}; ${fetch6}; nslookup ${httpName}`;
    const [by4, by6, ...resolved] = (await podman.run([], "sh", "-c", script)).split("\n");
    expect(by4).toBe(podman.sha256);
    expect(by6).toBe(podman.sha256);
    expect(resolved.join("\n")).toContain(served.http);
    expect(resolved.join("\n")).toContain(served.http6);
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
    { slirp4netns: "ICMPv6 echo ends at the gateway", error: /status 1/ },
  );

  check(
    "hears that a port is closed, a host unreachable",
    async (podman) => {
      await using box = await podman.start([], "sleep", "1000");
      const to = (address: string) =>
        podman.attempt(["exec", box.id, "nc", "-w", "4", address, "1"]);
      expect((await to(served.http)).stderr).toContain("Connection refused");
      expect((await to(failing.hostUnreachable)).stderr).toContain("No route to host");
    },
    { slirp4netns: "it drops the SYN", error: /timed out/ },
  );

  check("exec", async (podman) => {
    await using box = await podman.start([], "sleep", "1000");
    expect(await box.exec("sh", "-c", fetch4)).toBe(podman.sha256);
  });

  check("the helper ends with its container", async (podman) => {
    await using box = await podman.start([], "sleep", "1000");
    expect(await podman.helpers()).toHaveLength(1);
    await podman.do("kill", box.id);
    await podman.do("wait", box.id);
    await expect.poll(() => podman.helpers(), { timeout: 10_000 }).toEqual([]);
  });

  check("the helper has a filter of system calls", async (podman) => {
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
    { slirp4netns: "CAP_NET_BIND_SERVICE, /etc and /run", error: /CapEff:/ },
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

  check("ten containers at once", async (podman) => {
    const ten = Array.from({ length: 10 }, () => podman.run([], "sh", "-c", fetch4));
    for (const output of await Promise.all(ten)) expect(output).toBe(podman.sha256);
    await expect.poll(() => podman.helpers(), { timeout: 10_000 }).toEqual([]);
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

  check("podman info names helper and version", async (podman) => {
    const format = "--format={{.Host.Slirp4NetNS.Executable}} {{.Host.Slirp4NetNS.Version}}";
    const [executable, version] = (await podman.do("info", format)).split(/ (.*)/s);
    expect(executable).toBe(podman.helper.path);
    expect(version).toMatch(/^slirp4netns version \d+\.\d+\.\d+\n/);
  });
});

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
    expect(await podman.run([network("enable_ipv6=true")], "sh", "-c", script)).toMatch(/^fd00/m);
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
    "outbound_addr that is not the host's is refused",
    async (podman) => {
      const options = ["run", "--rm", network("outbound_addr=192.0.2.77"), image, "true"];
      const { code, stderr } = await podman.attempt(options);
      expect(code).toBe(126);
      expect(stderr).toContain("192.0.2.77");
    },
    { slirp4netns: "taken, and nothing gets out", error: /expected \+0 to be 126/ },
  );

  check(
    "what is wrong with an option is the last line",
    async (podman) => {
      const { code, stderr } = await podman.attempt([
        "run",
        "--rm",
        network("mtu=70000"),
        image,
        "true",
      ]);
      expect(code).toBe(126);
      // podman quotes all that the helper printed.
      expect(stderr.trimEnd().replaceAll("\\n", "\n").split("\n").at(-2)).toMatch(/MTU|mtu/);
    },
    { slirp4netns: "its usage follows the reason", error: /to match/ },
  );
});

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

  check("the client's address is seen", async (podman) => {
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
    { slirp4netns: "its API has IPv4 only", error: /bad arguments.host_addr/ },
  );

  check("UDP from another host", (podman) => asksUdp(podman, "world"));

  check("UDP from 127.0.0.1, host loopback disabled", (podman) => asksUdp(podman, "host"), {
    slirp4netns: "no answer arrives",
    error: /no answer within/,
  });

  check("several ports, TCP and UDP, and a range", async (podman) => {
    const [a, b, c] = [podman.port(), podman.port(), podman.port()];
    const ports = ["-p", `${a}:80`, "-p", `${b}-${c}:80-81/tcp`, "-p", `${a}:53/udp`];
    await using _box = await podman.start([...slirp4netns, ...ports], ...serving);
    await seenFromWorld(podman.lab, a);
    await seenFromWorld(podman.lab, b);
  });

  check(
    "two UDP ports of the host to one of the container",
    async (podman) => {
      const [a, b] = [podman.port(), podman.port()];
      const ports = ["-p", `${a}:53/udp`, "-p", `${b}:53/udp`];
      await withUdpServer(podman, [...slirp4netns, ...ports], async (server) => {
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
    { slirp4netns: "answers of one leave from the other", error: /"port": 9\d+|to deeply equal/ },
  );

  check("a port in use is refused, and the container does not start", async (podman) => {
    const taken = await podman.lab.host.agent.listen("0.0.0.0");
    const { port } = taken.endpoint;
    const { code, stderr } = await podman.attempt([
      ...["run", "--rm", ...slirp4netns, "-p", `${port}:80`, image, "true"],
    ]);
    expect(code).toBe(126);
    expect(stderr).toContain("slirp_add_hostfwd failed");
    await expect.poll(() => podman.helpers(), { timeout: 10_000 }).toEqual([]);
  });

  check("the port is free when the container is gone", async (podman) => {
    const port = podman.port();
    for (const _ of [1, 2]) {
      await using web = await podman.start([...slirp4netns, "-p", `${port}:80`], ...serving);
      await seenFromWorld(podman.lab, port);
      await podman.do("kill", web.id);
      await expect.poll(() => podman.helpers(), { timeout: 10_000 }).toEqual([]);
    }
  });

  async function asksUdp(podman: Podman, from: "world" | "host"): Promise<void> {
    const port = podman.port();
    await withUdpServer(podman, [...slirp4netns, "-p", `${port}:53/udp`], async (server) => {
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

/** A socket at port 53 of a container with these options. */
async function withUdpServer(
  podman: Podman,
  options: readonly string[],
  body: (server: UdpSocket) => Promise<void>,
): Promise<void> {
  await using box = await podman.start(options, "sleep", "1000");
  const agent = await Agent.start(await box.network(), podman.lab.host.stage);
  try {
    await body(await agent.udp("0.0.0.0", 53));
  } finally {
    await agent.close();
  }
}
