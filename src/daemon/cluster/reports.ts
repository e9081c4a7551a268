import { logText } from "../../base/errors.js";
import { log } from "../../base/log.js";
import type { Cluster } from "../../cluster/cluster.js";
import type { HostRecord, MemberRecord } from "../../cluster/records.js";
import type { ClusterStatus, HostReport, NetworkReport } from "../../rpc/reports.js";
import type { Network } from "../network.js";
import { endpoint } from "../report.js";
import type { TunnelStatistics } from "../workers/messages.js";
import { commonAddress } from "./facts.js";
import type { Remotes } from "./remotes.js";

/** What is known of a cluster. */
interface Known {
  readonly cluster: Cluster;
  readonly remotes: Remotes;
  /** Where the store is. */
  readonly place: string;
  /** Since when it is in its state, in ms since 1970. */
  readonly since: number;
}

/**
 * Members of a network on all hosts, and where they are. Those that this host knows, while the store is away.
 * @param own containers of this host
 */
export async function everywhere(
  { cluster, remotes }: Pick<Known, "cluster" | "remotes">,
  network: Network,
  own: NetworkReport["Containers"],
): Promise<Pick<NetworkReport, "Peers" | "Containers">> {
  const members = await membersOf(cluster, network.id).catch(() => remotes.on(network.id));
  const others = members.map((member): [string, NetworkReport["Containers"][string]] => {
    const { id, names, mac, addresses } = member;
    return [id, endpoint(network, { id, name: names[0] ?? "" }, { mac, addresses })];
  });
  const hosts = new Set(members.map(hostOf));
  if (Object.keys(own).length > 0) hosts.add(cluster.self.id);
  return {
    Containers: { ...Object.fromEntries(others), ...own },
    Peers: [
      ...cluster.hosts.filter(({ id }) => hosts.has(id)).map((host) => peerOf(cluster.self, host)),
      ...members.flatMap(vtepOf),
    ],
  };
}

async function membersOf(cluster: Cluster, network: string): Promise<readonly MemberRecord[]> {
  try {
    return await cluster.membersOf(network);
  } catch (error) {
    log.warn(`members on other hosts may be missing: ${logText(error)}`);
    throw error;
  }
}

/** The host that a member is reached through; null: it has an end of a tunnel of its own. */
function hostOf({ location }: MemberRecord): string | null {
  return location.kind === "vtep" ? null : location.host;
}

function peerOf(self: HostRecord, host: HostRecord): { Name: string; IP: string } {
  const address = commonAddress(self, host) ?? host.addresses[0];
  return { Name: host.name, IP: address === undefined ? "" : `${address}` };
}

function vtepOf({ location, names }: MemberRecord): readonly { Name: string; IP: string }[] {
  return location.kind === "vtep" ? [{ Name: names[0] ?? "", IP: `${location.address}` }] : [];
}

/** Of tunnels that no thread has yet. */
const NO_STATISTICS: TunnelStatistics = {
  counters: { framesIn: 0, bytesIn: 0, framesOut: 0, bytesOut: 0 },
  drops: {},
};

/**
 * @param own how many attachments to overlays members of this host have
 * @param tunnels null: no thread has any yet
 */
export function clusterStatus(
  { cluster, remotes, place, since }: Known,
  own: number,
  tunnels: TunnelStatistics | null,
): ClusterStatus {
  const { self, hosts, networks, state, why } = cluster;
  return {
    store: place,
    state,
    since: Math.floor(since / 1000),
    why: state === "connected" ? null : why,
    host: { id: self.id, name: self.name },
    hosts: hosts.length,
    networks: networks.length,
    members: own + remotes.count,
    tunnels: tunnels ?? NO_STATISTICS,
  };
}

export async function hostReports(cluster: Cluster): Promise<readonly HostReport[]> {
  const population = await cluster.population().catch(() => null);
  return cluster.hosts.map((host) => {
    const { id, name, version, addresses, publicKey } = host;
    const isSelf = id === cluster.self.id;
    const others = cluster.state === "connected" ? "connected" : "unknown";
    return {
      id,
      name,
      addresses: addresses.map(String),
      state: isSelf ? cluster.state : others,
      isSelf,
      members: population === null ? null : (population.get(id) ?? 0),
      publicKey,
      version,
    };
  });
}
