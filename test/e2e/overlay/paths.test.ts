import { expect } from "vitest";
import { underlay } from "../../lab/cluster.ts";
import { eventually, type HostDaemon, type Member } from "../daemon-user.ts";
import { Cluster, clusterTest, transfer } from "./cluster-user.ts";

// What lies between the hosts: a smaller MTU, and one family alone.

const kinds = [
  ["encrypted", []],
  ["plain", ["--opt", "encrypted=false"]],
] as const;

/** The MTU of the path in the test, and what the tunnels put around an IP packet over IPv4, in bytes. */
const NARROW = 1350;
const AROUND = { encrypted: 60, plain: 50 } as const;

async function pair(
  hosts: readonly HostDaemon[],
  name: string,
  ...options: string[]
): Promise<Member[]> {
  await hosts[0].ok("network", "create", "--driver", "overlay", "--ipv6", ...options, name);
  await Promise.all(hosts.map((host) => eventually(() => host.inspect(name))));
  return Promise.all(hosts.slice(0, 2).map((host, index) => host.member(name, `${name}-${index}`)));
}

/** What ping says of one packet with so many bytes of data that nobody may fragment. */
function pingWhole(from: Member, address: string, bytes: number): Promise<string> {
  const ping = `ping -n -c1 -W5 -M do -s ${bytes} ${address}`;
  return from.namespace.shell(`${ping} 2>&1 || true`);
}

const test = clusterTest({ hosts: 2 });

test.for(kinds)(
  "a path whose MTU is too small for the overlay's, %s",
  async ([kind, options], { cluster }) => {
    const { hosts, lab } = cluster;
    const [a, b] = await pair(hosts, `narrow-${kind}`, ...options);
    await transfer(a.namespace, b.namespace, b.addresses.v4);
    // What the kernel knows after a router's "fragmentation needed".
    for (const [index, host] of lab.hosts.entries()) {
      await host.root.shell(`ip route add ${underlay.host(1 - index)} dev eth0 mtu ${NARROW}`);
    }
    await transfer(a.namespace, b.namespace, b.addresses.v4);
    await transfer(b.namespace, a.namespace, a.addresses.v6);
    // Members have been told what fits, by the gateway.
    const told = NARROW - AROUND[kind];
    const most = kind === "plain" ? 1450 : 1420;
    for (const [address, headers] of [
      [b.addresses.v4, 28],
      [b.addresses.v6, 48],
    ] as const) {
      expect(await pingWhole(a, address, most - headers)).toMatch(new RegExp(`mtu ?= ?${told}\\b`));
      expect(await pingWhole(a, address, told - headers)).toContain(" 1 received");
    }
    for (const [index, host] of lab.hosts.entries()) {
      await host.root.shell(`ip route delete ${underlay.host(1 - index)} dev eth0`);
    }
  },
);

test("hosts that have IPv6 alone", async () => {
  await using cluster = await Cluster.create({ hosts: 2 }, [6]);
  for (const [kind, options] of kinds) {
    const [a, b] = await pair(cluster.hosts, `six-${kind}`, ...options);
    await transfer(a.namespace, b.namespace, b.addresses.v4);
    await transfer(a.namespace, b.namespace, b.addresses.v6);
  }
  expect(await cluster.hosts[0].ok("host", "ls")).not.toContain(underlay.host(0));
});
