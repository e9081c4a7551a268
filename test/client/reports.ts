import { parseCommandLine } from "../../src/commandline/command-line.ts";
import type { OutputFormat } from "../../src/commandline/requests.ts";
import type { MemberReport, NetworkReport } from "../../src/rpc/messages.ts";

/** What a value of `--format` means. */
export function outputOf(format: string): OutputFormat {
  const invocation = parseCommandLine("slipway", ["ps", "--format", format]);
  const isRequest = invocation.kind === "ask daemon" && invocation.request.action === "members";
  if (!isRequest) throw new Error(`parsed as ${invocation.kind}`);
  return invocation.request.output;
}

const ids = { web: "1".repeat(64), app: "a".repeat(64), db: "b".repeat(64) };

const endpoint = { EndpointID: "e", MacAddress: "02:42:0a:59:00:02", IPv6Address: "" };

export const network: NetworkReport = {
  Name: "web",
  Id: ids.web,
  Created: "2026-11-30T12:00:00.000Z",
  Scope: "local",
  Driver: "bridge",
  EnableIPv4: true,
  EnableIPv6: false,
  IPAM: {
    Driver: "default",
    Options: {},
    Config: [{ Subnet: "10.89.0.0/24", Gateway: "10.89.0.1" }],
  },
  Internal: false,
  Attachable: true,
  Ingress: false,
  ConfigFrom: { Network: "" },
  ConfigOnly: false,
  Containers: {
    [ids.db]: { ...endpoint, Name: "db", IPv4Address: "10.89.0.3/24" },
    [ids.app]: { ...endpoint, Name: "app", IPv4Address: "10.89.0.2/24" },
  },
  Options: { "com.docker.network.driver.mtu": "1500" },
  Labels: { team: "blue", "com.example.tier": "front" },
};

export const member: MemberReport = {
  id: ids.app,
  name: "app",
  pid: 4711,
  netns: "/proc/4711/ns/net",
  labels: { team: "blue" },
  since: Math.floor(Date.now() / 1000) - 3 * 3600,
  networks: [
    {
      network: "web",
      ifname: "eth0",
      mac: "02:42:0a:59:00:02",
      mtu: 1500,
      internal: false,
      aliases: ["api"],
      addresses: [
        { address: "10.89.0.2", subnet: "10.89.0.0/24", gateway: "10.89.0.1" },
        { address: "fd00::2", subnet: "fd00::/64", gateway: "fd00::1" },
      ],
      counters: { framesIn: 0, bytesIn: 0, framesOut: 0, bytesOut: 0 },
      drops: {},
    },
  ],
  published: ["0.0.0.0:8080->80/tcp", "[::]:8080->80/tcp"],
};
