import { Address, Prefix } from "../../base/address.js";
import { shortId } from "../../config/names.js";
import type { AttachmentReport, MemberReport } from "../../rpc/reports.js";

/** A member in the shape of `docker inspect`, as far as that means something here. */
export type ContainerReport = ReturnType<typeof containerReport>;

export function containerReport(member: MemberReport) {
  const { id, name, hostname, pid, labels, networks, published } = member;
  const started = new Date(member.since * 1000).toISOString();
  const endpoints = networks.map((attachment) => endpoint(member, attachment));
  const ports = portsOf(published);
  return {
    Id: id,
    Created: started,
    // Docker's names begin with a slash.
    Name: `/${name}`,
    State: { Status: "running", Running: true, Pid: pid ?? 0, StartedAt: started },
    Config: { Hostname: hostname, Labels: labels },
    HostConfig: { NetworkMode: networks[0]?.network ?? "none", PortBindings: ports },
    NetworkSettings: {
      SandboxKey: member.netns ?? "",
      Ports: ports,
      ...firstOf(endpoints),
      Networks: Object.fromEntries(
        networks.map(({ network }, index) => [network, endpoints[index]] as const),
      ),
    },
  };
}

function endpoint(
  { id, name }: MemberReport,
  { networkId, endpointId, mac, aliases, addresses }: AttachmentReport,
) {
  const v4 = addresses.find(({ address }) => Address.parse(address)?.family === 4);
  const v6 = addresses.find(({ address }) => Address.parse(address)?.family === 6);
  return {
    Aliases: aliases,
    DNSNames: [...new Set([name, ...aliases, shortId(id)])],
    MacAddress: mac,
    NetworkID: networkId,
    EndpointID: endpointId,
    Gateway: v4?.gateway ?? "",
    IPAddress: v4?.address ?? "",
    IPPrefixLen: lengthOf(v4?.subnet),
    IPv6Gateway: v6?.gateway ?? "",
    GlobalIPv6Address: v6?.address ?? "",
    GlobalIPv6PrefixLen: lengthOf(v6?.subnet),
  };
}

type Endpoint = ReturnType<typeof endpoint>;

/** What older scripts read: docker had it for the default network only. */
function firstOf([first]: readonly Endpoint[]) {
  return {
    Gateway: first?.Gateway ?? "",
    IPAddress: first?.IPAddress ?? "",
    IPPrefixLen: first?.IPPrefixLen ?? 0,
    IPv6Gateway: first?.IPv6Gateway ?? "",
    GlobalIPv6Address: first?.GlobalIPv6Address ?? "",
    GlobalIPv6PrefixLen: first?.GlobalIPv6PrefixLen ?? 0,
    MacAddress: first?.MacAddress ?? "",
  };
}

function lengthOf(subnet: string | undefined): number {
  return subnet === undefined ? 0 : Prefix.parse(subnet).length;
}

/** @param published HOST:PORT->PORT/PROTOCOL */
function portsOf(published: readonly string[]) {
  const bindings = published.flatMap((text) => {
    const [, host = "", HostPort = "", port = ""] = /^(.*):(\d+)->(.+)$/.exec(text) ?? [];
    return port === "" ? [] : [{ port, HostIp: host.replace(/^\[(.*)\]$/, "$1"), HostPort }];
  });
  const groups = Map.groupBy(bindings, ({ port }) => port);
  return Object.fromEntries(
    [...groups].map(([port, own]) => [
      port,
      own.map(({ HostIp, HostPort }) => ({ HostIp, HostPort })),
    ]),
  );
}
