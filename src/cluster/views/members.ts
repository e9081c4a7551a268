import type { Address } from "../../base/address.js";
import { formatMac } from "../../base/mac.js";
import { decodeMember, decodePeer } from "../encoding/member.js";
import { membersOf } from "../keys.js";
import type { MemberRecord, NetworkRecord } from "../records.js";
import type { Complaints } from "./complaints.js";
import { View, type ViewEvents } from "./view.js";

export function addressStake(address: Address): string {
  return `address ${address}`;
}

/** The members and peers of a network that can be there together. */
export function memberView(
  network: NetworkRecord,
  complaints: Complaints,
  events: ViewEvents<MemberRecord>,
): View<MemberRecord> {
  const members = membersOf(network.id);
  const decode = (key: string, value: string) =>
    key.startsWith(members) ? decodeMember(network, key, value) : decodePeer(network, key, value);
  const stakes = ({ names, addresses, mac }: MemberRecord): readonly string[] => [
    ...addresses.map(addressStake),
    `MAC ${formatMac(mac)}`,
    `name ${names[0]}`,
  ];
  return new View({ decode, stakes }, complaints, events);
}
