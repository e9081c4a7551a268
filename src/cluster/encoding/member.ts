import * as v from "valibot";
import type { Address } from "../../base/address.js";
import { formatMac } from "../../base/mac.js";
import { isValidName } from "../../config/names.js";
import { networkMac } from "../../network/plans.js";
import { below, membersOf, peersOf } from "../keys.js";
import type { MemberRecord, NetworkRecord } from "../records.js";
import {
  decode,
  id,
  mac,
  Nonsense,
  nameOf,
  onePerFamily,
  port,
  publicKey,
  unicast,
} from "./values.js";

/** Names of a member: its own, and aliases. */
export const MOST_NAMES = 64;

const lower = v.check<string>((text) => text === text.toLowerCase());

const memberSchema = v.object({
  host: id,
  names: v.pipe(
    v.array(v.pipe(nameOf("alias"), lower)),
    v.minLength(1),
    v.maxLength(MOST_NAMES),
    v.check(([name]) => isValidName("name", name)),
  ),
  addresses: onePerFamily,
  mac,
});

const vtep = v.object({ address: unicast, port });
const wireguard = v.object({ host: id, publicKey });

const peerEntries = { id, addresses: onePerFamily, mac };
const peerSchema = v.union([
  v.object({ ...peerEntries, vtep }),
  v.object({ ...peerEntries, wireguard }),
]);

/** The host of a member that need not be looked at any closer; null: it makes no sense. */
export function hostOfMember(value: string): string | null {
  const decoded = decode(v.object({ host: id }), value);
  return decoded instanceof Nonsense ? null : decoded.host;
}

/** @throws RangeError for a peer */
export function encodeMember({ names, addresses, mac, location }: MemberRecord): string {
  if (location.kind !== "host") throw new RangeError(`a ${location.kind} peer is no member`);
  return JSON.stringify({
    host: location.host,
    names,
    addresses: addresses.map(String),
    mac: formatMac(mac),
  });
}

/** @param key members/NETWORK/ID */
export function decodeMember(
  network: NetworkRecord,
  key: string,
  value: string,
): MemberRecord | Nonsense {
  const member = below(membersOf(network.id), key);
  if (!v.is(id, member)) return new Nonsense("its key has no id");
  const decoded = decode(memberSchema, value);
  if (decoded instanceof Nonsense) return decoded;
  const { host, ...rest } = decoded;
  if (rest.addresses.length < network.subnets.length) {
    return new Nonsense("it has no address of a family that its network has");
  }
  return fitting(network, {
    network: network.id,
    id: member,
    ...rest,
    location: { kind: "host", host },
  });
}

/** @throws RangeError for a member of a host */
export function encodePeer({ id, addresses, mac, location }: MemberRecord): string {
  const common = { id, addresses: addresses.map(String), mac: formatMac(mac) };
  switch (location.kind) {
    case "vtep":
      return JSON.stringify({
        ...common,
        vtep: { address: `${location.address}`, port: location.port },
      });
    case "wireguard":
      return JSON.stringify({
        ...common,
        wireguard: { host: location.host, publicKey: location.publicKey },
      });
    case "host":
      throw new RangeError("a member of a host is no peer");
  }
}

/** @param key peers/NETWORK/NAME */
export function decodePeer(
  network: NetworkRecord,
  key: string,
  value: string,
): MemberRecord | Nonsense {
  const name = below(peersOf(network.id), key);
  if (!isValidName("name", name) || name !== name.toLowerCase()) {
    return new Nonsense("its key has no name");
  }
  const decoded = decode(peerSchema, value);
  if (decoded instanceof Nonsense) return decoded;
  const location: MemberRecord["location"] =
    "vtep" in decoded
      ? { kind: "vtep", ...decoded.vtep }
      : { kind: "wireguard", ...decoded.wireguard };
  if ((location.kind === "vtep") !== (network.carriage.kind === "vxlan")) {
    return new Nonsense(
      `a ${location.kind} peer cannot be on a network of ${network.carriage.kind}`,
    );
  }
  const { id, addresses, mac } = decoded;
  return fitting(network, { network: network.id, id, names: [name], addresses, mac, location });
}

function fitting(network: NetworkRecord, member: MemberRecord): MemberRecord | Nonsense {
  const wrong = member.addresses.find((address) => misfit(network, address) !== null);
  if (wrong !== undefined) return new Nonsense(`its network has no member at ${wrong}`);
  if (member.mac === networkMac(network.subnets)) return new Nonsense("it has the gateway's MAC");
  return member;
}

/** Why an address cannot be a member's; null: it can. */
export function misfit(network: NetworkRecord, address: Address): "outside" | "reserved" | null {
  const subnet = network.subnets.find(({ prefix }) => prefix.contains(address));
  if (subnet === undefined) return "outside";
  const { prefix, gateway } = subnet;
  const isEdge =
    address.equals(prefix.address) || (address.family === 4 && address.equals(prefix.last));
  return isEdge || address.equals(gateway) ? "reserved" : null;
}
