import { expect, test } from "vitest";
import { ClusterLab, underlay } from "../../lab/cluster.ts";
import { HostDaemon } from "../daemon-user.ts";
import { configuration } from "./cluster-user.ts";

// A lab without a store: a file has the hosts, the networks and the members.

const FILE = `
  [[host]]
  name = "a"
  addresses = ["${underlay.host(0)}"]

  [[host]]
  name = "b"
  addresses = ["${underlay.host(1)}"]

  [[network]]
  name = "ov1"
  subnets = ["10.240.0.0/24", "fd00:240::/64"]
  encrypted = false

  [[member]]
  name = "t1"
  network = "ov1"
  host = "a"
  addresses = ["10.240.0.2", "fd00:240::2"]

  [[member]]
  name = "t2"
  network = "ov1"
  host = "b"
  addresses = ["10.240.0.3", "fd00:240::3"]
`;

test("members of two hosts that a file lists reach each other, and nobody else is let in", async () => {
  await using lab = await ClusterLab.create({ hosts: 2, stores: 0 });
  const file = `${lab.stage.directory}/cluster.toml`;
  await lab.stage.namespace.output(["tee", file], { input: FILE });
  const open = (index: number) =>
    HostDaemon.on(lab.hosts[index], configuration(`file:${file}`, index));
  await using first = await open(0);
  await using second = await open(1);
  const hosts = [first, second];
  await Promise.all(hosts.map((host) => host.ok("daemon", "start")));
  const a = await hosts[0].member("ov1", "t1");
  const b = await hosts[1].member("ov1", "t2");
  expect(a.addresses).toEqual({ v4: "10.240.0.2", v6: "fd00:240::2" });
  for (const [{ namespace }, target] of [
    [a, "t2"],
    [b, "t1"],
  ] as const) {
    for (const family of ["-4", "-6"]) {
      await namespace.output(["ping", family, "-n", "-c", "1", "-W", "5", target]);
    }
  }
  const { pid } = await lab.hosts[0].namespace();
  const connect = ["network", "connect", "ov1", `${pid}`];
  expect(await hosts[0].refusal(...connect, "--name", "t3")).toContain(file);
  expect(await hosts[0].refusal("network", "create", "--driver", "overlay", "ov2")).toContain(file);
  expect((await hosts[0].ok("host", "ls", "--format", "{{.name}}")).split("\n").sort()).toEqual([
    "",
    "b",
    "host0",
  ]);
  await hosts[1].kill();
  await expect
    .poll(async () => (await a.namespace.run(["ping", "-n", "-c", "1", "-W", "1", "t2"])).code)
    .toBe(0);
});
