import { momentText, spanText } from "../../client/views/moments.js";
import type { ClusterStatus, DaemonStatus } from "../../rpc/reports.js";
import { formatCount } from "../control/units.js";

/**
 * What `daemon status` prints.
 * @param now in seconds since 1970
 */
export function statusText(status: DaemonStatus, now: number): string {
  const { pid, version, networks, members, warnings, cluster } = status;
  return [
    `the daemon is running: process ${pid}, version ${version}; ${formatCount(networks, "network")}, ${formatCount(members, "member")}`,
    ...(cluster === null ? [] : [clusterText(cluster, now)]),
    ...warnings.map((warning) => `warning: ${warning}`),
    "",
  ].join("\n");
}

function clusterText(cluster: ClusterStatus, now: number): string {
  const { store, state, since, why, host, hosts, networks, members } = cluster;
  const reason = why === null ? "" : `: ${why}`;
  const age = spanText(Math.max(0, now - since));
  const known = `${formatCount(hosts, "host")}, ${formatCount(networks, "network")}, ${formatCount(members, "member")}`;
  switch (state) {
    case "connected":
      return `cluster: connected to ${store} for ${age}, as ${host.name}; ${known}`;
    case "joining":
      return `cluster: ${store} has not answered for ${age}${reason}`;
    case "cut off":
      return `cluster: cut off from ${store} for ${age}, since ${momentText(since * 1000)}, with ${known}${reason}`;
  }
}
