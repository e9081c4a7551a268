import { expect } from "vitest";
import { underlay } from "../../lab/cluster.ts";
import type { HostDaemon, Member } from "../daemon-user.ts";
import { eventually } from "../daemon-user.ts";
import { clusterTest } from "./cluster-user.ts";

const test = clusterTest();

// What holds on a network of one host holds on an overlay.

let serial = 0;

/** A new overlay, which all hosts know. */
async function overlay(hosts: readonly HostDaemon[], ...options: string[]): Promise<string> {
  serial += 1;
  const name = `ov${serial}`;
  const create = ["network", "create", "--driver", "overlay", "--opt", "encrypted=false"];
  await hosts[0].ok(...create, ...options, name);
  await Promise.all(hosts.map((host) => eventually(() => host.inspect(name))));
  return name;
}

const ping = (target: string, ...options: string[]) => [
  ...["ping", "-n", "-c", "1", "-W", "5", ...options],
  target,
];

async function answers({ namespace }: Member, target: string): Promise<boolean> {
  return (await namespace.run(ping(target))).code === 0;
}

/** Whether an echo request goes unanswered: one that did would be answered at once. */
async function isSilent({ namespace }: Member, target: string): Promise<boolean> {
  return (await namespace.run(["ping", "-n", "-c", "1", "-W", "1", target])).code !== 0;
}

async function resolve({ namespace }: Member, name: string): Promise<string> {
  return (await namespace.run(["getent", "ahostsv4", name])).stdout;
}

test("overlays are apart from each other, and from networks of a host", async ({ cluster }) => {
  const { hosts } = cluster;
  const [one, two] = [await overlay(hosts), await overlay(hosts)];
  await hosts[1].ok("network", "create", "own");
  const a = await hosts[0].member(one, "apart-a");
  const b = await hosts[1].member(one, "apart-b");
  const other = await hosts[1].member(two, "apart-other");
  const local = await hosts[1].member("own", "apart-local");
  expect(await answers(a, b.addresses.v4)).toBe(true);
  for (const { name, addresses } of [other, local]) {
    expect(await isSilent(a, addresses.v4), name).toBe(true);
    expect(await resolve(a, name), name).toBe("");
  }
  expect(await isSilent(local, a.addresses.v4)).toBe(true);
});

test("an internal overlay reaches its members and nothing else", async ({ cluster }) => {
  const { hosts } = cluster;
  const [open, internal] = [await overlay(hosts), await overlay(hosts, "--internal")];
  const a = await hosts[0].member(internal, "inside-a");
  const b = await hosts[1].member(internal, "inside-b");
  const c = await hosts[2].member(open, "outside");
  expect(await answers(a, b.name)).toBe(true);
  expect(await isSilent(a, underlay.bridge)).toBe(true);
  // By the member's own host.
  expect(await answers(c, underlay.bridge)).toBe(true);
});

test("members have the address, MAC and aliases that they ask for, and nobody else gets them", async ({
  cluster,
}) => {
  const { hosts } = cluster;
  const name = await overlay(hosts, "--subnet", "10.210.0.0/24");
  const options = ["--ip", "10.210.0.77", "--mac-address", "02:00:00:00:00:77"];
  const a = await hosts[0].member(name, "asked-a", ...options, "--alias", "web");
  const b = await hosts[1].member(name, "asked-b", "--alias", "web");
  expect(a.addresses.v4).toBe("10.210.0.77");
  const c = await hosts[2].host.namespace("10.210.0.1");
  const connect = (...more: string[]) =>
    hosts[2].refusal("network", "connect", name, `${c.pid}`, ...more);
  expect(await connect("--name", "x", "--ip", "10.210.0.77")).toMatch(/10\.210\.0\.77.* taken/);
  expect(await connect("--name", "asked-a")).toMatch(/asked-a.*taken/);
  expect(await connect("--name", "x", "--ip", "10.211.0.7")).toContain("10.211.0.7");
  expect((await hosts[2].members()).map((each) => each.name)).not.toContain("x");
  const d = await hosts[2].member(name, "asked-d");
  for (const { addresses } of [a, b]) {
    await expect.poll(() => resolve(d, "web")).toContain(addresses.v4);
  }
  const first = new Set<string>();
  for (let count = 0; count < 8; count += 1) first.add((await resolve(d, "web")).split(" ")[0]);
  expect(first).toEqual(new Set([a.addresses.v4, b.addresses.v4]));
  const neighbour = ["sh", "-c", `ping -c 1 -W 5 ${a.addresses.v4} >&2; ip neighbour`];
  expect(await d.namespace.output(neighbour)).toContain("02:00:00:00:00:77");
});

test("connect and disconnect have effect on all hosts while members run", async ({ cluster }) => {
  const { hosts } = cluster;
  const [one, two] = [await overlay(hosts), await overlay(hosts)];
  const a = await hosts[0].member(one, "live-a");
  const run = hosts[1].run("--network", one, "--name", "live-b", "--", "sleep", "4327");
  await eventually(() => hosts[1].addressesOf("live-b", one));
  await expect.poll(() => answers(a, "live-b")).toBe(true);
  await hosts[0].ok("network", "connect", two, `${a.namespace.pid}`);
  await hosts[1].ok("network", "connect", two, "live-b");
  const [report] = await hosts[2].inspect(two);
  expect(
    Object.values(report.Containers)
      .map(({ Name }) => Name)
      .sort(),
  ).toEqual(["live-a", "live-b"]);
  expect(report.Peers?.map(({ IP }) => IP).sort()).toEqual([underlay.host(0), underlay.host(1)]);
  await hosts[1].ok("network", "disconnect", one, "live-b");
  await hosts[1].ok("network", "disconnect", two, "live-b");
  await expect.poll(() => resolve(a, "live-b")).toBe("");
  expect(Object.keys((await hosts[0].inspect(one))[0].Containers)).toHaveLength(1);
  // It can be connected again, by name or PID.
  await hosts[1].ok("network", "connect", one, "live-b");
  await expect.poll(() => answers(a, "live-b")).toBe(true);
  await hosts[1].ok("network", "disconnect", one, `${run.pid}`);
  await hosts[1].ok("network", "connect", one, `${run.pid}`);
  await expect.poll(() => answers(a, "live-b")).toBe(true);
  expect(await hosts[2].refusal("network", "rm", one)).toContain("use");
  await hosts[1].ok("network", "disconnect", one, "live-b");
  await hosts[0].ok("network", "disconnect", one, "live-a");
  await hosts[2].ok("network", "rm", one);
  await eventually(async () =>
    expect(await hosts[0].refusal("network", "inspect", one)).toContain("does not exist"),
  );
  run.kill("SIGKILL");
  await run.exit;
  await expect
    .poll(async () => Object.keys((await hosts[2].inspect(two))[0].Containers))
    .toHaveLength(1);
});

test("a port of a member is published on its own host", async ({ cluster }) => {
  const { hosts, lab } = cluster;
  const name = await overlay(hosts);
  const command = ["socat", "TCP-LISTEN:8000,fork,reuseaddr", "EXEC:echo served"];
  const run = hosts[1].run("--network", name, "--name", "pub", "-p", "8091:8000", "--", ...command);
  const b = await hosts[0].member(name, "asks");
  // Its input ends at once; without -t it would wait half a second for what comes back.
  const ask = (from: Pick<Member, "namespace">, target: string) =>
    eventually(async () => {
      const said = await from.namespace.output(["socat", "-t5", "-T5", "-", `TCP:${target}`]);
      // The port is there before the server is, and its connections end then.
      if (said === "") throw new Error(`nothing at ${target} yet`);
      return said;
    });
  expect(await ask({ namespace: hosts[2].host.root }, `${underlay.host(1)}:8091`)).toBe("served\n");
  expect(await ask(b, "pub:8000")).toBe("served\n");
  run.kill("SIGKILL");
  await run.exit;
  expect(lab.hosts).toHaveLength(3);
});

test("a network is there once: names, subnets and VNIs", async ({ cluster }) => {
  const { hosts } = cluster;
  const create = (host: HostDaemon, name: string, ...options: string[]) =>
    host.command(
      "network",
      "create",
      "--driver",
      "overlay",
      "--opt",
      "encrypted=false",
      ...options,
      name,
    );
  const outcomes = await Promise.all(hosts.map((host) => create(host, "twice")));
  expect(outcomes.map(({ code }) => code).sort()).toEqual([0, 1, 1]);
  for (const { code, stderr } of outcomes)
    if (code !== 0) expect(stderr).toMatch(/network twice exists/);
  // Without --subnet each gets one of its own, also at once.
  await Promise.all(
    hosts.map(async (host, index) => expect((await create(host, `own${index}`)).code).toBe(0)),
  );
  await eventually(async () => {
    const reports = await hosts[0].inspect("twice", "own0", "own1", "own2");
    const subnets = reports.flatMap(({ IPAM }) => IPAM.Config.map(({ Subnet }) => Subnet));
    expect(new Set(subnets).size).toBe(4);
    const vnis = reports.map(
      ({ Options }) => Options["com.docker.network.driver.overlay.vxlanid_list"],
    );
    expect(new Set(vnis).size).toBe(4);
  });
  expect((await create(hosts[1], "x", "--subnet", "10.210.0.0/16")).stderr).toContain("overlaps");
});

test("a host whose own network has the subnet of an overlay cannot be on that, and says so", async ({
  cluster,
}) => {
  const { hosts } = cluster;
  await hosts[2].ok("network", "create", "--subnet", "10.220.0.0/24", "mine");
  const create = ["network", "create", "--driver", "overlay", "--opt", "encrypted=false"];
  await hosts[0].ok(...create, "--subnet", "10.220.0.0/16", "clash");
  await eventually(() => hosts[2].inspect("clash"));
  const { pid } = await hosts[2].host.namespace();
  const refusal = await hosts[2].refusal("network", "connect", "clash", `${pid}`, "--name", "z");
  expect(refusal).toContain("10.220.0.0/16 overlaps network mine (10.220.0.0/24)");
  expect((await hosts[2].command("daemon", "status")).stdout).toContain(
    "network clash cannot be used on this host",
  );
  await hosts[0].member("clash", "elsewhere");
  await hosts[2].member("mine", "at-home");
  await hosts[2].ok("network", "disconnect", "mine", "at-home");
  await hosts[2].ok("network", "rm", "mine");
  const now = await hosts[2].member("clash", "now");
  expect(await answers(now, "elsewhere")).toBe(true);
});
