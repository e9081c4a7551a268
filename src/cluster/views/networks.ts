import { overlaps } from "../../network/subnets.js";
import { decodeNetwork } from "../encoding/network.js";
import type { NetworkRecord } from "../records.js";
import type { Complaints } from "./complaints.js";
import { View, type ViewEvents } from "./view.js";

/** The networks of a cluster that can be there together. */
export function networkView(
  complaints: Complaints,
  events: ViewEvents<NetworkRecord>,
): View<NetworkRecord> {
  const stakes = ({ name, carriage }: NetworkRecord): readonly string[] => [
    `name ${name.toLowerCase()}`,
    ...(carriage.kind === "vxlan" ? [`VNI ${carriage.vni}`] : []),
  ];
  return new View({ decode: decodeNetwork, stakes, clash }, complaints, events);
}

/** What two networks share that only one can have; null: nothing. */
export function clash(a: NetworkRecord, b: NetworkRecord): string | null {
  const shared = a.subnets.find((subnet) =>
    b.subnets.some((other) => overlaps(subnet.prefix, other.prefix)),
  );
  return shared === undefined ? null : `a part of subnet ${shared.prefix}`;
}
