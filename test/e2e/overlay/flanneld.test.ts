import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { underlay } from "../../lab/cluster.ts";
import type { HeldNamespace } from "../../lab/namespace.ts";
import { root } from "../../lab/product.ts";
import { eventually } from "../daemon-user.ts";
import { type Cluster, clusterTest } from "./cluster-user.ts";

/** scripts/flanneld makes it. */
const flanneld = join(root, "build/flanneld/flannel");

const test = clusterTest({ hosts: 2 });

const prefix = "/coreos.com/network";
const mtu = 1450;

/** A machine with flanneld, and a pod on the bridge that its users make. @returns the pod and its address */
async function startFlanneld({ lab }: Cluster): Promise<{ pod: HeldNamespace; address: string }> {
  const machine = await lab.machine(0);
  await machine.shell(`
    mount -t tmpfs tmpfs /run
    mkdir /run/flannel
    echo 1 > /proc/sys/net/ipv4/ip_forward
  `);
  const server = machine.spawn([
    flanneld,
    ...[`-etcd-endpoints=${lab.etcd.url.replace("etcd:", "http:")}`, `-etcd-prefix=${prefix}`],
    ...["-iface=eth0", "-ip-masq=false", "-iptables-forward-rules=false"],
  ]);
  const read = async () => machine.output(["cat", "/run/flannel/subnet.env"]);
  const environment = await eventually(read).catch((error: unknown) => {
    throw new Error(`${server.stderr.slice(-2_000)}`, { cause: error });
  });
  const gateway = /FLANNEL_SUBNET=(.*)\/24/.exec(environment)?.[1] ?? "";
  const address = gateway.replace(/\.1$/, ".9");
  const pod = await machine.unshare(["net"]);
  await machine.shell(`
    ip link add cni0 mtu ${mtu} type bridge
    ip address add ${gateway}/24 dev cni0
    ip link set cni0 up
    ip link add veth0 mtu ${mtu} type veth peer name eth0 mtu ${mtu} netns ${pod.pid}
    ip link set veth0 master cni0 up
  `);
  await pod.shell(`
    ip address add ${address}/24 dev eth0
    ip link set eth0 up
    ip route add default via ${gateway}
  `);
  return { pod, address };
}

const ping = (target: string) => ["ping", "-n", "-c", "2", "-i", "0.2", "-W", "5", target];

test.runIf(existsSync(flanneld))(
  "members and pods of flanneld reach each other",
  async ({ cluster }) => {
    const { hosts, lab } = cluster;
    const config = { Network: "10.5.0.0/16", Backend: { Type: "vxlan" } };
    await lab.etcd.put(`${prefix}/config`, JSON.stringify(config));
    // One host that flanneld finds, and one that comes later.
    await hosts[0].ok("network", "create", "--driver", "flannel", "fl");
    const { pod, address } = await startFlanneld(cluster);
    await hosts[1].ok("network", "create", "--driver", "flannel", "fl");
    expect((await lab.etcd.read(`${prefix}/subnets/`)).size).toBe(3);
    for (const [index, host] of hosts.entries()) {
      const { namespace, addresses } = await host.member("fl", `fl-${index}`);
      await eventually(async () => {
        expect(await namespace.output(ping(address)), underlay.host(index)).toContain("ttl=62");
      });
      expect(await pod.output(ping(addresses.v4))).toContain(" 0% packet loss");
    }
  },
);
