import type { Address } from "../../base/address.js";
import type { HostRecord, Location, MemberRecord, NetworkRecord } from "../../cluster/records.js";
import type { HostFact, RemoteFact, RemoteLocation } from "../workers/messages.js";

/** Another host as the threads are told of it; null: this host cannot reach it. */
export function hostFact(self: HostRecord, host: HostRecord): HostFact | null {
  const address = commonAddress(self, host);
  if (address === null) return null;
  const { id, vxlanPort, wireguardPort, publicKey } = host;
  return { kind: "host", id, address: `${address}`, vxlanPort, wireguardPort, publicKey };
}

/** Where one host reaches another: by a family that both have, IPv4 first. */
export function commonAddress(self: HostRecord, host: HostRecord): Address | null {
  const common = host.addresses.filter(({ family }) =>
    self.addresses.some((own) => own.family === family),
  );
  return common.find(({ family }) => family === 4) ?? common[0] ?? null;
}

/** A member that is not on this host, or a peer, as the threads are told of it. @param self id of this host */
export function remoteFact(self: string, member: MemberRecord): RemoteFact {
  const { network, names, addresses, mac, location } = member;
  return {
    kind: "remote",
    network,
    names,
    addresses: addresses.map(String),
    mac,
    location: locationOf(self, location),
  };
}

function locationOf(self: string, location: Location): RemoteLocation {
  switch (location.kind) {
    case "host":
      return location;
    case "vtep":
      return { kind: "vtep", address: `${location.address}`, port: location.port };
    case "wireguard":
      return location.host === self
        ? { kind: "wireguard", publicKey: location.publicKey }
        : { kind: "host", host: location.host };
  }
}

/** Under which the threads know a host, and a member. */
export function hostKey(id: string): string {
  return `host ${id}`;
}

export function remoteKey(network: NetworkRecord["id"], member: string): string {
  return `remote ${network} ${member}`;
}
