import { quoted } from "../base/printable.js";
import { DEFAULT_MTU, MTU_RANGE, VXLAN_MTU, WIREGUARD_MTU } from "../config/constants.js";
import { DRIVERS, type NetworkSpec, type Params } from "../rpc/messages.js";
import type { Reader } from "./parsing/option.js";
import { oneOf, truth, wholeNumber, wrong } from "./parsing/values.js";

/** What carries a network's packets to its members. */
export type CheckedCarriage =
  /** The daemon alone: all members are on this host. */
  | { readonly kind: "local" }
  /** Tunnels to other hosts of the cluster. `vni`: null for a free one. */
  | { readonly kind: "wireguard" }
  | { readonly kind: "vxlan"; readonly vni: number | null }
  /** The tunnels of a flannel network. `prefix`: of its keys in etcd, such as /coreos.com/network, without a slash at its end. */
  | { readonly kind: "flannel"; readonly prefix: string };

/** What a network's driver and `--opt` mean. */
export interface CheckedDriver {
  readonly carriage: CheckedCarriage;
  readonly mtu: number;
}

type Driver = NonNullable<NetworkSpec["driver"]>;

/** Flannel's own default. */
const FLANNEL_PREFIX = "/coreos.com/network";

/** A VNI has 24 bits (RFC 7348 §5), and 0 is left out, as other implementations use it for themselves. */
const readVni = wholeNumber(1, 2 ** 24 - 1);

/** Names of the MTU in `--opt`: podman's and Docker's. */
const MTU_OPTIONS: readonly string[] = ["mtu", "com.docker.network.driver.mtu"];
const ISOLATE_OPTION = "isolate";
const HOST_GATEWAY_OPTION = "host-gw";

const OF_KERNEL =
  "needs root; slipway run --host-address ADDRESS gives a command all of one address that this host has";
const BY_ROUTES =
  "needs root, as it sets routes of the host: take --driver overlay, whose tunnels need none";

/** Drivers of docker, podman and flannel that are not here, and what is. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  macvlan: OF_KERNEL,
  ipvlan: OF_KERNEL,
  "host-gw": BY_ROUTES,
  host: "needs no network: slipway run --network host",
  none: "needs no network: slipway run --network none",
  null: "needs no network: slipway run --network none",
};

/** Which `--opt` belongs to which driver; those of no driver are for all. */
const OWNERS: Readonly<Record<string, Driver>> = {
  encrypted: "overlay",
  vni: "overlay",
  "etcd-prefix": "flannel",
};

export const driver: Reader<Driver> = (text, name) => {
  if (Object.hasOwn(ELSEWHERE, text)) throw wrong(`${name} ${text} ${ELSEWHERE[text]}`);
  return oneOf(DRIVERS)(text, name);
};

/**
 * What the driver and the options of a new network mean.
 * @throws UserError for the first option that is wrong, or of another driver
 */
export function checkDriver(spec: Params<"network.create">): CheckedDriver {
  for (const [name, value] of Object.entries(spec.options)) {
    requireKnown(name, value, spec.driver);
  }
  const carriage = carriageOf(spec);
  return { carriage, mtu: mtuOf(spec) ?? usualMtu(carriage) };
}

function requireKnown(name: string, value: string, driver: Driver): void {
  if (name === HOST_GATEWAY_OPTION) throw wrong(`--opt ${name} ${BY_ROUTES}`);
  if (Object.hasOwn(OWNERS, name)) {
    const owner = OWNERS[name];
    if (owner === driver) return;
    throw wrong(`--opt ${name} is for --driver ${owner}: give that, or leave it out`);
  }
  if (MTU_OPTIONS.includes(name) || (name === ISOLATE_OPTION && value === "true")) return;
  throw wrong(
    `--opt ${quoted(`${name}=${value}`)} is unknown: there are mtu=BYTES, isolate=true, which is always on${ownedBy(driver)}`,
  );
}

/** For a message: the options that a driver has besides. */
function ownedBy(driver: Driver): string {
  const own = Object.keys(OWNERS).filter((name) => OWNERS[name] === driver);
  return own.map((name) => `, ${name}=`).join("");
}

function carriageOf({ driver, options }: Params<"network.create">): CheckedCarriage {
  switch (driver) {
    case "bridge":
      return { kind: "local" };
    case "overlay":
      return overlayCarriage(options);
    case "flannel":
      return { kind: "flannel", prefix: flannelPrefix(options["etcd-prefix"] ?? FLANNEL_PREFIX) };
  }
}

/** Docker's `--opt encrypted` has no value. */
function overlayCarriage({
  encrypted = "true",
  vni,
}: Readonly<Record<string, string>>): CheckedCarriage {
  const isEncrypted = truth(encrypted, "--opt encrypted");
  if (!isEncrypted)
    return { kind: "vxlan", vni: vni === undefined ? null : readVni(vni, "--opt vni") };
  if (vni === undefined) return { kind: "wireguard" };
  throw wrong(
    "--opt vni is for VXLAN, and this network is encrypted: give --opt encrypted=false, too, or leave it out",
  );
}

/** As a path without a slash at its end. */
function flannelPrefix(text: string): string {
  const prefix = text.replace(/\/+$/, "");
  if (/^(\/[\w.-]+)+$/.test(prefix)) return prefix;
  throw wrong(
    `--opt etcd-prefix ${quoted(text)}: write it as flanneld's -etcd-prefix, such as ${FLANNEL_PREFIX}`,
  );
}

function usualMtu({ kind }: CheckedCarriage): number {
  switch (kind) {
    case "local":
      return DEFAULT_MTU;
    case "wireguard":
      return WIREGUARD_MTU;
    case "vxlan":
    case "flannel":
      return VXLAN_MTU;
  }
}

/** The last one of `--opt`, which goes before `--mtu`; null: none was given. */
function mtuOf({ mtu, options }: Params<"network.create">): number | null {
  const readMtu = wholeNumber(MTU_RANGE.least, MTU_RANGE.most);
  const given = Object.entries(options).findLast(([name]) => MTU_OPTIONS.includes(name));
  return given === undefined ? mtu : readMtu(given[1], `--opt ${given[0]}`);
}

/**
 * The MTU as the command line gives it.
 * @param mtu of `--mtu`, or null
 * @param pairs of `--opt`
 * @throws UserError when they ask for several
 */
export function requireOneMtu(
  mtu: number | null,
  pairs: readonly (readonly [name: string, value: string])[],
): void {
  const given = [
    ...(mtu === null ? [] : [["--mtu", `${mtu}`] as const]),
    ...pairs
      .filter(([name]) => MTU_OPTIONS.includes(name))
      .map(([name, value]) => [`--opt ${name}`, value] as const),
  ];
  const other = given.find(([, value]) => Number(value) !== Number(given[0]?.[1]));
  if (other === undefined) return;
  throw wrong(
    `${given[0]?.join("=")} and ${other[0]}=${quoted(other[1])} are two MTUs: give one of them`,
  );
}
