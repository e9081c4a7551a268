import { expect } from "vitest";
import { underlay } from "../../lab/cluster.ts";
import { eventually, type HostDaemon } from "../daemon-user.ts";
import { type Cluster, clusterTest } from "./cluster-user.ts";

const test = clusterTest({ hosts: 2 });

// flannel's keys are written here as its documents have them. What a machine with flanneld sends is tested in
// test/overlay/flannel.test.ts.

interface Lease {
  readonly PublicIP: string;
  readonly BackendType: string;
  readonly BackendData: { readonly VNI: number; readonly VtepMAC: string };
}

let serial = 0;

/** A flannel network that exists, each with a port of its own. @returns its prefix */
async function flannel({ lab }: Cluster): Promise<string> {
  serial += 1;
  const prefix = `/test${serial}/network`;
  const config = {
    Network: `10.${50 + serial}.0.0/16`,
    Backend: { Type: "vxlan", VNI: serial, Port: 8472 + serial },
  };
  await lab.etcd.put(`${prefix}/config`, JSON.stringify(config));
  return prefix;
}

/** Subnets by the addresses of the hosts that have them. */
async function leases({ lab }: Cluster, prefix: string): Promise<Map<string, string>> {
  const found = await lab.etcd.read(`${prefix}/subnets/`);
  return new Map(
    [...found].map(([key, value]) => {
      const subnet = key.slice(`${prefix}/subnets/`.length).replace("-", "/");
      return [(JSON.parse(value) as Lease).PublicIP, subnet];
    }),
  );
}

function create(host: HostDaemon, prefix: string, name: string): Promise<string> {
  const option = `etcd-prefix=${prefix}`;
  return host.ok("network", "create", "--driver", "flannel", "--opt", option, name);
}

const ping = (target: string) => ["ping", "-n", "-c", "2", "-i", "0.2", "-W", "5", target];

test("members of two hosts reach each other, each in the subnet of its host", async ({
  cluster,
}) => {
  const { hosts } = cluster;
  const prefix = await flannel(cluster);
  await Promise.all(hosts.map((host) => create(host, prefix, "fl")));
  const subnets = await leases(cluster, prefix);
  for (const [index, host] of hosts.entries()) {
    const [report] = await host.inspect("fl");
    expect(report).toMatchObject({ Driver: "flannel", Scope: "local" });
    expect(report.IPAM.Config[0].Subnet).toBe(subnets.get(underlay.host(index)));
  }
  const [a, b] = await Promise.all(hosts.map((host, i) => host.member("fl", `fl-${i}`)));
  await eventually(async () => {
    expect(await a.namespace.output(ping(b.addresses.v4))).toContain(" 0% packet loss");
  });
  expect(await b.namespace.output(ping(a.addresses.v4))).toContain("ttl=62");
  for (const host of hosts)
    await host.ok("network", "disconnect", "fl", host === hosts[0] ? "fl-0" : "fl-1");
  await hosts[0].ok("network", "rm", "fl");
  expect([...(await leases(cluster, prefix)).keys()]).toEqual([underlay.host(1)]);
  await hosts[1].ok("network", "rm", "fl");
});

test("the lease stays when the daemon stops, and the next one goes on with it", async ({
  cluster,
}) => {
  const { hosts } = cluster;
  const prefix = await flannel(cluster);
  await Promise.all(hosts.map((host) => create(host, prefix, "stays")));
  const before = await leases(cluster, prefix);
  const [report] = await hosts[0].inspect("stays");
  await hosts[0].ok("daemon", "stop");
  expect(await leases(cluster, prefix)).toEqual(before);
  await hosts[0].ok("daemon", "start");
  expect(await hosts[0].inspect("stays")).toEqual([report]);
  const [a, b] = await Promise.all(hosts.map((host, i) => host.member("stays", `stays-${i}`)));
  await eventually(async () => {
    expect(await a.namespace.output(ping(b.addresses.v4))).toContain(" 0% packet loss");
  });
  expect(await leases(cluster, prefix)).toEqual(before);
});

test("what is wrong is refused with a sentence, and nothing is taken", async ({ cluster }) => {
  const [host] = cluster.hosts;
  const prefix = await flannel(cluster);
  const refused = (...args: string[]) =>
    host.refusal("network", "create", "--driver", "flannel", ...args, "wrong");
  expect(await refused("--opt", "etcd-prefix=/nowhere")).toContain("has no flannel network there");
  expect(await refused("--subnet", "10.9.0.0/24")).toContain("--subnet is not for flannel");
  await create(host, prefix, "right");
  expect(await refused("--opt", `etcd-prefix=${prefix}`)).toContain(
    "cannot be opened (EADDRINUSE)",
  );
  expect((await leases(cluster, prefix)).size).toBe(1);
  await host.ok("network", "rm", "right");
});
