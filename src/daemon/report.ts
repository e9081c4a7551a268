import type { Family } from "../base/address.js";
import { formatMac } from "../base/mac.js";
import type { Carriage } from "../cluster/records.js";
import type { AttachmentIdentity } from "../network/guard.js";
import type { MemberReport, NetworkReport } from "../rpc/reports.js";
import type { Member } from "./member.js";
import { type Network, type NetworkDefinition, subnetOf } from "./network.js";
import type { AttachmentStatistics } from "./workers/messages.js";

interface Named {
  readonly id: string;
  readonly name: string;
  readonly driver: NetworkReport["Driver"];
}

/** When the networks that are always there came to be, for this daemon. */
const STARTED = new Date().toISOString();

/** A network without addresses and members, as those are that are always there. */
export function emptyReport({ id, name, driver }: Named): NetworkReport {
  return {
    Name: name,
    Id: id,
    Created: STARTED,
    Scope: "local",
    Driver: driver,
    EnableIPv4: true,
    EnableIPv6: true,
    IPAM: { Driver: "default", Options: {}, Config: [] },
    Internal: false,
    Attachable: true,
    Ingress: false,
    ConfigFrom: { Network: "" },
    ConfigOnly: false,
    Containers: {},
    Options: {},
    Labels: {},
  };
}

/** A network in the shape of `docker network inspect`. */
export function networkReport(network: Network, members: readonly Member[]): NetworkReport {
  const { definition } = network;
  const { name, id, created, subnets, internal, mtu, labels, options, carriage } = definition;
  return {
    ...emptyReport({ id, name, driver: driverOf(definition) }),
    Scope: carriage === null ? "local" : "global",
    Created: new Date(created).toISOString(),
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
    Containers: Object.fromEntries(
      members.map((member) => {
        const attachment = member.attachments.find((each) => each.network === network);
        return [member.id, endpoint(network, member, attachment?.identity)];
      }),
    ),
    Options: { ...options, "com.docker.network.driver.mtu": `${mtu}`, ...vniOption(carriage) },
    Labels: labels,
  };
}

function driverOf({ carriage, flannel }: NetworkDefinition): NetworkReport["Driver"] {
  if (flannel !== undefined) return "flannel";
  return carriage === null ? "bridge" : "overlay";
}

/** As docker has it. */
function vniOption(carriage: Carriage | null): Readonly<Record<string, string>> {
  return carriage?.kind === "vxlan"
    ? { "com.docker.network.driver.overlay.vxlanid_list": `${carriage.vni}` }
    : {};
}

/** A member of a network. @param identity absent: it has none there any more */
export function endpoint(
  network: Network,
  member: Pick<Member, "id" | "name">,
  identity: AttachmentIdentity | undefined,
): NetworkReport["Containers"][string] {
  const withLength = (family: Family): string => {
    const address = identity?.addresses.find((each) => each.family === family);
    const subnet = subnetOf(network, family);
    return address === undefined || subnet === null ? "" : `${address}/${subnet.prefix.length}`;
  };
  return {
    Name: member.name,
    EndpointID: endpointId(network, member),
    MacAddress: identity === undefined ? "" : formatMac(identity.mac),
    IPv4Address: withLength(4),
    IPv6Address: withLength(6),
  };
}

/** Unique for each attachment: halves of the network's id and the member's. */
function endpointId({ definition }: Network, { id }: Pick<Member, "id">): string {
  return definition.id.slice(0, 32) + id.slice(0, 32);
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
  const own = member.attachments.map(({ network, given, served }) => ({
    given,
    ids: { networkId: network.id, endpointId: endpointId(network, member) },
    statistics: (served === null ? undefined : statistics.get(served.number)) ?? NOTHING_YET,
  }));
  return {
    id: member.id,
    name: member.name,
    hostname: member.hostname,
    pid: member.namespace?.pid ?? null,
    netns: member.namespace?.netns ?? null,
    labels: member.labels,
    since: Math.floor(member.since / 1000),
    networks: own.map(({ given, ids, statistics: { counters, drops } }) => ({
      ...given,
      ...ids,
      counters,
      drops,
    })),
    published: own.flatMap(({ statistics: { published } }) => published),
  };
}
