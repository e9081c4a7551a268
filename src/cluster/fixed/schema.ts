import * as v from "valibot";
import { IPV6_LEAST_MTU, MTU_RANGE } from "../../config/constants.js";
import { VNI_RANGE } from "../encoding/network.js";
import { mac, nameOf, onePerFamily, port, prefix, publicKey } from "../encoding/values.js";

const name = nameOf("name");

const host = v.strictObject({
  name: nameOf("hostname"),
  addresses: onePerFamily,
  "vxlan-port": v.optional(port, 4789),
  "wireguard-port": v.optional(port, 51_820),
  /** For encrypted networks. */
  "public-key": v.optional(publicKey),
});

const network = v.strictObject({
  name,
  subnets: v.pipe(v.array(prefix), v.minLength(1), v.maxLength(2)),
  encrypted: v.optional(v.boolean(), true),
  vni: v.optional(
    v.pipe(v.number(), v.integer(), v.minValue(VNI_RANGE.least), v.maxValue(VNI_RANGE.most)),
  ),
  internal: v.optional(v.boolean(), false),
  mtu: v.optional(
    v.pipe(v.number(), v.integer(), v.minValue(IPV6_LEAST_MTU), v.maxValue(MTU_RANGE.most)),
  ),
});

const member = v.strictObject({
  name,
  network: name,
  host: nameOf("hostname"),
  addresses: onePerFamily,
  mac: v.optional(mac),
  aliases: v.optional(v.array(nameOf("alias")), []),
});

/** The file of a cluster without a store. */
export const fileSchema = v.strictObject({
  host: v.array(host),
  network: v.optional(v.array(network), []),
  member: v.optional(v.array(member), []),
});

export type ClusterFile = v.InferOutput<typeof fileSchema>;
export type FileHost = v.InferOutput<typeof host>;
export type FileNetwork = v.InferOutput<typeof network>;
export type FileMember = v.InferOutput<typeof member>;
