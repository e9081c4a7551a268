import { formatMac } from "../base/mac.js";
import type { NetworkReport } from "../protocol/messages.js";
import type { Member } from "./members.js";
import type { Network } from "./network.js";

/** A network in the shape of `docker network inspect`. */
export function networkReport(network: Network, members: readonly Member[]): NetworkReport {
  const { name, id, created, subnets, internal, mtu, labels, options } = network.definition;
  return {
    Name: name,
    Id: id,
    Created: new Date(created).toISOString(),
    Scope: "local",
    Driver: "bridge",
    EnableIPv4: true,
    EnableIPv6: subnets.some(({ prefix }) => prefix.address.family === 6),
    IPAM: {
      Driver: "default",
      Options: {},
      Config: subnets.map(({ prefix, gateway, range }) => ({
        Subnet: `${prefix}`,
        Gateway: `${gateway}`,
        ...(range === prefix ? {} : { IPRange: `${range}` }),
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
  const identity = member.ports.find((port) => port.network === network)?.identity;
  const withLength = (family: number): string => {
    const address = identity?.addresses.find((each) => each.family === family);
    const subnet = network.definition.subnets.find(
      ({ prefix }) => prefix.address.family === family,
    );
    return address === undefined || subnet === undefined
      ? ""
      : `${address}/${subnet.prefix.length}`;
  };
  return {
    Name: member.name,
    // One for each place: of the network's id and the member's.
    EndpointID: network.definition.id.slice(0, 32) + member.id.slice(0, 32),
    MacAddress: identity === undefined ? "" : formatMac(identity.mac),
    IPv4Address: withLength(4),
    IPv6Address: withLength(6),
  };
}
