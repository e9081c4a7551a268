import { test as base } from "vitest";
import { ClusterLab, type ClusterLabOptions, underlay } from "../../lab/cluster.ts";
import type { Namespace } from "../../lab/namespace.ts";
import { userDirectory } from "../api-client.ts";
import { eventually, HostDaemon } from "../daemon-user.ts";

/** A lab of several hosts, each with a daemon that is in one cluster. */
export class Cluster {
  readonly lab: ClusterLab;
  readonly hosts: readonly HostDaemon[];

  private constructor(lab: ClusterLab, hosts: readonly HostDaemon[]) {
    this.lab = lab;
    this.hosts = hosts;
  }

  /** @param families that the hosts advertise; default both */
  static async create(
    options: ClusterLabOptions = {},
    families?: readonly (4 | 6)[],
  ): Promise<Cluster> {
    const lab = await ClusterLab.create(options);
    try {
      // Several at once would find it half made.
      await userDirectory({ host: lab.hosts[0] });
      const hosts = await Promise.all(
        lab.hosts.map((host, index) =>
          HostDaemon.on(host, configuration(lab.etcd.url, index, families)),
        ),
      );
      await Promise.all(hosts.map((host) => host.ok("daemon", "start")));
      return new Cluster(lab, hosts);
    } catch (error) {
      await lab.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.hosts.map((host) => host.command("daemon", "stop")));
    await this.lab.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** A config.toml. */
export function configuration(
  store: string,
  index: number,
  families: readonly (4 | 6)[] = [4, 6],
): string {
  const advertised = families.map((family) =>
    family === 4 ? underlay.host(index) : underlay.host6(index),
  );
  return [
    `store = "${store}"`,
    `advertise = [${advertised.map((each) => `"${each}"`).join(", ")}]`,
    "",
  ].join("\n");
}

/** Tests with a cluster for each file: of three hosts and one etcd, unless the options say otherwise. */
export const clusterTest = (options: ClusterLabOptions = {}) =>
  base.extend(
    "cluster",
    { scope: "file" },
    // biome-ignore lint/correctness/noEmptyPattern: vitest reads the dependencies off the pattern
    async ({}, { onCleanup }) => {
      const cluster = await Cluster.create(options);
      onCleanup(() => cluster.close());
      return cluster;
    },
  );

const BYTES = 4_000_000;
const PORT = 9000;

/** Sends some megabytes from one to the other by TCP, and compares. */
export async function transfer(from: Namespace, to: Namespace, address: string): Promise<void> {
  const [family, host] = address.includes(":") ? ["TCP6", `[${address}]`] : ["TCP4", address];
  const listen = `socat -u ${family}-LISTEN:${PORT},reuseaddr STDOUT | sha256sum`;
  const receiver = to.spawn(["sh", "-c", listen]);
  await eventually(async () => {
    if (!(await to.output(["ss", "-tln"])).includes(`:${PORT} `)) throw new Error("nobody listens");
  });
  const sum = await from.shell(`
    file=$(mktemp)
    head -c ${BYTES} /dev/urandom > $file
    sha256sum < $file
    socat -u FILE:$file ${family}:${host}:${PORT}
    rm $file
  `);
  const { stdout } = await receiver.ended(30_000);
  if (stdout !== sum) throw new Error(`${address} got other bytes: ${stdout}`);
}

/** Waits until an address or a name answers. */
export async function pings(from: Namespace, target: string, withinMs = 10_000): Promise<void> {
  await eventually(() => from.output(["ping", "-n", "-c", "1", "-W", "5", target]), withinMs);
}
