import { quoted } from "../base/printable.js";
import { requireValidName } from "../config/names.js";
import type { AttachmentSpec } from "../rpc/messages.js";
import {
  interfaceMac,
  memberAddress,
  memberAddresses,
  requireFamily,
} from "./parsing/addresses.js";
import type { Reader } from "./parsing/option.js";
import { alias, interfaceName, wrong } from "./parsing/values.js";

/** The network of the command of `run`. */
export type NetworkMode =
  /** A network of its own, served by this process. */
  | { readonly kind: "slirp" }
  /** The host's own network; lo and nothing else. */
  | { readonly kind: "host" | "none" }
  /** The namespaces of a member or process, or the network namespace of a file. */
  | { readonly kind: "container"; readonly target: string }
  | { readonly kind: "networks"; readonly attachments: readonly AttachmentSpec[] };

/** Options that apply to the first network of several. */
export interface FirstAttachment {
  readonly ip: readonly string[];
  readonly macAddress: string | null;
  readonly alias: readonly string[];
}

const MODES = ["slirp", "host", "none"] as const;

const KEYS = ["ip", "ip6", "mac", "alias", "ifname"] as const;
type Key = (typeof KEYS)[number];

/** Docker's `--network name=web,alias=db`. */
const LONG_FORM = /^[a-z0-9-]+=/;
/** Docker's names of keys, and what it has for a driver that is not there. */
const SYNONYMS: Readonly<Record<string, Key>> = { "mac-address": "mac" };
const MEANINGLESS: Readonly<Record<string, string>> = {
  "driver-opt": "an attachment has no options of a driver: leave it out",
  "gw-priority": "a member goes outside by the network that is given first: leave it out",
  "link-local-ip": "the link-local address follows from the Ethernet address: give mac=",
};

const VALUES: Readonly<Record<Key, Reader<unknown>>> = {
  ip: memberAddress,
  ip6: (text, name) => requireFamily(memberAddress(text, name), 6, name),
  mac: interfaceMac,
  alias,
  ifname: interfaceName,
};

/**
 * Reads the values of `--network`.
 * @throws UserError
 */
export function parseNetworkMode(texts: readonly string[], first: FirstAttachment): NetworkMode {
  const alone = texts.length > 1 ? null : modeOf(texts[0] ?? "slirp");
  if (alone !== null) {
    const isAsked = first.ip.length > 0 || first.alias.length > 0 || first.macAddress !== null;
    if (!isAsked) return alone;
    throw wrong("--ip, --mac-address and --alias need a network: add --network NAME");
  }
  const attachments = texts.map((text) => parseAttachment("--network", text));
  requireDistinct(attachments);
  const [{ addresses = [], aliases = [], mac = null, ...rest }, ...others] = attachments;
  const both = {
    ...rest,
    addresses: [...addresses, ...first.ip],
    aliases: [...aliases, ...first.alias],
    mac: first.macAddress ?? mac,
  };
  memberAddresses(both.addresses, "--ip");
  return { kind: "networks", attachments: [both, ...others] };
}

function requireDistinct(attachments: readonly AttachmentSpec[]): void {
  const names = attachments.map(({ network }) => network);
  const twice = names.find((name, index) => names.indexOf(name) < index);
  if (twice !== undefined) throw wrong(`--network ${twice} is given twice: give each network once`);
}

/** A mode that stands alone; null: the text is an attachment to a network. */
function modeOf(text: string): Exclude<NetworkMode, { readonly kind: "networks" }> | null {
  const [, target] = /^container:(.+)$/.exec(text) ?? [];
  if (target !== undefined) return { kind: "container", target };
  const kind = MODES.find((each) => each === text || `name=${each}` === text);
  return kind === undefined ? null : { kind };
}

/**
 * Reads an attachment, a network's name and settings: web:ip=10.89.1.5,alias=db.
 * @param option for the error message
 * @throws UserError
 */
export function parseAttachment(option: string, text: string): AttachmentSpec {
  if (modeOf(text) !== null) {
    throw wrong(
      `${option} ${text} cannot be joined as a network: give it alone, or name a network, such as web`,
    );
  }
  const [network, list] = partsOf(text);
  if (network === "") {
    throw wrong(
      `${option} ${quoted(text)}: write it like web, web:ip=10.89.1.5,alias=db or container:NAME`,
    );
  }
  requireValidName("name", "a network's name", network, option);
  const where = `${option} ${network}`;
  const pairs = list.map((pair) => parsePair(where, pair));
  const values = (key: Key): string[] =>
    pairs.filter(([name]) => name === key).map(([, value]) => value);
  const addresses = [...values("ip"), ...values("ip6")];
  memberAddresses(addresses, `${where}: ip`);
  return {
    network,
    addresses,
    aliases: values("alias"),
    mac: values("mac").at(-1) ?? null,
    ifname: values("ifname").at(-1) ?? null,
  };
}

/** The network and its settings, unchecked; docker's form is name=web,ip=10.89.1.5. */
function partsOf(text: string): readonly [network: string, settings: readonly string[]] {
  if (LONG_FORM.test(text)) {
    const fields = text.split(",");
    const name = fields.findLast((field) => field.startsWith("name="))?.slice("name=".length) ?? "";
    return [usualName(name), fields.filter((field) => !field.startsWith("name="))];
  }
  const [, name = "", list = ""] = /^([^:]+)(?::(.+))?$/s.exec(text) ?? [];
  return [usualName(name), list === "" ? [] : list.split(",")];
}

/** The default network of docker's containers is its bridge. */
function usualName(name: string): string {
  return name === "default" ? "bridge" : name;
}

/** @param where for the error message */
function parsePair(where: string, pair: string): readonly [Key, string] {
  const [, name = "", value = ""] = /^([a-z0-9-]+)=(.+)$/s.exec(pair) ?? [];
  if (Object.hasOwn(MEANINGLESS, name)) throw wrong(`${where}: ${name}: ${MEANINGLESS[name]}`);
  const key = Object.hasOwn(SYNONYMS, name) ? SYNONYMS[name] : KEYS.find((each) => each === name);
  if (key === undefined) {
    throw wrong(`${where}: ${quoted(pair)} is not one of ${KEYS.join("=VALUE, ")}=VALUE`);
  }
  VALUES[key](value, `${where}: ${key}`);
  return [key, value];
}
