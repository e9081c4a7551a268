import type { Family } from "../base/address.js";
import { formatMac } from "../base/mac.js";
import type { MemberReport, NetworkReport } from "../rpc/messages.js";
import type { Member } from "./member.js";
import { type Network, subnetOf } from "./network.js";
import type { AttachmentStatistics } from "./workers/messages.js";

/** A network in the shape of `docker network inspect`. */
export function networkReport(network: Network, members: readonly Member[]): NetworkReport {
  const { name, id, created, subnets, internal, mtu, labels, options } = network.definition;
  return {
    Name: name,
    Id: id,
    Created: new Date(created).toISOString(),
    Scope: "local",
    Driver: "bridge",
    EnableIPv4: subnetOf(network, 4) !== null,
    EnableIPv6: subnetOf(network, 6) !== null,
    IPAM: {
      Driver: "default",
      Options: {},
      Config: subnets.map(({ prefix, gateway, range }) => ({
        Subnet: `${prefix}`,
        Gateway: `${gateway}`,
        ...(`${range}` === `${prefix}` ? {} : { IPRange: `${range}` }),
      })),
    },
    Internal: internal,
    Attachable: true,
    Ingress: false,
    ConfigFrom: { Network: "" },
    ConfigOnly: false,
    Containers: Object.fromEntries(members.map((member) => [member.id, endpoint(member, network)])),
    Options: { ...options, "com.docker.network.driver.mtu": `${mtu}` },
    Labels: labels,
  };
}

function endpoint(member: Member, network: Network): NetworkReport["Containers"][string] {
  const attachment = member.attachments.find((each) => each.network === network);
  const identity = attachment?.identity;
  const withLength = (family: Family): string => {
    const address = identity?.addresses.find((each) => each.family === family);
    const subnet = subnetOf(network, family);
    return address === undefined || subnet === null ? "" : `${address}/${subnet.prefix.length}`;
  };
  return {
    Name: member.name,
    // Unique for each attachment: halves of the network's id and the member's.
    EndpointID: network.definition.id.slice(0, 32) + member.id.slice(0, 32),
    MacAddress: identity === undefined ? "" : formatMac(identity.mac),
    IPv4Address: withLength(4),
    IPv6Address: withLength(6),
  };
}

type Statistics = Omit<AttachmentStatistics, "attachment">;

/** The statistics of an attachment that no thread serves yet. */
const NOTHING_YET: Statistics = {
  counters: { framesIn: 0, bytesIn: 0, framesOut: 0, bytesOut: 0 },
  drops: {},
  published: [],
};

/** @param statistics of all attachments that are served, by number */
export function memberReport(
  member: Member,
  statistics: ReadonlyMap<number, AttachmentStatistics>,
): MemberReport {
  const own = member.attachments.map(({ given, served }) => ({
    given,
    statistics: (served === null ? undefined : statistics.get(served.number)) ?? NOTHING_YET,
  }));
  return {
    id: member.id,
    name: member.name,
    pid: member.namespace?.pid ?? null,
    netns: member.namespace?.netns ?? null,
    labels: member.labels,
    since: Math.floor(member.since / 1000),
    networks: own.map(({ given, statistics: { counters, drops } }) => ({
      ...given,
      counters,
      drops,
    })),
    published: own.flatMap(({ statistics: { published } }) => published),
  };
}
