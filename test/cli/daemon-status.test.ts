import { describe, expect, test } from "vitest";
import { statusText } from "../../src/cli/commands/daemon-status.js";
import type { ClusterStatus, DaemonStatus } from "../../src/rpc/reports.js";

describe("daemon status", () => {
  const status: DaemonStatus = {
    version: "0.1.0",
    protocol: 4,
    pid: 42,
    namespace: "4:1",
    networks: 1,
    members: 2,
    servesContainers: false,
    settings: {},
    warnings: [],
    cluster: null,
  };
  const cluster: ClusterStatus = {
    store: "etcd://192.0.2.10:2379",
    state: "connected",
    since: 1_000,
    why: null,
    host: { id: "1".repeat(64), name: "alpha" },
    hosts: 3,
    networks: 1,
    members: 10,
    tunnels: { counters: { framesIn: 0, bytesIn: 0, framesOut: 0, bytesOut: 0 }, drops: {} },
  };
  const running = "the daemon is running: process 42, version 0.1.0; 1 network, 2 members\n";
  const text = (change: Partial<ClusterStatus>) =>
    statusText({ ...status, cluster: { ...cluster, ...change } }, 1_300);

  test("has nothing of a cluster where there is none", () => {
    expect(statusText(status, 1_300)).toBe(running);
  });

  test("says whether the store is there, and since when not", () => {
    expect(text({})).toBe(
      `${running}cluster: connected to etcd://192.0.2.10:2379 for 5 minutes, as alpha; 3 hosts, 1 network, 10 members\n`,
    );
    expect(text({ state: "joining", why: "no answer within 5 s" })).toBe(
      `${running}cluster: etcd://192.0.2.10:2379 has not answered for 5 minutes: no answer within 5 s\n`,
    );
    expect(text({ state: "cut off", why: "connection refused" })).toBe(
      `${running}cluster: cut off from etcd://192.0.2.10:2379 for 5 minutes, since 1970-01-01 00:16:40 +0000 UTC, with 3 hosts, 1 network, 10 members: connection refused\n`,
    );
  });
});
