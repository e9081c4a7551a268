import { expect } from "vitest";
import { figureType } from "../../figures.ts";
import { eventually, type HostDaemon, type Member } from "../daemon-user.ts";
import { clusterTest } from "./cluster-user.ts";

// Hosts, daemons and stores that die, are away, and come back.

const test = clusterTest({ stores: 3 });

const create = ["network", "create", "--driver", "overlay"];

let serial = 0;

async function overlay(hosts: readonly HostDaemon[]): Promise<string> {
  serial += 1;
  const name = `fault${serial}`;
  await hosts[0].ok(...create, "--ipv6", name);
  await Promise.all(hosts.map((host) => eventually(() => host.inspect(name))));
  return name;
}

async function answers({ namespace }: Member, target: string): Promise<boolean> {
  return (await namespace.run(["ping", "-n", "-c", "1", "-W", "2", target])).code === 0;
}

const clusterState = async (host: HostDaemon): Promise<string> =>
  host.ok("daemon", "status", "--format", "{{.cluster.state}}");

async function connected(host: HostDaemon): Promise<void> {
  await expect.poll(() => clusterState(host)).toBe("connected\n");
}

test("a daemon that was killed comes back with its members, their addresses and its key", async ({
  cluster,
}) => {
  const { hosts } = cluster;
  const name = await overlay(hosts);
  const a = await hosts[0].member(name, "kept-a");
  const run = hosts[0].run("--network", name, "--name", "kept-run", "--", "sleep", "4328");
  const before = await eventually(() => hosts[0].addressesOf("kept-run", name));
  const b = await hosts[1].member(name, "kept-b");
  const key =
    "cat $XDG_STATE_HOME/slipway/host-id $XDG_STATE_HOME/slipway/wireguard.key; ls -l $XDG_STATE_HOME/slipway";
  const identity = () => hosts[0].host.user.output(["sh", "-c", key], { env: hosts[0].env });
  const known = await identity();
  expect(known).toMatch(/-rw------- .* host-id\n/);
  expect(known).toMatch(/-rw------- .* wireguard\.key\n/);
  const [own] = known.split("\n");
  await hosts[0].kill();
  await eventually(() => answers(b, "kept-a").then((does) => expect(does).toBe(true)));
  await eventually(() => answers(b, "kept-run").then((does) => expect(does).toBe(true)));
  expect(await hosts[0].addressesOf("kept-a", name)).toEqual(a.addresses);
  expect(await hosts[0].addressesOf("kept-run", name)).toEqual(before);
  expect((await identity()).split("\n").slice(0, 2)).toEqual(known.split("\n").slice(0, 2));
  await connected(hosts[0]);
  expect(await hosts[1].ok("host", "ls", "--format", "{{.id}}")).toContain(own);
  // The same after a stop, with the options of the file.
  await hosts[0].ok("daemon", "stop");
  await hosts[0].ok("daemon", "start");
  await eventually(() => answers(b, "kept-a").then((does) => expect(does).toBe(true)));
  expect(await hosts[0].addressesOf("kept-a", name)).toEqual(a.addresses);
  run.kill("SIGKILL");
  await run.exit;
});

test("while the store is away members talk on, and what needs it is refused at once", async ({
  cluster,
}) => {
  const { hosts, lab } = cluster;
  const name = await overlay(hosts);
  const a = await hosts[0].member(name, "away-a");
  const b = await hosts[1].member(name, "away-b");
  await hosts[1].member(name, "away-beside");
  expect(await answers(a, "away-b")).toBe(true);
  for (const member of lab.etcd.members) await member.kill();
  await expect.poll(() => clusterState(hosts[0])).toBe("cut off\n");
  expect(await answers(a, "away-b")).toBe(true);
  expect(await answers(b, "away-a")).toBe(true);
  const { pid } = await hosts[0].host.namespace();
  const join = await hosts[0].refusal("network", "connect", name, `${pid}`, "--name", "late");
  expect(join).toContain(lab.etcd.url);
  expect(await hosts[0].refusal(...create, "more")).toContain(lab.etcd.url);
  expect(await hosts[0].refusal("network", "connect", "unknown", `${pid}`)).toContain("unknown");
  expect(await hosts[0].ok("host", "ls")).toContain("cut off");
  // Networks of the host are as ever.
  await hosts[0].ok("network", "create", "own");
  await hosts[0].ok("network", "connect", "own", `${pid}`, "--name", "local");
  await hosts[0].ok("network", "disconnect", "own", "local");
  await hosts[0].ok("network", "rm", "own");
  // A daemon that is started now serves its members by what it wrote down, and says what it lacks.
  await hosts[1].kill();
  await eventually(() => answers(b, "away-beside").then((does) => expect(does).toBe(true)));
  expect(await hosts[1].addressesOf("away-b", name)).toEqual(b.addresses);
  expect(await hosts[1].ok("daemon", "status")).toContain("warning");
  for (const member of lab.etcd.members) member.restart();
  await lab.etcd.healthy();
  await Promise.all(hosts.map(connected));
  const c = await hosts[2].member(name, "away-c");
  for (const target of ["away-a", "away-b"]) {
    await eventually(() => answers(c, target).then((does) => expect(does).toBe(true)));
  }
  await hosts[0].ok("network", "connect", name, `${pid}`, "--name", "late");
  await eventually(() => answers(b, "late").then((does) => expect(does).toBe(true)));
});

test("the leader of etcd dies, and nobody notices", async ({ cluster }) => {
  const { hosts, lab } = cluster;
  const name = await overlay(hosts);
  const a = await hosts[0].member(name, "leader-a");
  const b = await hosts[1].member(name, "leader-b");
  const leader = await lab.etcd.leader();
  await leader.kill();
  expect(await answers(a, "leader-b")).toBe(true);
  expect(await answers(b, "leader-a")).toBe(true);
  await eventually(() => hosts[2].member(name, "leader-c"), 60_000);
  await eventually(() => answers(a, "leader-c").then((does) => expect(does).toBe(true)));
  leader.restart();
  await lab.etcd.healthy();
});

test("members of a host that is gone are gone everywhere, and back with it", async ({
  cluster,
  annotate,
}) => {
  const { hosts, lab } = cluster;
  const name = await overlay(hosts);
  const a = await hosts[0].member(name, "dead-a");
  const b = await hosts[2].member(name, "dead-b");
  expect(await answers(a, "dead-b")).toBe(true);
  await lab.stage.namespace.shell(`ip link set ${lab.linkOf(2)} down`);
  const started = performance.now();
  await expect
    .poll(async () => (await a.namespace.run(["getent", "hosts", "dead-b"])).code, {
      timeout: 60_000,
    })
    .not.toBe(0);
  const seconds = (performance.now() - started) / 1000;
  await annotate(`gone after ${seconds.toFixed(1)} s (goal: 20)`, figureType(seconds <= 20));
  expect(await hosts[1].ok("host", "ls")).not.toContain("host2");
  const { pid } = await hosts[1].host.namespace();
  const connect = ["network", "connect", name, `${pid}`, "--name", "heir"];
  expect(await hosts[1].refusal(...connect, "--ip", b.addresses.v4)).toContain(b.addresses.v4);
  await hosts[1].ok(...connect);
  expect(Object.keys((await hosts[0].inspect(name))[0].Containers)).toHaveLength(2);
  // The host itself keeps its members, and says that it is alone.
  expect(await clusterState(hosts[2])).toBe("cut off\n");
  expect(await hosts[2].addressesOf("dead-b", name)).toEqual(b.addresses);
  await lab.stage.namespace.shell(`ip link set ${lab.linkOf(2)} up`);
  await eventually(() => answers(a, "dead-b").then((does) => expect(does).toBe(true)), 60_000);
  expect(await hosts[2].addressesOf("dead-b", name)).toEqual(b.addresses);
});
