import { carryOut } from "../../src/client/carry-out.ts";
import type { Requests } from "../../src/client/target.ts";
import { parseCommandLine } from "../../src/commandline/command-line.ts";
import type { HostReport, MemberReport, NetworkReport, PeerReport } from "../../src/rpc/reports.ts";

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
  hostname: "box",
  pid: 4711,
  netns: "/proc/4711/ns/net",
  labels: { team: "blue" },
  since: Math.floor(Date.now() / 1000) - 3 * 3600,
  networks: [
    {
      network: "web",
      networkId: ids.web,
      endpointId: "e",
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

/** What a daemon has that answers with these reports. */
export interface Holdings {
  readonly networks?: readonly NetworkReport[];
  readonly members?: readonly MemberReport[];
  readonly hosts?: readonly HostReport[];
  readonly peers?: readonly PeerReport[];
}

/** What a command prints. `asked` gets the changes that it asks for. */
export async function say(
  args: readonly string[],
  { networks = [network], members = [member], hosts = [], peers = [] }: Holdings = {},
  asked: unknown[] = [],
): Promise<string> {
  const answers: Record<string, (params: { readonly name: string }) => unknown> = {
    "network.list": () => networks,
    "network.inspect": ({ name }) => networks.find(({ Name }) => Name === name),
    "member.list": () => members,
    "host.list": () => hosts,
    "peer.list": () => peers,
    "peer.add": (params) => {
      asked.push(params);
      const isClient = "vtep" in params && params.vtep === null;
      return { peer: peers[0], configuration: isClient ? "[Interface]\n" : null };
    },
    "peer.remove": (params) => {
      asked.push(params);
      return {};
    },
    "network.prune": (params) => {
      asked.push(params);
      return [];
    },
    "network.remove": (params) => {
      asked.push(params);
      return {};
    },
  };
  const request = async (method: string, params: { readonly name: string }) =>
    answers[method](params);
  const invocation = parseCommandLine("slipway", args);
  if (invocation.kind !== "ask daemon") throw new Error(`parsed as ${invocation.kind}`);
  const requests = { request } as unknown as Requests;
  return carryOut(invocation.request, requests, {
    connect: () => Promise.reject(new Error("no")),
    nameOfMember: async (text) => text,
  });
}
