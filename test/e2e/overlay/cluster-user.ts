import { test as base } from "vitest";
import { ClusterLab, type ClusterLabOptions, underlay } from "../../lab/cluster.ts";
import { userDirectory } from "../api-client.ts";
import { HostDaemon } from "../daemon-user.ts";

/** A lab of several hosts, each with a daemon that is in one cluster. */
export class Cluster {
  readonly lab: ClusterLab;
  readonly hosts: readonly HostDaemon[];

  private constructor(lab: ClusterLab, hosts: readonly HostDaemon[]) {
    this.lab = lab;
    this.hosts = hosts;
  }

  static async create(options: ClusterLabOptions = {}): Promise<Cluster> {
    const lab = await ClusterLab.create(options);
    try {
      // Several at once would find it half made.
      await userDirectory({ host: lab.hosts[0] });
      const hosts = await Promise.all(
        lab.hosts.map((host, index) => HostDaemon.on(host, configuration(lab.etcd.url, index))),
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
export function configuration(store: string, index: number): string {
  const advertised = [underlay.host(index), underlay.host6(index)];
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
