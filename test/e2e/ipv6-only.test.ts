import { link, served } from "../lab/addresses.ts";
import { isSlipway } from "../lab/product.ts";
import { DaemonUser, eventually, type Member } from "./daemon-user.ts";
import { expectExchange } from "./exchange.ts";
import { test as base, describe, expect } from "./fixture.ts";

// Networks without IPv4.

const test = base
  .extend("user", { scope: "file" }, async ({ lab }, { onCleanup }) => {
    const user = await DaemonUser.create(lab);
    onCleanup(() => user[Symbol.asyncDispose]());
    await user.ok("network", "create", "six", "--ipv6", "--ipv4=false", "--subnet", "fd06::/64");
    return user;
  })
  .runIf(isSlipway);

function dig({ namespace }: Member, ...args: string[]): Promise<string> {
  return namespace.output(["dig", "+short", "+tries=1", "+timeout=5", ...args]);
}

describe("a network without IPv4", () => {
  test("is shown as docker shows it", async ({ user }) => {
    const [report] = await user.inspect("six");
    expect(report).toMatchObject({ EnableIPv4: false, EnableIPv6: true });
    expect(report.IPAM.Config).toEqual([{ Subnet: "fd06::/64", Gateway: "fd06::1" }]);
    await user.member("six", "shown", "--ip", "fd06::50");
    const [{ Containers }] = await user.inspect("six");
    expect(Object.values(Containers)).toMatchObject([
      { Name: "shown", IPv4Address: "", IPv6Address: "fd06::50/64" },
    ]);
    await user.ok("network", "create", "chosen", "--ipv4=false", "--ipv6=true");
    const [{ IPAM }] = await user.inspect("chosen");
    expect(IPAM.Config).toEqual([
      { Subnet: expect.stringMatching(/^fd.*\/64$/), Gateway: expect.stringMatching(/^fd.*::1$/) },
    ]);
    const list = await user.ok("network", "ls", "--format", "{{.Name}}: {{json .EnableIPv4}}");
    expect(list).toContain("six: false\n");
    expect(list).toContain("chosen: false\n");
  });

  test("connects members by name, forward and reverse, and has no IPv4 address", async ({
    user,
  }) => {
    const db = await user.member("six", "db", "--alias", "postgres");
    const app = await user.member("six", "app");
    expect(db.addresses.v4).toBe("");
    expect(await db.namespace.output(["ip", "-4", "-o", "address", "show", "dev", "eth0"])).toBe(
      "",
    );
    expect(await dig(app, "postgres", "AAAA")).toBe(`${db.addresses.v6}\n`);
    expect(await dig(app, "db", "A")).toBe("");
    expect(await dig(app, "-x", db.addresses.v6)).toMatch(/^db\./);
    const listener = await db.agent.listen(db.addresses.v6);
    const outgoing = await app.agent.connect(listener.endpoint);
    await expectExchange(outgoing, await listener.accept());
    await app.namespace.output(["ping", "-c", "1", "-W", "2", "db"]);
    await app.namespace.output(["ping", "-c", "1", "-W", "2", "fd06::1"]);
  });

  test("leads to the world's IPv6 addresses, whose names the gateway finds", async ({ user }) => {
    const { namespace, agent } = await user.member("six", "outward");
    const curl = ["curl", "-sS", "-m", "5"];
    await namespace.output([...curl, `http://[${served.http6}]/`]);
    await namespace.output([...curl, "http://world.example/"]);
    const refusal = await agent.refusal({ address: served.http, port: 80 });
    expect(refusal.code).toBe("ENETUNREACH");
  });

  test("gives addresses that end alike MACs of their own", async ({ user }) => {
    const one = await user.member("six", "one", "--ip", "fd06::1:0:0:77");
    const two = await user.member("six", "two", "--ip", "fd06::2:0:0:77");
    await one.namespace.output(["ping", "-c", "1", "-W", "2", two.addresses.v6]);
    const [{ Containers }] = await user.inspect("six");
    const macs = Object.values(Containers).map(({ MacAddress }) => MacAddress);
    expect(macs).toContain("02:42:00:00:00:77");
    expect(new Set(macs).size).toBe(macs.length);
  });

  test("is joined by run, with its resolv.conf, hosts and published ports", async ({
    user,
    lab,
  }) => {
    const files = await user.ok(
      ...["run", "--network", "six", "--name", "me", "--ip", "fd06::99", "--"],
      ...["sh", "-c", "cat /etc/resolv.conf /etc/hosts"],
    );
    expect(files).toContain("nameserver fd06::1\n");
    expect(files.match(/^nameserver/gm)).toHaveLength(1);
    expect(files).toContain("fd06::99\tme\n");
    const tcp = "socat TCP6-LISTEN:80,fork,reuseaddr SYSTEM:'echo $SOCAT_PEERADDR'";
    const udp = "socat UDP6-LISTEN:53,fork,reuseaddr SYSTEM:'echo $SOCAT_PEERADDR'";
    const server = user.run(
      ...["--network", "six", "--name", "web", "-p", "8310:80", "-p", "0.0.0.0:8311:80"],
      ...["-p", "0.0.0.0:8312:53/udp", "--", "sh", "-c", `${udp} & echo up; exec ${tcp}`],
    );
    await server.printed(/up/);
    const ask = (at: string): Promise<string> =>
      eventually(async () => {
        const command = ["sh", "-c", `echo | socat -T2 - ${at}`];
        const text = await lab.world.root.output(command);
        if (text === "") throw new Error(`no answer from ${at}`);
        return text;
      });
    expect(await ask(`TCP:[${link.host6}]:8310`)).toContain("2001:0db8:0000:0001");
    // A client of IPv4 appears as the gateway.
    expect(await ask(`TCP:${link.host}:8311`)).toContain("fd06:0000:0000:0000:0000:0000:0000:0001");
    expect(await ask(`UDP:${link.host}:8312`)).toContain("fd06:0000:0000:0000:0000:0000:0000:0001");
    const ports = await user.ok("ps", "--format", "{{.name}} {{json .published}}");
    expect(ports).toContain(
      'web ["[::]:8310->80/tcp","0.0.0.0:8311->80/tcp","0.0.0.0:8312->53/udp"]',
    );
    server.kill("SIGKILL");
  });

  test("has what a member listens on published by -P", async ({ user, lab }) => {
    const serve = "socat TCP6-LISTEN:8313,fork,reuseaddr SYSTEM:'echo open'";
    const options = ["--network", "six", "--name", "open", "-P"];
    const run = user.run(...options, "--", "sh", "-c", `${serve} & wait`);
    const command = ["socat", "-T5", "-", `TCP:[${link.host6}]:8313,connect-timeout=5`];
    expect(await eventually(() => lab.world.root.output(command))).toBe("open\n");
    run.kill("SIGKILL");
  });

  test.for(["is killed", "is stopped"])("outlives its daemon, which %s", async (how, { lab }) => {
    await using user = await DaemonUser.create(lab);
    await user.ok("network", "create", "six", "--ipv6", "--ipv4=false");
    const [before] = await user.inspect("six");
    const a = await user.member("six", "first");
    const b = await user.member("six", "second");
    if (how === "is killed") await user.kill();
    else {
      await user.ok("daemon", "stop");
      await user.ok("daemon", "start");
    }
    await eventually(async () =>
      expect(await dig(a, "second", "AAAA")).toBe(`${b.addresses.v6}\n`),
    );
    await eventually(() => a.namespace.output(["ping", "-c", "1", "-W", "1", b.addresses.v6]));
    const [after] = await user.inspect("six");
    expect({ ...after, Containers: {} }).toEqual({ ...before, Containers: {} });
  });

  test("refuses a namespace without IPv6", async ({ user, lab }) => {
    const namespace = await lab.host.namespace();
    await namespace.shell(
      "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6; echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6",
    );
    expect(
      await user.refusal("network", "connect", "six", `${namespace.pid}`, "--name", "x"),
    ).toMatch(
      /^1 slipway: cannot give eth0 the address fd06::\S+ in the namespace of process \d+: EACCES: it has no IPv6: sysctl -w net\.ipv6\.conf\.all\.disable_ipv6=0 there$/,
    );
    expect(await namespace.output(["ip", "-o", "link"])).not.toContain("eth0");
    expect(await user.ok("ps")).not.toContain(" x ");
    // With IPv4 beside it, the network is joined without IPv6.
    await user.ok("network", "create", "dual", "--ipv6");
    await user.ok("network", "connect", "dual", `${namespace.pid}`);
  });
});

test.for([
  [["--ipv4=false"], "--ipv4=false leaves no addresses: give --ipv6, too"],
  [
    ["--ipv4=false", "--ipv6", "--subnet", "10.91.0.0/24"],
    "--subnet 10.91.0.0/24 and --ipv4=false: leave one of them out",
  ],
  [
    ["--ipv6=false", "--subnet", "fd07::/64"],
    "--subnet fd07::/64 and --ipv6=false: leave one of them out",
  ],
  [["--ipv4=no"], "--ipv4=no: write --ipv4 or --ipv4=false"],
  [
    ["--ipv4=false", "--ipv6", "--mtu", "1200"],
    "MTU 1200 is too small for IPv6: give 1280 or more",
  ],
] as const)("network create with %j is refused", async ([options, sentence], { user }) => {
  expect(await user.refusal("network", "create", "wrong", ...options)).toBe(
    `2 slipway: ${sentence}; see slipway network create --help`,
  );
});

test("a network of which only an IPv6 subnet is given has IPv4, too, as docker's", async ({
  user,
}) => {
  await user.ok("network", "create", "both", "--subnet", "fd08::/64");
  const [report] = await user.inspect("both");
  expect(report).toMatchObject({ EnableIPv4: true, EnableIPv6: true });
  expect(report.IPAM.Config).toMatchObject([
    { Subnet: expect.stringMatching(/^10\.89\./) },
    { Subnet: "fd08::/64" },
  ]);
});
