import { expect } from "vitest";
import { eventually } from "../daemon-user.ts";
import { clusterTest } from "./cluster-user.ts";

const test = clusterTest();

// The documents' experiment: a network made once and seen on all hosts, and members that find each other by name.

const kinds = [
  ["encrypted", []],
  ["plain", ["--opt", "encrypted=false"]],
] as const;

test.for(kinds)("three members on three hosts, %s", async ([kind, options], { cluster }) => {
  const { hosts } = cluster;
  const network = `net-${kind}`;
  await hosts[0].ok("network", "create", "--driver", "overlay", "--ipv6", ...options, network);
  for (const host of hosts) {
    await eventually(async () => {
      const [report] = await host.inspect(network);
      expect(report).toMatchObject({ Name: network, Scope: "global", Driver: "overlay" });
    });
  }
  const members = await Promise.all(
    hosts.map((host, index) => host.member(network, `t${index}-${kind}`)),
  );
  for (const [index, { namespace, name }] of members.entries()) {
    const next = members[(index + 1) % members.length];
    for (const family of ["-4", "-6"]) {
      const ping = ["ping", family, "-n", "-c", "2", "-i", "0.2", "-W", "5", next.name];
      expect(await namespace.output(ping), `${name} → ${next.name}`).toContain(" 0% packet loss");
    }
  }
});
