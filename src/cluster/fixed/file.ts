import { createHash } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { parse } from "smol-toml";
import * as v from "valibot";
import { type Address, formatEndpoint, includesAddress } from "../../base/address.js";
import { errnoOf, UserError } from "../../base/errors.js";
import { VXLAN_MTU, WIREGUARD_MTU } from "../../config/constants.js";
import { isSameName } from "../../config/names.js";
import { MemoryStore } from "../../store/memory.js";
import type { Store } from "../../store/store.js";
import { macOf } from "../claims/choice.js";
import { decodeHost, encodeHost } from "../encoding/host.js";
import { decodeMember, encodeMember } from "../encoding/member.js";
import { decodeNetwork, encodeNetwork } from "../encoding/network.js";
import { Nonsense } from "../encoding/values.js";
import { hostKey, memberKey, networkKey } from "../keys.js";
import type { HostRecord, MemberRecord, NetworkRecord } from "../records.js";
import {
  type ClusterFile,
  type FileHost,
  type FileMember,
  type FileNetwork,
  fileSchema,
} from "./schema.js";

/** Largest file that is read, in bytes. */
const MOST_BYTES = 4 << 20;

/** VNIs that the file does not give. */
const FIRST_VNI = 4096;

const MTU = { wireguard: WIREGUARD_MTU, vxlan: VXLAN_MTU } as const;

/** Of hosts that are not asked. */
const UNKNOWN_VERSION = "unknown";

/**
 * A store of a file with hosts, networks and members, which is read once: docs/overlay.md has its form.
 * @param self is found in it by its addresses
 * @throws UserError
 */
export function openFile(path: string, self: HostRecord): Store {
  const file = read(path, self.publicKey);
  const fail = (what: string): UserError => new UserError(`${path}: ${what}: edit the file`);
  const hosts = file.host.map((host) => hostOf(host, self));
  if (!hosts.some(({ id }) => id === self.id)) {
    const own = self.addresses.map((address) => formatEndpoint(address, self.vxlanPort));
    throw fail(`no host is at ${own.join(" or ")}, as this one`);
  }
  const networks = file.network.map(networkOf);
  const entries = new Map<string, string>();
  const add = (key: string, value: string, what: string, checked: object): void => {
    if (checked instanceof Nonsense) throw fail(`${what}: ${checked.why}`);
    if (entries.has(key)) throw fail(`${what} is there twice`);
    entries.set(key, value);
  };
  for (const host of hosts) {
    const [key, value] = [hostKey(host.id), encodeHost(host)];
    add(key, value, `host ${host.name}`, decodeHost(key, value));
  }
  // This host announces itself.
  entries.delete(hostKey(self.id));
  for (const network of networks) {
    const [key, value] = [networkKey(network.id), encodeNetwork(network)];
    add(key, value, `network ${network.name}`, decodeNetwork(key, value));
  }
  for (const member of file.member) {
    const network = networks.find(({ name }) => isSameName(name, member.network));
    // This host calls itself by its hostname, whatever the file says.
    const host: HostRecord | undefined =
      hosts[file.host.findIndex(({ name }) => isSameName(name, member.host))];
    if (network === undefined) throw fail(`there is no network ${member.network}`);
    if (host === undefined) throw fail(`there is no host ${member.host}`);
    const record = memberOf(member, network, host);
    const [key, value] = [memberKey(network.id, record.id), encodeMember(record)];
    add(key, value, `member ${member.name}`, decodeMember(network, key, value));
  }
  return new MemoryStore(`file:${path}`, entries);
}

/** @param ownKey this host's public one @throws UserError */
function read(path: string, ownKey: string): ClusterFile {
  let text: string;
  try {
    if (statSync(path).size > MOST_BYTES) throw new UserError(`${path} is larger than 4 MB`);
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`the store ${path} cannot be read (${errnoOf(error)})`);
  }
  let toml: unknown;
  try {
    toml = parse(text);
  } catch (error) {
    const [line] = error instanceof Error ? error.message.split("\n") : [""];
    throw new UserError(`${path} is not TOML: ${line}`);
  }
  const result = v.safeParse(fileSchema, toml, { abortEarly: true });
  if (!result.success) {
    const where = v.getDotPath(result.issues[0]) ?? "it";
    throw new UserError(`${path}: ${where} is wrong: ${result.issues[0].message}`);
  }
  const isEncrypted = result.output.network.some(({ encrypted }) => encrypted);
  const keyless = result.output.host.find((host) => host["public-key"] === undefined);
  if (!isEncrypted || keyless === undefined) return result.output;
  throw new UserError(
    `${path}: host ${keyless.name} has no public-key, and a network is encrypted: add it (this host's is ${ownKey}), or encrypted = false to the network`,
  );
}

/** The same on all hosts. */
function idOf(...parts: readonly string[]): string {
  return createHash("sha256").update(parts.join("\n").toLowerCase()).digest("hex");
}

function hostOf(host: FileHost, self: HostRecord): HostRecord {
  const { name, addresses } = host;
  const vxlanPort = host["vxlan-port"];
  if (vxlanPort === self.vxlanPort && shareAny(addresses, self.addresses)) return self;
  const id = idOf("host", name);
  const publicKey = host["public-key"] ?? Buffer.from(id, "hex").toString("base64");
  const wireguardPort = host["wireguard-port"];
  return { id, name, addresses, vxlanPort, wireguardPort, publicKey, version: UNKNOWN_VERSION };
}

function shareAny(a: readonly Address[], b: readonly Address[]): boolean {
  return a.some((each) => includesAddress(b, each));
}

function networkOf(network: FileNetwork, index: number): NetworkRecord {
  const { name, subnets, encrypted, internal } = network;
  const kind = encrypted ? "wireguard" : "vxlan";
  return {
    id: idOf("network", name),
    name,
    created: 0,
    subnets: subnets.map((prefix) => ({
      prefix,
      gateway: prefix.address.plus(1),
      range: prefix,
    })),
    internal,
    mtu: network.mtu ?? MTU[kind],
    labels: {},
    options: {},
    carriage: kind === "wireguard" ? { kind } : { kind, vni: network.vni ?? FIRST_VNI + index },
  };
}

function memberOf(member: FileMember, network: NetworkRecord, host: HostRecord): MemberRecord {
  const names = new Set([member.name, ...member.aliases].map((each) => each.toLowerCase()));
  return {
    network: network.id,
    id: idOf("member", network.name, member.name),
    names: [...names],
    addresses: member.addresses,
    mac: member.mac ?? macOf(member.addresses[0]),
    location: { kind: "host", host: host.id },
  };
}
