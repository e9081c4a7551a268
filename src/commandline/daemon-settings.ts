import path from "node:path";
import type { Address } from "../base/address.js";
import {
  type ClusterConfig,
  DEFAULT_VXLAN_PORT,
  DEFAULT_WIREGUARD_PORT,
} from "../config/cluster-config.js";
import { DEFAULT_STORE_PREFIX, type StoreOptions } from "../config/store-options.js";
import { ipAddress, requireOnePerFamily } from "./parsing/addresses.js";
import type { Reader } from "./parsing/option.js";
import { keyPrefix, readPort, type StorePlace, secret, storePlace } from "./parsing/store.js";
import { someText, wrong } from "./parsing/values.js";

/**
 * What the daemon is set to, by the names of its options without dashes: texts of the command line, or of the
 * configuration file. What is not there was not given.
 */
export type DaemonSettings = Readonly<Partial<Record<SettingName, readonly string[]>>>;

/** Every setting with the reader of its texts. */
const READERS = {
  store: storePlace,
  "store-ca": someText,
  "store-cert": someText,
  "store-key": someText,
  "store-user": someText,
  "store-password": secret,
  "store-prefix": keyPrefix,
  advertise: advertised,
  listen: ipAddress,
  "vxlan-port": readPort,
  "wireguard-port": readPort,
} satisfies Readonly<Record<string, Reader<unknown>>>;

export type SettingName = keyof typeof READERS;
export const SETTING_NAMES = Object.keys(READERS) as readonly SettingName[];

/** Checks one text of a setting. @param name for messages @throws UserError */
export function checkSetting(setting: SettingName, text: string, name: string): void {
  READERS[setting](text, name);
}

/**
 * Checks the settings of a cluster together.
 * @returns null when there is no store
 * @throws UserError for the first thing that is wrong
 */
export function checkCluster(settings: DaemonSettings): ClusterConfig | null {
  const place = last(settings, "store", storePlace);
  if (place === null) {
    requireNone(settings, SETTING_NAMES, "needs a store: give --store, too");
    return null;
  }
  return {
    store: place.kind === "file" ? fileOf(settings, place) : etcdOf(settings, place),
    advertise: advertisedOf(settings),
    listen: onePerFamily(settings, "listen", ipAddress),
    ...portsOf(settings),
  };
}

function fileOf(settings: DaemonSettings, place: Place<"file">): StoreOptions {
  requireNone(settings, OF_ETCD, "is for etcd, and the store is a file: leave it out");
  return place;
}

function etcdOf(settings: DaemonSettings, { isSecure, endpoints }: Place<"etcd">): StoreOptions {
  if (!isSecure) requireNone(settings, OF_TLS, "is for TLS: write --store etcds://…");
  const ca = last(settings, "store-ca", someText);
  const cert = last(settings, "store-cert", someText);
  const key = last(settings, "store-key", someText);
  const name = last(settings, "store-user", someText);
  const password = last(settings, "store-password", secret);
  if ((cert === null) !== (key === null)) throw bothOrNone("--store-cert", "--store-key");
  if ((name === null) !== (password === null)) throw bothOrNone("--store-user", "--store-password");
  const identity = cert === null || key === null ? null : { cert, key };
  return {
    kind: "etcd",
    endpoints,
    tls: isSecure ? { ca, identity } : null,
    user: name === null || password === null ? null : { name, password },
    prefix: last(settings, "store-prefix", keyPrefix) ?? DEFAULT_STORE_PREFIX,
  };
}

type Place<Kind> = Extract<StorePlace, { readonly kind: Kind }>;

const OF_TLS: readonly SettingName[] = ["store-ca", "store-cert", "store-key"];
const OF_ETCD: readonly SettingName[] = [...OF_TLS, "store-user", "store-password", "store-prefix"];

function requireNone(settings: DaemonSettings, names: readonly SettingName[], why: string): void {
  const given = names.find((name) => settings[name] !== undefined);
  if (given !== undefined) throw wrong(`--${given} ${why}`);
}

function bothOrNone(one: string, other: string) {
  return wrong(`${one} and ${other} belong together: give both, or none`);
}

function last<T>(settings: DaemonSettings, name: SettingName, read: Reader<T>): T | null {
  const text = settings[name]?.at(-1);
  return text === undefined ? null : read(text, `--${name}`);
}

function onePerFamily(
  settings: DaemonSettings,
  name: "advertise" | "listen",
  read: Reader<Address>,
): readonly Address[] {
  const addresses = (settings[name] ?? []).map((text) => read(text, `--${name}`));
  requireOnePerFamily(addresses, `--${name}`);
  return addresses.toSorted((a, b) => a.family - b.family);
}

function advertisedOf(settings: DaemonSettings): readonly Address[] {
  const addresses = onePerFamily(settings, "advertise", advertised);
  if (addresses.length > 0) return addresses;
  throw wrong(
    "--store needs --advertise: give the address of this host at which other hosts reach it, such as 192.0.2.1",
  );
}

/** An address that other hosts can send to. That of a loopback interface is the user's own affair. */
function advertised(text: string, name: string): Address {
  const address = ipAddress(text, name);
  const { isUnspecified, isMulticast, isLinkLocal, isBroadcast } = address;
  if (!isUnspecified && !isMulticast && !isLinkLocal && !isBroadcast) return address;
  throw wrong(`${name} ${address} is not an address of one host: give one that other hosts reach`);
}

function portsOf(settings: DaemonSettings): Pick<ClusterConfig, "vxlanPort" | "wireguardPort"> {
  const vxlanPort = last(settings, "vxlan-port", readPort) ?? DEFAULT_VXLAN_PORT;
  const wireguardPort = last(settings, "wireguard-port", readPort) ?? DEFAULT_WIREGUARD_PORT;
  if (vxlanPort !== wireguardPort) return { vxlanPort, wireguardPort };
  throw wrong(`--vxlan-port and --wireguard-port are both ${vxlanPort}: give two different ports`);
}

/** Settings that name a file: what comes before its path. */
const PATHS: Readonly<Partial<Record<SettingName, RegExp>>> = {
  store: /^file:(?:\/\/(?=\/))?/,
  "store-ca": /^/,
  "store-cert": /^/,
  "store-key": /^/,
  "store-password": /^@/,
};

/** The settings with paths that hold in every directory. @param directory that relative ones are seen from */
export function absoluteSettings(settings: DaemonSettings, directory: string): DaemonSettings {
  const entries = Object.entries(settings) as [SettingName, readonly string[]][];
  return Object.fromEntries(
    entries.map(([name, texts]) => [
      name,
      texts.map((text) => absolute(text, PATHS[name], directory)),
    ]),
  );
}

function absolute(text: string, before: RegExp | undefined, directory: string): string {
  const [start = null] = (before === undefined ? null : before.exec(text)) ?? [];
  return start === null ? text : start + path.resolve(directory, text.slice(start.length));
}
