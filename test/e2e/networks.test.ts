import { join } from "node:path";
import { link, served } from "../lab/addresses.ts";
import { isSlipway, node, root } from "../lab/product.ts";
import { DaemonUser, eventually, type Member } from "./daemon-user.ts";
import { test as base, describe, expect } from "./fixture.ts";

const test = base
  .extend("user", { scope: "file" }, async ({ lab }, { onCleanup }) => {
    const user = await DaemonUser.create(lab);
    onCleanup(() => user[Symbol.asyncDispose]());
    return user;
  })
  .runIf(isSlipway);

const families = ["v4", "v6"] as const;

describe("members of one network", () => {
  test("find each other by name and alias, forward and reverse", async ({ user }) => {
    await user.ok("network", "create", "names", "--ipv6");
    const db = await user.member("names", "db", "--alias", "postgres");
    const app = await user.member("names", "app");
    for (const name of ["db", "postgres"]) {
      expect(await dig(app, name, "A")).toBe(db.addresses.v4);
      expect(await dig(app, name, "AAAA")).toBe(db.addresses.v6);
    }
    expect(await dig(app, "-x", db.addresses.v4)).toBe("db.names.");
    expect(await dig(app, "-x", db.addresses.v6)).toBe("db.names.");
    expect(await digStatus(app, "nobody.example")).toContain("NXDOMAIN");
  });

  test("answer in turn if they share an alias", async ({ user }) => {
    await user.ok("network", "create", "turns");
    const first = await user.member("turns", "one", "--alias", "api");
    const second = await user.member("turns", "two", "--alias", "api");
    const client = await user.member("turns", "client");
    const asked = [];
    for (let count = 0; count < 4; count += 1) asked.push(await dig(client, "api", "A"));
    expect(asked).toEqual([first, second, first, second].map(({ addresses }) => addresses.v4));
    await user.ok("network", "disconnect", "turns", "one");
    expect(await dig(client, "api", "A")).toBe(second.addresses.v4);
  });

  test.for(families)("carry 48 MiB over %s unchanged, in superframes", async (family, { user }) => {
    await user.ok("network", "create", `bulk${family}`, "--ipv6");
    const server = await user.member(`bulk${family}`, `server${family}`);
    const client = await user.member(`bulk${family}`, `client${family}`);
    const listener = await server.agent.listen(server.addresses[family]);
    const outgoing = await client.agent.connect(listener.endpoint);
    const incoming = await listener.accept();
    expect(incoming.client.address).toBe(client.addresses[family]);
    const received = incoming.receive();
    const sent = await outgoing.send(48 << 20);
    await outgoing.end();
    expect(await received).toEqual(sent);
    const { framesIn, bytesIn } = await countersOf(user, client.name);
    // A frame of MTU 1500 has 1514 bytes; an offloaded one has more.
    expect(bytesIn / framesIn).toBeGreaterThan(1_514);
  });

  test("resolve each other's MACs, and frames go to their destination only", async ({ user }) => {
    await user.ok("network", "create", "quiet");
    const a = await user.member("quiet", "a");
    const b = await user.member("quiet", "b");
    const c = await user.member("quiet", "c");
    await a.namespace.output(["ping", "-c", "3", "-i", "0.2", b.addresses.v4]);
    const seen = await countersOf(user, c.name);
    // ARP requests went to b only, too; c gets group frames: MLD, and announcements of new members.
    expect(seen.bytesOut).toBeLessThan(2_000);
    const neighbors = await a.namespace.output(["ip", "neigh", "show", b.addresses.v4]);
    expect(neighbors).toContain(await macOf(user, b.name));
  });

  test("reach the outside, its names, and the gateway", async ({ user }) => {
    // It is made when it is first used.
    await user.ok("run", "--network", "bridge", "--", "true");
    const member = await user.member("bridge", "outward");
    const code = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}"];
    expect(await member.namespace.output([...code, "http://world.example/"])).toMatch(
      /^(200|403|404)$/,
    );
    const [report] = await user.inspect("bridge");
    await member.namespace.output(["ping", "-c", "1", "-W", "2", report.IPAM.Config[0].Gateway]);
  });

  test("cannot send from another's addresses", async ({ user }) => {
    await user.ok("network", "create", "honest", "--ipv6");
    const liar = await user.member("honest", "liar");
    const victim = await user.member("honest", "victim");
    const third = await user.member("honest", "third");
    const before = await third.namespace.output([
      "ping",
      "-c",
      "1",
      "-W",
      "2",
      victim.addresses.v4,
    ]);
    expect(before).toContain("1 received");
    await liar.namespace.shell(`
      ip address add ${victim.addresses.v4}/24 dev eth0
      ip address add ${victim.addresses.v6}/64 dev eth0 nodad
    `);
    const lie = (...args: string[]) => liar.namespace.run(["ping", "-c", "2", "-W", "1", ...args]);
    expect((await lie("-I", victim.addresses.v4, third.addresses.v4)).code).toBe(1);
    expect((await lie("-6", "-I", victim.addresses.v6, third.addresses.v6)).code).toBe(1);
    const neighbor = await third.namespace.output(["ip", "neigh", "show", victim.addresses.v4]);
    expect(neighbor).toContain(await macOf(user, victim.name));
    await liar.namespace.shell("ip link set eth0 address 02:00:00:00:00:99");
    expect((await lie(third.addresses.v4)).code).toBe(1);
    const drops = (await attachmentOf(user, "liar")).drops;
    expect(drops["policy-spoofed"]).toBeGreaterThanOrEqual(4);
  });
});

describe("networks", () => {
  test("do not reach each other, by address or by name", async ({ user }) => {
    await user.ok("network", "create", "left");
    await user.ok("network", "create", "right");
    const left = await user.member("left", "lefty");
    const right = await user.member("right", "righty");
    const listener = await right.agent.listen(right.addresses.v4);
    const refusal = await left.agent.refusal(listener.endpoint);
    expect(refusal.code).toBe("EHOSTUNREACH");
    expect(await digStatus(left, "righty")).toContain("NXDOMAIN");
    // A member of both networks resolves the names of both.
    await user.ok("network", "connect", "right", "lefty");
    expect(await dig(left, "righty", "A")).toBe(right.addresses.v4);
    const connection = await left.agent.connect(listener.endpoint);
    await connection.close();
    await user.ok("network", "disconnect", "right", "lefty");
    expect((await left.agent.refusal(listener.endpoint)).code).toBe("EHOSTUNREACH");
  });

  test("that are internal do not reach the outside", async ({ user }) => {
    await user.ok("network", "create", "inner", "--internal", "--ipv6");
    const member = await user.member("inner", "hermit");
    const peer = await user.member("inner", "hermit2");
    for (const address of [served.http, served.http6]) {
      expect((await member.agent.refusal({ address, port: 80 })).code).toBe("ENETUNREACH");
    }
    const [report] = await user.inspect("inner");
    await member.namespace.shell(`ip route add default via ${report.IPAM.Config[0].Gateway}`);
    const refusal = await member.agent.refusal({ address: served.http, port: 80 });
    expect(refusal.code).toBe("EHOSTUNREACH");
    expect(await dig(member, "hermit2", "A")).toBe(peer.addresses.v4);
    expect(await digStatus(member, "world.example")).toContain("SERVFAIL");
  });

  test("are shown as docker shows them", async ({ user }) => {
    await user.ok(
      ...["network", "create", "shown", "--subnet", "10.90.7.0/24", "--ip-range", "10.90.7.64/26"],
      ...["--gateway", "10.90.7.9", "--label", "team=blue", "--mtu", "1400", "--internal"],
    );
    await user.member("shown", "looked-at", "--ip", "10.90.7.50");
    await user.member("shown", "ranged");
    const [report] = await user.inspect("shown");
    expect(report).toMatchObject({
      Name: "shown",
      Driver: "bridge",
      Scope: "local",
      Internal: true,
      EnableIPv6: false,
      Labels: { team: "blue" },
      Options: { "com.docker.network.driver.mtu": "1400" },
      IPAM: {
        Driver: "default",
        Config: [{ Subnet: "10.90.7.0/24", Gateway: "10.90.7.9", IPRange: "10.90.7.64/26" }],
      },
    });
    expect(report.Id).toMatch(/^[0-9a-f]{64}$/);
    const containers: { Name: string }[] = Object.values(report.Containers);
    expect(containers).toMatchObject([
      { Name: "looked-at", IPv4Address: "10.90.7.50/24", MacAddress: "02:42:0a:5a:07:32" },
      { Name: "ranged", IPv4Address: "10.90.7.64/24", IPv6Address: "" },
    ]);
    const shown = await user.ok("network", "ls", "--format", "{{.Name}} {{.Driver}}");
    expect(shown).toContain("shown bridge\n");
    const template = "{{range .Containers}}{{.IPv4Address}} {{end}}{{index .Labels `team`}}";
    const inspected = await user.ok("network", "inspect", "shown", "-f", template);
    expect(inspected).toMatch(/^10\.90\.7\.\d+\/24 10\.90\.7\.\d+\/24 blue\n$/);
    const table = await user.ok("ps", "--format", "table {{.Names}}\\t{{.Networks}}\\t{{.State}}");
    expect(table).toMatch(/^NAMES +NETWORKS +STATE\n/);
    expect(table).toMatch(/^looked-at +shown +running$/m);
    expect(await user.refusal("ps", "--format", "{{range .Names}}")).toMatch(/^2 .*has no {{end}}/);
  });

  test("bridge, host and none are always there", async ({ user, lab }) => {
    await using own = await DaemonUser.create(lab);
    const listed = ["network", "ls", "--format", "{{.Name}} {{.Driver}} {{.Scope}}"] as const;
    const builtin = "bridge bridge local\nhost host local\nnone null local\n";
    expect(await own.ok(...listed)).toBe(builtin);
    const before = await own.ok("network", "ls", "-q");
    const [none, bridge] = await own.inspect("none", "bridge");
    expect(none).toMatchObject({ Name: "none", Driver: "null", IPAM: { Config: [] } });
    // To look at it does not make it: its subnet stays free for others.
    expect(bridge).toMatchObject({ Name: "bridge", Driver: "bridge", IPAM: { Config: [] } });
    await own.ok("run", "--network", "bridge", "--", "true");
    const [made] = await own.inspect("bridge");
    expect(made.IPAM.Config[0].Subnet).toMatch(/^10\.89\./);
    // Nor does its id change when it is made.
    expect(await own.ok("network", "ls", "-q")).toBe(before);
    expect(await own.ok("daemon", "status")).toMatch(/; 0 networks, 0 members\n$/);
    for (const name of ["bridge", "host", "none"]) {
      expect(await own.refusal("network", "rm", name)).toContain(
        `1 slipway: network ${name} cannot be removed: it is always there`,
      );
      expect(await own.refusal("network", "create", name)).toContain(
        `2 slipway: network ${name} is always there: choose another name`,
      );
    }
    expect(await own.ok("network", "prune")).toBe("");
    expect(await own.ok(...listed)).toBe(builtin);
    const { pid } = await lab.host.namespace();
    expect(await user.refusal("network", "connect", "host", `${pid}`)).toBe(
      "1 slipway: network host has no members: slipway run --network host starts a command there",
    );
  });

  test("are created, listed and removed with docker's spellings", async ({ lab }) => {
    await using user = await DaemonUser.create(lab);
    await user.ok("network", "create", "-d", "bridge", "blue", "--label", "team=blue");
    await user.ok("network", "create", "--driver=bridge", "red");
    await user.member("red", "lodger");
    const names = (...filters: string[]) =>
      user.ok("network", "ls", ...filters.flatMap((each) => ["-f", each]), "--format", "{{.Name}}");
    expect(await names("type=custom")).toBe("blue\nred\n");
    expect(await names("type=builtin", "driver=host", "driver=null")).toBe("host\nnone\n");
    expect(await names("dangling=true")).toBe("blue\n");
    expect(await names("label=team=blue")).toBe("blue\n");
    expect(await names("label!=team", "type=custom")).toBe("red\n");
    expect(await names("name=^/?r")).toBe("red\n");
    expect(await names("scope=global")).toBe("");
    const [{ Id }] = await user.inspect("red");
    expect(
      await user.ok("network", "ls", "-q", "--no-trunc", "--filter", `id=${Id.slice(0, 12)}`),
    ).toBe(`${Id}\n`);
    expect(await user.ok("network", "prune", "-f", "--filter", "until=1h")).toBe("");
    expect(await user.ok("network", "prune", "-f", "--filter", "label=team")).toBe("blue\n");
    expect(await user.refusal("network", "rm", "-f", "blue", "red")).toContain("red is in use");
    expect(await user.ok("network", "rm", "-f", "blue")).toBe("");
    expect(await user.refusal("network", "create", "-d", "macvlan", "x")).toMatch(
      /^2 .*needs root/,
    );
  });

  test("are removed if they have no members", async ({ user }) => {
    await user.ok("network", "create", "brief");
    const { namespace } = await user.member("brief", "passer-by");
    expect(await user.refusal("network", "rm", "brief")).toBe(
      "1 slipway: network brief is in use: disconnect its members first: slipway network inspect brief",
    );
    await namespace.release();
    await eventually(() => user.ok("network", "rm", "brief"));
    expect(await user.refusal("network", "inspect", "brief")).toContain(
      "network brief does not exist",
    );
  });
});

describe("slipway run --network", () => {
  const serve = [
    "sh",
    "-c",
    "echo up; exec socat TCP6-LISTEN:80,fork,reuseaddr SYSTEM:'echo $SOCAT_PEERADDR'",
  ];

  test("publishes ports, with the client's address; hairpin, too", async ({ user, lab }) => {
    await user.ok("network", "create", "shop", "--ipv6");
    const server = user.run(
      "--network",
      "shop",
      "--name",
      "shopkeeper",
      "-p",
      "8088:80",
      "--",
      ...serve,
    );
    await server.printed(/up/);
    const client = await user.member("shop", "buyer");
    const ask = (from: { output(argv: readonly string[]): Promise<string> }, at: string) =>
      eventually(() => from.output(["socat", "-T5", "-", `TCP:${at},connect-timeout=5`]));
    expect(await ask(lab.world.root, `${link.host}:8088`)).toContain("c633:6401");
    expect(await ask(lab.world.root, `[${link.host6}]:8088`)).toContain("2001:0db8:0000:0001");
    expect(await ask(client.namespace, `${link.host}:8088`)).toContain("c633:6402");
    expect(await ask(client.namespace, "shopkeeper:80")).toMatch(/ffff:0a59|\[fd/);
    const ports = await user.ok("ps", "--format", "{{.name}} {{json .published}}");
    expect(ports).toContain('shopkeeper ["0.0.0.0:8088->80/tcp","[::]:8088->80/tcp"]');
    server.kill("SIGKILL");
    // The command ends with its run, and with it its attachment, name and published port.
    await eventually(async () => {
      expect(await user.ok("ps")).not.toContain("shopkeeper");
      expect(await lab.host.user.output(["ss", "-Hlnt"])).not.toContain(":8088");
    });
  });

  test("with -P publishes what it listens on, except what is excluded", async ({ user, lab }) => {
    const serve = (port: number) => `socat TCP-LISTEN:${port},fork,reuseaddr SYSTEM:'echo ${port}'`;
    const script = `${serve(8077)} & a=$!; ${serve(8078)} & b=$!; trap 'kill $a $b' TERM; wait`;
    const options = ["--network", "bridge", "--name", "open", "-P", "--publish-exclude", "8078"];
    const run = user.run(...options, "--", "sh", "-c", script);
    const answer = await eventually(() =>
      lab.world.root.output(["socat", "-T5", "-", `TCP:${link.host}:8077,connect-timeout=5`]),
    );
    expect(answer).toBe("8077\n");
    expect(await user.ok("ps")).toContain("0.0.0.0:8077->8077/tcp");
    expect(await user.ok("ps")).not.toContain(":8078->");
    run.kill("SIGTERM");
    await run.ended(10_000);
  });

  test("has the hostname of --hostname, or its name", async ({ user }) => {
    const inside = (...options: string[]) => user.ok("run", ...options, "--", "hostname");
    expect(await inside("--network", "bridge", "--name", "named")).toBe("named\n");
    expect(await inside("--network", "bridge", "--hostname", "box.example")).toBe("box.example\n");
    expect(await inside("--hostname", "alone")).toBe("alone\n");
  });

  test("has hosts and hostname as docker writes them", async ({ user, lab }) => {
    await user.ok("network", "create", "files", "--subnet", "10.90.8.0/24", "--ipv6");
    const before = await lab.host.user.output(["cat", "/etc/hosts"]);
    const options = ["--name", "me", "--hostname", "box.example", "--ip", "10.90.8.9"];
    const text = await user.ok(
      ...["run", "--network", "files", "--network", "bridge", ...options],
      ...["--add-host", "peer=192.0.2.7", "--", "sh", "-c"],
      "cat /etc/hosts /etc/hostname; ip -o address show scope global | grep -o 'inet6* [^/]*'",
    );
    const own = [...text.matchAll(/inet6? (\S+)/g)].map(([, address]) => address);
    expect(own).toHaveLength(4);
    const [hosts, rest] = text.split("box.example\ninet");
    expect(rest).toBeDefined();
    const lines = hosts.trim().split("\n");
    expect(lines).toContain("127.0.0.1\tlocalhost");
    expect(lines).toContain("::1\tlocalhost ip6-localhost ip6-loopback");
    expect(lines).toContain("192.0.2.7\tpeer");
    for (const address of own) expect(lines).toContain(`${address}\tbox.example me`);
    expect(lines).toHaveLength(6 + 1 + own.length);
    expect(await lab.host.user.output(["cat", "/etc/hosts"])).toBe(before);
  });

  test("exits with the command's status, and what it sent last arrives", async ({ user, lab }) => {
    const listener = await lab.world.agent.listen(served.services);
    const { address, port } = listener.endpoint;
    const run = user.run(
      "--network",
      "bridge",
      "--",
      "sh",
      "-c",
      `head -c 3000000 /dev/zero | socat -u - TCP:${address}:${port}; exit 7`,
    );
    const incoming = await listener.accept();
    const received = incoming.receive();
    expect((await run.ended(20_000)).code).toBe(7);
    expect((await received).bytes).toBe(3_000_000);
  });
});

describe("slipway run --network with another mode", () => {
  const net = ["readlink", "/proc/self/ns/net"];

  test("host is the host's network", async ({ user, lab }) => {
    const inside = await user.ok("run", "--network", "host", "--", ...net);
    expect(inside).toBe(await lab.host.user.output(net));
  });

  test("none has lo, up, and nothing else", async ({ user }) => {
    const list = [
      "sh",
      "-c",
      "ip -brief link; ping -c1 -W1 127.0.0.1 > /dev/null; echo $?; exit 5",
    ];
    const { code, stdout } = await user.command("run", "--network", "none", "--", ...list);
    expect(code).toBe(5);
    expect(stdout).toMatch(/^lo +UNKNOWN [^\n]*\n0\n$/);
  });

  test("container: joins a member or a process", async ({ user, lab }) => {
    await user.ok("network", "create", "joint");
    const { namespace } = await user.member("joint", "joined");
    const wanted = await namespace.output(net);
    for (const target of ["joined", `${namespace.pid}`]) {
      expect(await user.ok("run", "--network", `container:${target}`, "--", ...net)).toBe(wanted);
    }
    expect(await user.refusal("run", "--network", "container:nobody", "--", ...net)).toContain(
      "there is no member nobody",
    );
    // A member that was connected by a file is found by a process in its namespace.
    const other = await lab.host.namespace();
    const path = `/proc/${other.pid}/ns/net`;
    await user.ok("network", "connect", "joint", path, "--name", "by-file");
    expect(await user.ok("run", "--network", "container:by-file", "--", ...net)).toBe(
      await other.output(net),
    );
  });
});

describe("slipway inspect", () => {
  test("shows a member as docker shows a container", async ({ user, lab }) => {
    await user.ok("network", "create", "seen", "--ipv6");
    const server = user.run(
      ...["--network", "seen:alias=api", "--name", "server", "--hostname", "box", "-p", "8097:80"],
      ...["--", "sh", "-c", "echo up; exec sleep infinity"],
    );
    await server.printed(/up/);
    const { v4, v6 } = await user.addressesOf("server", "seen");
    const [network] = await user.inspect("seen");
    const [shown] = JSON.parse(await user.ok("inspect", "server"));
    const [{ pid, id }] = (await user.members()).filter(({ name }) => name === "server");
    const [config4, config6] = network.IPAM.Config;
    expect(shown).toMatchObject({
      Id: id,
      Name: "/server",
      State: { Status: "running", Running: true, Pid: pid },
      Config: { Hostname: "box" },
      NetworkSettings: {
        Ports: { "80/tcp": expect.arrayContaining([{ HostIp: "0.0.0.0", HostPort: "8097" }]) },
        Networks: {
          seen: {
            IPAddress: v4,
            IPPrefixLen: 24,
            Gateway: config4.Gateway,
            GlobalIPv6Address: v6,
            GlobalIPv6PrefixLen: 64,
            IPv6Gateway: config6.Gateway,
            NetworkID: network.Id,
            EndpointID: Object.values(network.Containers)[0].EndpointID,
            DNSNames: ["server", "api", id.slice(0, 12)],
          },
        },
      },
    });
    const show = (format: string, ...names: string[]) =>
      user.ok("inspect", "-f", format, ...(names.length > 0 ? names : ["server"]));
    const address = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    expect(await show(address)).toBe(`${v4}\n`);
    expect(await show("{{.NetworkSettings.Networks.seen.IPAddress}}", id.slice(0, 12))).toBe(
      `${v4}\n`,
    );
    const port = '{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}';
    expect(await show(port)).toBe("8097\n");
    expect(await show("{{.Id}}", "server", "seen")).toBe(`${id}\n${network.Id}\n`);
    expect(await show("{{.Driver}}", "--type", "network", "seen")).toBe("bridge\n");
    expect(await user.refusal("inspect", "--type=container", "seen")).toContain(
      "1 slipway: there is no member seen: slipway ps shows all members",
    );
    // As docker: what was found is shown.
    expect(await user.command("inspect", "-f", "{{.Id}}", "nosuch", "server")).toMatchObject({
      code: 1,
      stdout: `${id}\n`,
      stderr:
        "slipway: there is no member or network nosuch: slipway ps, slipway network ls and slipway status show what there is\n",
    });
    expect(await user.ok("ps", "-a", "-q", "--no-trunc", "-f", "name=^server$")).toBe(`${id}\n`);
    expect(await user.ok("ps", "-q", "--filter", "network=seen")).toBe(`${id.slice(0, 12)}\n`);
    await user.member("seen", "newest");
    expect(await user.ok("ps", "-l", "--format", "{{.Names}}")).toBe("newest\n");
    expect(await user.ok("ps", "-n", "2", "--format", "{{.Names}}")).toBe("newest\nserver\n");
    // By the launcher and the daemon alone.
    const env = { ...user.env, SLIPWAY_NODE: "/bin/false" };
    const asked = await lab.host.user.output([lab.host.slipwayPath, "inspect", "server"], { env });
    expect(JSON.parse(asked)).toMatchObject([{ Id: id }]);
    server.kill("SIGKILL");
  });
});

describe("commands that only ask the daemon", () => {
  test("start no process of Node while it runs", async ({ user, lab }) => {
    await user.ok("daemon", "start");
    const env = { ...user.env, SLIPWAY_NODE: "/bin/false" };
    const ask = async (...args: string[]): Promise<string> =>
      lab.host.user.output([lab.host.slipwayPath, ...args], { env });
    const { pid } = await lab.host.namespace();
    expect(await ask("network", "create", "quick", "--subnet", "10.97.1.0/24")).toMatch(
      /^[0-9a-f]{64}\n$/,
    );
    await ask("network", "create", "slick", "--subnet", "10.97.2.0/24");
    expect(await ask("network", "connect", "quick", `${pid}`, "--name", "fast")).toBe(
      "fast is on quick as eth0: 10.97.1.2\n",
    );
    expect(await ask("network", "connect", "slick", `/proc/${pid}/ns/net`)).toBe(
      "fast is on slick as eth1: 10.97.2.2\n",
    );
    expect(await ask("ps", "--format", "{{.name}} {{.pid}}")).toContain(`fast ${pid}\n`);
    expect(await ask("network", "inspect", "slick")).toContain('"IPv4Address": "10.97.2.2/24"');
    expect(await ask("network", "disconnect", "quick", "fast")).toBe("");
    expect(await ask("network", "disconnect", "slick", "fast")).toBe("");
    expect(await ask("network", "prune")).toContain("quick\n");
    // A process gives the reason, which is not running here.
    const refused = await lab.host.user.run([lab.host.slipwayPath, "network", "inspect", "quick"], {
      env,
    });
    expect(refused).toMatchObject({ code: 1, stdout: "", stderr: "" });
    // Nor does the daemon evaluate a template that may print without measure.
    const format = [lab.host.slipwayPath, "network", "ls", "--format", "{{json .}}"];
    expect(await lab.host.user.run(format, { env })).toMatchObject({ code: 1, stdout: "" });
    expect(await user.refusal("network", "inspect", "quick")).toBe(
      "1 slipway: network quick does not exist: slipway network ls shows all networks",
    );
  });

  test("do the same by a link of another name", async ({ user, lab }) => {
    const linked = join(user.directory, "myslip");
    await lab.host.user.output(["ln", "-s", lab.host.slipwayPath, linked]);
    const by = (env: Record<string, string>, ...args: string[]): Promise<string> =>
      lab.host.user.output([linked, ...args], { env: { ...user.env, ...env } });
    expect(await by({}, "daemon", "status")).toContain("the daemon is running: process ");
    const withoutNode = { SLIPWAY_NODE: "/bin/false" };
    expect(await by(withoutNode, "network", "ls", "--format", "{{.Name}}")).toContain("bridge\n");
    expect(await by(withoutNode, "ps", "--quiet")).toBe(await user.ok("ps", "--quiet"));
  });
});

describe("the library", () => {
  test("does what the commands do", async ({ user, lab }) => {
    const { pid } = await lab.host.namespace();
    const script = `
      const { Slipway, SlipwayError } = require(process.argv[1]);
      (async () => {
        const slipway = await Slipway.open();
        await slipway.createNetwork({ name: "library" });
        const attachment = await slipway.connect({ network: "library", aliases: ["lib"] }, ${pid}, "reader");
        const [{ Name }] = Object.values((await slipway.inspectNetwork("library")).Containers);
        const refused = await slipway.removeNetwork("library").catch((error) => error);
        const published = async () => (await slipway.members()).flatMap((each) => each.published);
        await slipway.publish("reader", ["127.0.0.1:8078-8079:78-79"]);
        await slipway.unpublish("reader", ["8078"]);
        const ports = await published();
        const notThere = await slipway.unpublish("reader", ["8078"]).catch((error) => error.message);
        await slipway.disconnect("library", "reader");
        await slipway.removeNetwork("library");
        const names = (await slipway.networks()).map((network) => network.Name);
        console.log(JSON.stringify({ ports, notThere, attachment, Name, refused: refused instanceof SlipwayError, names }));
        slipway.close();
      })();
    `;
    const library = lab.host.stage.inside(join(root, "dist/client.cjs"));
    const argv = [lab.host.stage.inside(node), "-e", script, library];
    const said = JSON.parse(await lab.host.user.output(argv, { env: user.env }));
    expect(said).toMatchObject({ Name: "reader", refused: true });
    expect(said.ports).toContain("127.0.0.1:8079->79/tcp");
    expect(said.ports).not.toContain("127.0.0.1:8078->78/tcp");
    expect(said.notThere).toBe("8078 is not published: slipway port ls --name reader");
    expect(said.attachment).toMatchObject({ member: "reader", network: "library", ifname: "eth0" });
    expect(said.names).not.toContain("library");
  });
});

describe("when the daemon is killed", () => {
  test("members join again, and their connections continue", async ({ user, lab }) => {
    await user.ok("network", "create", "lasting", "--ipv6");
    const loop = "echo up; exec socat -u TCP-LISTEN:90,fork,reuseaddr STDOUT";
    const run = user.run(
      "--network",
      "lasting",
      "--name",
      "runner",
      "-p",
      "8089:90",
      "--",
      "sh",
      "-c",
      loop,
    );
    await run.printed(/up/);
    const connected = await user
      .member("lasting", "guest", "--ip", "10.89.200.77")
      .catch(() => null);
    expect(connected).toBeNull();
    const a = await user.member("lasting", "talker");
    const b = await user.member("lasting", "listener");
    const listener = await b.agent.listen(b.addresses.v4);
    const outgoing = await a.agent.connect(listener.endpoint);
    const incoming = await listener.accept();
    await outgoing.write("before ");
    expect(await incoming.read(7)).toBe("before ");
    await user.kill();
    const sent = outgoing.write("after");
    await eventually(async () => {
      const names = await user.ok("ps", "--format", "{{.name}}");
      for (const name of ["runner", "talker", "listener"]) expect(names).toContain(name);
    });
    await sent;
    expect(await incoming.read(5)).toBe("after");
    expect(await user.addressesOf("talker", "lasting")).toEqual(a.addresses);
    expect(await dig(a, "runner", "A")).toBe((await user.addressesOf("runner", "lasting")).v4);
    await eventually(() =>
      lab.world.root.output(["sh", "-c", `echo hello | socat -u - TCP:${link.host}:8089`]),
    );
    await eventually(async () => expect(run.stdout).toContain("hello"));
    run.kill("SIGKILL");
  });

  test("its supervisor starts another, and namespaces are connected again", async ({ lab }) => {
    await using user = await DaemonUser.create(lab);
    await user.ok("network", "create", "quiet", "--ipv6");
    const a = await user.member("quiet", "first", "--alias", "one");
    const b = await user.member("quiet", "second", "--ip", "10.89.0.77");
    await user.kill();
    // No command is run here that would start the daemon.
    await eventually(async () => expect(await dig(a, "second", "A")).toBe("10.89.0.77"));
    await eventually(async () => expect(await dig(b, "one", "A")).toBe(a.addresses.v4));
    await b.namespace.output(["ping", "-c", "1", "-W", "2", a.addresses.v6]);
    expect(await user.ok("daemon", "status")).toContain("; 1 network, 2 members");
  });
});

async function dig(member: Member, ...args: string[]): Promise<string> {
  const text = await member.namespace.output(["dig", "+short", "+tries=1", ...args]);
  return text.trim();
}

async function digStatus(member: Member, name: string): Promise<string> {
  return member.namespace.output(["dig", "+noall", "+comments", "+tries=1", name]);
}

async function attachmentOf(user: DaemonUser, name: string) {
  const member = (await user.members()).find((each) => each.name === name);
  if (member === undefined) throw new Error(`no member ${name}`);
  return member.networks[0];
}

async function countersOf(user: DaemonUser, name: string) {
  return (await attachmentOf(user, name)).counters;
}

async function macOf(user: DaemonUser, name: string): Promise<string> {
  return (await attachmentOf(user, name)).mac;
}
