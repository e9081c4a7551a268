import { Census } from "./census.ts";
import { Etcd, type EtcdPlace, etcdProgram } from "./etcd.ts";
import { Host, userId } from "./host.ts";
import type { HeldNamespace } from "./namespace.ts";
import { requireBuilt } from "./product.ts";
import { makeStage, type Stage } from "./stage.ts";

/** The network between the hosts: documentation addresses, and none of it leads anywhere. */
export const underlay = {
  /** Of the bridge that all hosts are connected to, where etcd runs. */
  bridge: "192.0.2.254",
  bridge6: "2001:db8:0:9::fe",
  /** Of host `index`, from 0. */
  host: (index: number) => `192.0.2.${index + 1}`,
  host6: (index: number) => `2001:db8:0:9::${index + 1}`,
  /** Of machines without Slipway. */
  machine: (index: number) => `192.0.2.${index + 100}`,
  machine6: (index: number) => `2001:db8:0:9::${index + 100}`,
  /** Of etcd's members. */
  etcd: (index: number) => `192.0.2.${index + 200}`,
  length: 24,
  length6: 64,
} as const;

export interface ClusterLabOptions {
  /** Default 3. */
  readonly hosts?: number;
  /** Members of etcd; default 1, 0: none. */
  readonly stores?: number;
  /** Of the links between the hosts, in bytes; default 1500. */
  readonly mtu?: number;
}

/**
 * Several hosts, each with a network namespace, a hostname and an unprivileged user of its own, on one bridge; and a real etcd
 * beside them. As in {@link Lab}, everything ends with it.
 */
export class ClusterLab {
  readonly stage: Stage;
  readonly hosts: readonly Host[];
  readonly #etcd: Etcd | null;
  readonly #census: Census;

  private constructor(census: Census, stage: Stage, hosts: readonly Host[], etcd: Etcd | null) {
    this.#census = census;
    this.stage = stage;
    this.hosts = hosts;
    this.#etcd = etcd;
  }

  /** Takes two seconds, five with three members of etcd. */
  static async create(options: ClusterLabOptions = {}): Promise<ClusterLab> {
    const { hosts: count = 3, stores = 1, mtu = 1500 } = options;
    requireBuilt();
    const census = new Census();
    try {
      const stage = await makeStage(census);
      await stage.namespace.shell(bridge(stores, mtu));
      await stage.namespace.shell(`
        echo 'nameserver ${underlay.bridge}' > ${stage.directory}/resolv.conf
        echo 'hosts: files dns' > ${stage.directory}/nsswitch.conf
      `);
      const [etcd, ...hosts] = await Promise.all([
        stores === 0 ? null : startEtcd(stage, stores),
        ...Array.from({ length: count }, (_, index) => makeHost(stage, index, mtu)),
      ]);
      return new ClusterLab(census, stage, hosts, etcd);
    } catch (error) {
      await census.end();
      throw error;
    }
  }

  get etcd(): Etcd {
    if (this.#etcd === null) throw new Error("the lab has no etcd");
    return this.#etcd;
  }

  /** The link of a host, as seen from the bridge. */
  linkOf(index: number): string {
    return `host${index}`;
  }

  /** A machine without Slipway on the bridge: its root. It ends with the lab. */
  async machine(index: number): Promise<HeldNamespace> {
    const root = await this.stage.namespace.unshare(["mount", "net"]);
    await this.stage.namespace.shell(`
      ip link add machine${index} type veth peer name eth0 netns ${root.pid}
      ip link set machine${index} master bridge
      ip link set machine${index} up
    `);
    // Checksums inside a tunnel are left to the network card, which a veth pair is not.
    await root.shell(`
      ethtool -K eth0 tx off >/dev/null
      ip -batch - <<END
link set lo up
link set eth0 up
address add ${underlay.machine(index)}/${underlay.length} dev eth0
address add ${underlay.machine6(index)}/${underlay.length6} dev eth0 nodad
END
    `);
    return root;
  }

  async close(): Promise<void> {
    await this.#etcd?.close();
    await this.#census.end();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** The bridge has a MAC of its own: that of a port would go with it, and hosts not find etcd until they ask for it again. */
function bridge(stores: number, mtu: number): string {
  const etcd = Array.from(
    { length: stores },
    (_, index) => `address add ${underlay.etcd(index)}/${underlay.length} dev bridge`,
  );
  return `
    echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad
    for last in 2147483647 65535 0; do
      echo "0 $last" 2>/dev/null > /proc/sys/net/ipv4/ping_group_range && break
    done
    ip -batch - <<END
link set lo up
link add bridge mtu ${mtu} address 02:00:5e:00:53:fe type bridge
address add ${underlay.bridge}/${underlay.length} dev bridge
address add ${underlay.bridge6}/${underlay.length6} dev bridge nodad
${etcd.join("\n")}
link set bridge up
END
  `;
}

/** The hosts have a name server at which nobody answers, so that unknown names are refused at once. */
function namesOf({ directory }: Stage): string {
  return `
    mount --bind ${directory}/resolv.conf "$(readlink -f /etc/resolv.conf)"
    mount --bind ${directory}/nsswitch.conf /etc/nsswitch.conf
  `;
}

function startEtcd(stage: Stage, count: number): Promise<Etcd> {
  const places = Array.from({ length: count }, (_, index): EtcdPlace => {
    const address = underlay.etcd(index);
    return { namespace: stage.namespace, address, clientPort: 2379, peerPort: 2380 };
  });
  return Etcd.create({ places, directory: stage.directory, program: etcdProgram });
}

function makeHost(stage: Stage, index: number, mtu: number): Promise<Host> {
  return Host.prepare(stage, userId + index, async (root) => {
    await stage.namespace.shell(`
      ip link add host${index} mtu ${mtu} type veth peer name eth0 mtu ${mtu} netns ${root.pid}
      ip link set host${index} master bridge
      ip link set host${index} up
    `);
    await root.shell(`
      hostname host${index}
      ${namesOf(stage)}
      echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad
      echo 0 > /proc/sys/net/ipv6/conf/eth0/accept_dad
      for last in 2147483647 65535 0; do
        echo "0 $last" 2>/dev/null > /proc/sys/net/ipv4/ping_group_range && break
      done
      ip -batch - <<END
link set lo up
link set eth0 up
address add ${underlay.host(index)}/${underlay.length} dev eth0
address add ${underlay.host6(index)}/${underlay.length6} dev eth0 nodad
route add default via ${underlay.bridge}
route add default via ${underlay.bridge6}
END
    `);
  });
}
