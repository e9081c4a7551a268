import { link, served } from "../lab/addresses.ts";
import type { Lab } from "../lab/lab.ts";
import type { Process } from "../lab/process.ts";
import { isSlipway, node } from "../lab/product.ts";
import { DaemonUser, eventually, type Member } from "./daemon-user.ts";
import { test as base, describe, expect } from "./fixture.ts";

/** The only name server of the host: prints each name that it is asked for, and answers NXDOMAIN. */
const UPSTREAM = `
  const socket = require("node:dgram").createSocket("udp4");
  socket.on("message", (query, { port, address }) => {
    const labels = [];
    for (let at = 12; query[at] > 0; at += 1 + query[at])
      labels.push(query.toString("latin1", at + 1, at + 1 + query[at]));
    console.log("asked", labels.join("."));
    query.writeUInt16BE(0x8183, 2);
    socket.send(query, port, address);
  });
  socket.bind(53, ${JSON.stringify(served.services)}, () => console.log("ready"));
`;

const test = base
  .extend("upstream", { scope: "file" }, async ({ lab }, { onCleanup }) => {
    const server = lab.world.root.spawn([lab.host.stage.inside(node), "--eval", UPSTREAM]);
    onCleanup(async () => {
      server.kill("SIGTERM");
      await server.ended(10_000);
    });
    await server.printed(/ready/);
    await lab.host.root.shell(`echo 'nameserver ${served.services}' > /etc/resolv.conf`);
    return server;
  })
  .extend("user", { scope: "file" }, async ({ lab, upstream: _ }, { onCleanup }) => {
    const user = await DaemonUser.create(lab);
    onCleanup(() => user[Symbol.asyncDispose]());
    return user;
  })
  .runIf(isSlipway);

/** The names that the host's name server was asked for since it was last asked for `mark`. */
async function leaked(upstream: Process, member: Member, mark: string): Promise<string[]> {
  expect(await status(member, mark)).toBe("NXDOMAIN");
  await upstream.printed(new RegExp(`asked ${mark}\n`));
  const asked = upstream.stdout.split("\n").flatMap((line) => line.split("asked ")[1] ?? []);
  return asked.slice(0, asked.indexOf(mark));
}

async function short(member: Member, ...args: string[]): Promise<string> {
  const text = await member.namespace.output(["dig", "+short", "+tries=1", ...args]);
  return text.trim();
}

/** The response code, and "NODATA" for an answer without records. */
async function status(member: Member, ...args: string[]): Promise<string> {
  const text = await member.namespace.output(["dig", "+tries=1", ...args]);
  const [, code = text] = /status: ([A-Z]+)/.exec(text) ?? [];
  return code === "NOERROR" && text.includes("ANSWER: 0,") ? "NODATA" : code;
}

async function inside(lab: Lab, user: DaemonUser, ...args: string[]): Promise<string> {
  return lab.host.user.output([lab.host.slipwayPath, "run", ...args], { env: user.env });
}

describe("names as compose makes them", () => {
  const names = ["proj-web-1", "proj_web_1", "proj.web.1", "example.com", "Proj_DB"];

  test("are answered in both families, whatever their case", async ({ user, upstream }) => {
    await user.ok("network", "create", "proj_default", "--ipv6");
    const options = ["--alias", "_web._tcp", "--alias", "web.proj"];
    const client = await user.member("proj_default", "proj_client-1");
    for (const name of names) {
      const { addresses } = await user.member("proj_default", name, ...options);
      for (const asked of [name, name.toUpperCase(), `${name}.Proj_Default`]) {
        expect(await short(client, asked, "A")).toBe(addresses.v4);
        expect(await short(client, "+tcp", asked, "AAAA")).toBe(addresses.v6);
        expect(await status(client, asked, "MX")).toBe("NODATA");
      }
      for (const address of Object.values(addresses)) {
        expect(await short(client, "-x", address)).toBe(`${name.toLowerCase()}.proj_default.`);
      }
    }
    for (const alias of ["_web._tcp", "web.proj", "web.proj.proj_default"]) {
      expect(await status(client, alias, "A")).toBe("NOERROR");
    }
    expect(await leaked(upstream, client, "first.example")).toEqual([]);
  });

  test("are shown as they were given, and found in any case", async ({ user, lab }) => {
    await user.ok("network", "create", "Mixed_Case.net");
    const { pid } = await lab.host.namespace();
    const connect = ["network", "connect", "mixed_case.NET", `${pid}`, "--name", "Data_Base.1"];
    expect(await user.ok(...connect)).toMatch(/^Data_Base\.1 is on Mixed_Case\.net as eth0: /);
    expect(await user.ok("ps", "--format", "{{.name}}")).toContain("Data_Base.1\n");
    const other = await lab.host.namespace();
    const again = ["network", "connect", "Mixed_Case.net", `${other.pid}`, "--name"];
    expect(await user.refusal(...again, "data_base.1")).toContain("is taken by a member");
    expect(await user.refusal("network", "create", "mixed_case.net")).toContain(
      "network Mixed_Case.net exists",
    );
    // The next daemon reads them from the state.
    await user.kill();
    await eventually(async () => expect(await user.ok("ps")).toContain("Data_Base.1"));
    await user.ok("network", "disconnect", "Mixed_Case.net", "data_base.1");
    await user.ok("network", "rm", "Mixed_Case.net");
  });

  test("are hostnames and in /etc/hosts, and container: finds them", async ({ user, lab }) => {
    await user.ok("network", "create", "proj_runs");
    const long = `${"l".repeat(60)}.${"m".repeat(60)}`;
    const script = "cat /etc/hostname; hostname; grep -c Run_web /etc/hosts; exec sleep 1000";
    const attachment = "proj_runs:alias=web_alias.1,alias=other";
    const run = user.run("--network", attachment, "--name", "Run_web.1", "--", "sh", "-c", script);
    await run.printed(/^Run_web\.1\nRun_web\.1\n1\n/);
    const beside = await inside(
      lab,
      user,
      ...["--network", "container:run_web.1", "--", "getent", "ahostsv4", "web_alias.1"],
    );
    expect(beside).toContain((await user.addressesOf("Run_web.1", "proj_runs")).v4);
    const hostname = await inside(
      lab,
      user,
      ...["--network", "proj_runs", "--name", long, "--", "hostname"],
    );
    expect(hostname).toMatch(/^[0-9a-f]{12}\n$/);
    run.kill("SIGKILL");
    await run.ended(10_000);
  });

  test("are refused where DNS could not ask for them, with the limit", async ({ user }) => {
    const create = (name: string) => user.refusal("network", "create", name);
    const rule = "63 at most between dots, 253 in all";
    expect(await create("x".repeat(64))).toMatch(new RegExp(`^2 slipway: "x+" cannot .*${rule}`));
    expect(await create("two..dots")).toContain('"two..dots" cannot be a network\'s name');
    expect(await create("two\nlines")).toMatch(/^2 slipway: "two\\nlines" cannot .*$/);
  });
});

describe("NAME.NETWORK", () => {
  test("is a member or alias on that network, if the client is on it", async ({
    user,
    upstream,
  }) => {
    await user.ok("network", "create", "br0", "--ipv6");
    await user.ok("network", "create", "br1");
    const db = await user.member("br0", "docker02", "--alias", "db");
    await user.ok("network", "connect", "br1", "docker02");
    const client = await user.member("br0", "docker01");
    for (const name of ["docker02.br0", "db.br0", "DB.BR0"]) {
      expect(await short(client, name, "A")).toBe(db.addresses.v4);
      expect(await short(client, name, "AAAA")).toBe(db.addresses.v6);
    }
    expect(await short(client, "-x", db.addresses.v4)).toBe("docker02.br0.");
    // On several networks the name of each leads to the address there.
    await user.ok("network", "connect", "br1", "docker01");
    const there = await user.addressesOf("docker02", "br1");
    expect(await short(client, "docker02.br1", "A")).toBe(there.v4);
    expect(await status(client, "docker02.br1", "AAAA")).toBe("NODATA");
    expect(await short(client, "-x", there.v4)).toBe("docker02.br1.");
    await user.ok("network", "disconnect", "br1", "docker01");
    expect(await leaked(upstream, client, "second.example")).not.toContain("docker02.br1");
    expect(await status(client, "docker02.br1", "A")).toBe("NXDOMAIN");
    expect(await leaked(upstream, client, "third.example")).toContain("docker02.br1");
  });

  test("that nobody has is NXDOMAIN, and the host's servers never hear of it", async ({
    user,
    upstream,
  }) => {
    await user.ok("network", "create", "proj_net");
    await user.ok("network", "create", "com");
    const client = await user.member("proj_net", "asker");
    const [report] = await user.inspect("proj_net");
    const [{ Gateway: gateway }] = report.IPAM.Config;
    for (const type of ["A", "AAAA", "TXT", "HTTPS"]) {
      expect(await status(client, "nobody.proj_net", type)).toBe("NXDOMAIN");
      expect(await status(client, "+tcp", "a.b.proj_net", type)).toBe("NXDOMAIN");
    }
    expect(await status(client, "-x", gateway)).toBe("NXDOMAIN");
    const free = gateway.replace(/\d+$/, "200");
    expect(await status(client, "-x", free)).toBe("NXDOMAIN");
    const asked = await leaked(upstream, client, "fourth.example");
    expect(asked.filter((name) => /proj_net|arpa/.test(name))).toEqual([]);
    // Others may know these, as with docker.
    await user.ok("network", "connect", "com", "asker");
    for (const name of ["printer", "example.com", "proj_net"]) {
      expect(await status(client, name, "A")).toBe("NXDOMAIN");
    }
    expect(await short(client, "asker.com", "A")).not.toBe("");
    expect((await leaked(upstream, client, "fifth.example")).slice(-3)).toEqual([
      "printer",
      "example.com",
      "proj_net",
    ]);
  });

  test("is answered on an internal network, too", async ({ user }) => {
    await user.ok("network", "create", "inner_net", "--internal");
    const member = await user.member("inner_net", "hermit");
    expect(await short(member, "hermit.inner_net", "A")).toBe(member.addresses.v4);
    expect(await status(member, "hermit", "AAAA")).toBe("NODATA");
    expect(await status(member, "nobody.inner_net", "A")).toBe("NXDOMAIN");
    expect(await status(member, "nobody.example", "A")).toBe("SERVFAIL");
  });
});

describe("--add-host", () => {
  /** The addresses of a name, in both families. */
  const addressesOf = (name: string) =>
    `getent ahostsv4 ${name} | awk '/STREAM/ {print $1}'
     getent ahostsv6 ${name} | awk '/STREAM/ && !/::ffff:/ {print $1}'`;
  const places = [
    ["alone", []],
    ["on a network", ["--network", "bridge"]],
  ] as const;
  const loopbacks = [
    ["the host's own address", [], link.host, link.host6],
    ["the gateway with --host-loopback", ["--host-loopback"], "127.0.0.1", "::1"],
  ] as const;

  describe.for(places)("of a run %s", ([, network]) => {
    test.for(loopbacks)("host-gateway is %s, and leads to the host", async (row, { user, lab }) => {
      const [, options, v4, v6] = row;
      const listeners = [await lab.host.agent.listen(v4), await lab.host.agent.listen(v6)];
      const [port4, port6] = listeners.map(({ endpoint }) => endpoint.port);
      const script = `
        ${addressesOf("me.example")}; ${addressesOf("host.docker.internal")}
        echo four | socat -u - TCP4:me.example:${port4}
        echo six | socat -u - TCP6:host.containers.internal:${port6}`;
      const said = await inside(
        lab,
        user,
        ...[...network, ...options, "--add-host", "me.example:host-gateway", "--", "sh", "-c"],
        script,
      );
      const lines = said.trim().split("\n");
      expect(lines).toHaveLength(4);
      expect(lines.slice(2)).toEqual(lines.slice(0, 2));
      if (options.length === 0) expect(lines.slice(0, 2)).toEqual([v4, v6]);
      const received = listeners.map(async (each) => (await each.accept()).read(4));
      expect(await Promise.all(received)).toEqual(["four", "six\n"]);
    });

    test("is read as docker and podman write it", async ({ user, lab }) => {
      const hosts = ["a;b:192.0.2.7", "c:[2001:db8::7]", "c=192.0.2.8", "D_d:2001:db8::9"];
      const options = hosts.flatMap((each) => ["--add-host", each]);
      const script = ["a", "b", "c", "d_d"].map(addressesOf).join("; ");
      const said = await inside(lab, user, ...network, ...options, "--", "sh", "-c", script);
      expect(said.trim().split("\n")).toEqual([
        "192.0.2.7",
        "192.0.2.7",
        "192.0.2.8",
        "2001:db8::7",
        "2001:db8::9",
      ]);
    });
  });

  test("host-gateway is refused where no address of the host is reached", async ({ user, lab }) => {
    await user.ok("network", "create", "host_less", "--internal");
    const asked = ["--add-host", "me:host-gateway", "--", "true"];
    const before = await user.inspect("host_less");
    for (const options of [[], ["--host-loopback"]]) {
      const run = ["run", "--network", "host_less", ...options, ...asked];
      expect(await user.refusal(...run)).toMatch(/^1 slipway: --add-host me=host-gateway: no add/);
    }
    expect(await user.inspect("host_less")).toEqual(before);
    // A host without routes has no address that it sends from.
    const lonely = lab.host.user.behind(["unshare", "--user", "--map-root-user", "--net", "--"]);
    const refused = await lonely.run([lab.host.slipwayPath, "run", ...asked]);
    expect(refused.stderr).toMatch(/^slipway: --add-host me=host-gateway: no address of this host/);
    expect(refused.code).toBe(1);
  });
});
