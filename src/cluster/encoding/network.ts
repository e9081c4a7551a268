import * as v from "valibot";
import { IPV6_LEAST_MTU } from "../../config/constants.js";
import { predefinedNamed } from "../../config/predefined.js";
import { address } from "../../rpc/address.js";
import { mtu, pairs } from "../../rpc/messages.js";
import { below, NETWORKS } from "../keys.js";
import type { NetworkRecord } from "../records.js";
import { areOfTwoFamilies, decode, id, Nonsense, nameOf, prefix } from "./values.js";

/** The last time that a Date can hold, in milliseconds since 1970. */
const LAST_TIME = 8.64e15;

/** RFC 7348 §5: 24 bits. */
export const VNI_RANGE = { least: 1, most: 0xff_ffff } as const;

/** Host bits that a subnet needs: itself, its gateway, a member, and in IPv4 broadcast. */
const LEAST_HOST_BITS = 2;

const subnet = v.pipe(
  v.object({ prefix, gateway: address, range: prefix }),
  v.check(
    ({ prefix, gateway, range }) =>
      prefix.length >= 1 &&
      prefix.length <= prefix.address.bits - LEAST_HOST_BITS &&
      isForHosts(prefix.address) &&
      isForHosts(prefix.last) &&
      prefix.covers(range) &&
      prefix.contains(gateway) &&
      !gateway.equals(prefix.address) &&
      !(gateway.family === 4 && gateway.equals(prefix.last)),
  ),
);

const carriage = v.variant("kind", [
  v.object({ kind: v.literal("wireguard") }),
  v.object({
    kind: v.literal("vxlan"),
    vni: v.pipe(v.number(), v.integer(), v.minValue(VNI_RANGE.least), v.maxValue(VNI_RANGE.most)),
  }),
]);

const schema = v.pipe(
  v.object({
    name: v.pipe(
      nameOf("name"),
      v.check((name) => predefinedNamed(name) === undefined),
    ),
    created: v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(LAST_TIME)),
    subnets: v.pipe(
      v.array(subnet),
      v.minLength(1),
      v.maxLength(2),
      v.check((subnets) => areOfTwoFamilies(subnets.map(({ gateway }) => gateway))),
      v.check((subnets) => subnets.length === 1 || subnets[0].gateway.family === 4),
    ),
    internal: v.boolean(),
    mtu,
    labels: pairs,
    options: pairs,
    carriage,
  }),
  v.check(
    ({ mtu, subnets }) =>
      mtu >= IPV6_LEAST_MTU || subnets.every(({ gateway }) => gateway.family === 4),
  ),
);

function isForHosts(each: {
  readonly isLoopback: boolean;
  readonly isMulticast: boolean;
  readonly isUnspecified: boolean;
  readonly isLinkLocal: boolean;
}): boolean {
  return !each.isLoopback && !each.isMulticast && !each.isUnspecified && !each.isLinkLocal;
}

export function encodeNetwork({ id, ...network }: NetworkRecord): string {
  const subnets = network.subnets.map(({ prefix, gateway, range }) => ({
    prefix: `${prefix}`,
    gateway: `${gateway}`,
    range: `${range}`,
  }));
  return JSON.stringify({ ...network, subnets });
}

/** @param key networks/ID */
export function decodeNetwork(key: string, value: string): NetworkRecord | Nonsense {
  const network = below(NETWORKS, key);
  if (!v.is(id, network)) return new Nonsense("its key has no id");
  const decoded = decode(schema, value);
  return decoded instanceof Nonsense ? decoded : { id: network, ...decoded };
}
