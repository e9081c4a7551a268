import * as v from "valibot";
import { type Address, Prefix } from "../../base/address.js";
import { formatMac, type Mac } from "../../base/mac.js";
import { address } from "../../rpc/address.js";
import { decode, isUnicast, mac, Nonsense, port, prefix } from "./values.js";

/*
 * What flannel's "etcd v3 subnet manager" keeps below its prefix, as its documents and sources describe it: the key `config`
 * with the network, and a key for the subnet of each host. Other fields than these are for other backends.
 */

/** Below it: the subnet of each host, as 10.5.34.0-24. */
export const SUBNETS = "subnets/";
export const CONFIG = "config";

/** A flannel network, as its config says. */
export interface FlannelConfig {
  readonly network: Prefix;
  /** Of the subnet of each host, in bits. */
  readonly subnetLength: number;
  /** First and last address that a host's subnet can have. */
  readonly subnetMin: Address;
  readonly subnetMax: Address;
  readonly vni: number;
  readonly port: number;
}

/** The subnet of a host. */
export interface FlannelLease {
  readonly subnet: Prefix;
  /** Of the host, on the underlay. */
  readonly publicIp: Address;
  readonly vni: number;
  /** MAC of the host's VXLAN device, which routes to the subnet. */
  readonly vtepMac: Mac;
}

const ipv4 = v.pipe(
  address,
  v.check(({ family }) => family === 4),
);

/** Go's net.ParseCIDR leaves host bits out. */
const cidr = v.pipe(
  v.string(),
  v.rawTransform<string, Prefix>(({ dataset, addIssue, NEVER }) => {
    const [, host, length] = /^([\d.]+)\/(\d{1,2})$/.exec(dataset.value) ?? [];
    const parsed = v.safeParse(ipv4, host);
    if (parsed.success && Number(length) <= 32) return Prefix.of(parsed.output, Number(length));
    addIssue({ message: "must be an IPv4 network" });
    return NEVER;
  }),
);

/** Linux's devices take 16 bits of it into the leases, but its config is an int of any size. */
const vni = v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(0xff_ffff));

const configSchema = v.object({
  EnableIPv4: v.optional(v.literal(true, "flannel's IPv4 is off"), true),
  Network: cidr,
  SubnetLen: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(30)), 0),
  SubnetMin: v.optional(ipv4),
  SubnetMax: v.optional(ipv4),
  /** Flannel's own default is its old backend udp. */
  Backend: v.object({
    Type: v.string(),
    VNI: v.optional(vni, 1),
    Port: v.optional(v.union([v.literal(0), port]), 0),
  }),
});

/** Where a config names no port: Linux's own default, older than RFC 7348. */
const DEFAULT_PORT = 8472;

/** A network has room for four subnets, of which the first is not used. */
const LEAST_SUBNET_BITS = 2;
const USUAL_LENGTH = 24;

export function decodeConfig(value: string): FlannelConfig | Nonsense {
  const decoded = decode(configSchema, value);
  if (decoded instanceof Nonsense) return decoded;
  const { Network: network, Backend: backend } = decoded;
  if (backend.Type !== "vxlan") {
    return new Nonsense(`its backend is ${backend.Type.slice(0, 20)}, and vxlan alone is known`);
  }
  const least = network.length + LEAST_SUBNET_BITS;
  const subnetLength = decoded.SubnetLen || Math.max(USUAL_LENGTH, least);
  if (subnetLength < least || subnetLength > 30) {
    return new Nonsense(`its Network ${network} has no room for four subnets`);
  }
  const size = 2 ** (32 - subnetLength);
  const last = Prefix.of(network.last, subnetLength).address;
  const subnetMin = decoded.SubnetMin ?? network.address.plus(size);
  const subnetMax = decoded.SubnetMax ?? last;
  for (const each of [subnetMin, subnetMax]) {
    if (!network.contains(each) || !Prefix.of(each, subnetLength).address.equals(each)) {
      return new Nonsense(`its SubnetMin or SubnetMax ${each} is no subnet of ${network}`);
    }
  }
  if (subnetMin.w3 > subnetMax.w3) return new Nonsense("its SubnetMin is above its SubnetMax");
  const vtepPort = backend.Port || DEFAULT_PORT;
  return { network, subnetLength, subnetMin, subnetMax, vni: backend.VNI, port: vtepPort };
}

const leaseSchema = v.object({
  PublicIP: v.pipe(
    ipv4,
    v.check((each) => isUnicast(each) && !each.isLoopback),
  ),
  BackendType: v.literal("vxlan"),
  BackendData: v.object({ VNI: vni, VtepMAC: mac }),
});

export function subnetKey({ address, length }: Prefix): string {
  return `${SUBNETS}${address}-${length}`;
}

export function encodeLease({ publicIp, vni, vtepMac }: FlannelLease): string {
  return JSON.stringify({
    PublicIP: `${publicIp}`,
    PublicIPv6: null,
    BackendType: "vxlan",
    BackendData: { VNI: vni, VtepMAC: formatMac(vtepMac) },
  });
}

/** The subnet of a key; null: it has none. */
export function subnetOf(key: string): Prefix | null {
  const [, host, length] = /^subnets\/([\d.]+)-(\d{1,2})$/.exec(key) ?? [];
  const parsed = v.safeParse(prefix, `${host}/${length}`);
  return parsed.success && parsed.output.address.family === 4 ? parsed.output : null;
}

export function decodeLease(
  config: FlannelConfig,
  key: string,
  value: string,
): FlannelLease | Nonsense {
  const subnet = subnetOf(key);
  if (subnet === null) return new Nonsense("its key has no subnet");
  if (!config.network.covers(subnet) || subnet.length < config.network.length + 1) {
    return new Nonsense(`it is no part of ${config.network}`);
  }
  const decoded = decode(leaseSchema, value);
  if (decoded instanceof Nonsense) return decoded;
  const { PublicIP: publicIp, BackendData } = decoded;
  if (BackendData.VNI !== config.vni) return new Nonsense("its VNI is another than the network's");
  return { subnet, publicIp, vni: BackendData.VNI, vtepMac: BackendData.VtepMAC };
}
