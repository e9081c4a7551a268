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
  const kind = MODES.find((each) => each === text);
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
  const [, network = "", list = ""] = /^([^:]+)(?::(.+))?$/s.exec(text) ?? [];
  if (network === "") {
    throw wrong(
      `${option} ${quoted(text)}: write it like web, web:ip=10.89.1.5,alias=db or container:NAME`,
    );
  }
  requireValidName("name", "a network's name", network, option);
  const where = `${option} ${network}`;
  const pairs = list === "" ? [] : list.split(",").map((pair) => parsePair(where, pair));
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

/** @param where for the error message */
function parsePair(where: string, pair: string): readonly [Key, string] {
  const [, name = "", value = ""] = /^([a-z0-9]+)=(.+)$/s.exec(pair) ?? [];
  const key = KEYS.find((each) => each === name);
  if (key === undefined) {
    throw wrong(`${where}: ${quoted(pair)} is not one of ${KEYS.join("=VALUE, ")}=VALUE`);
  }
  VALUES[key](value, `${where}: ${key}`);
  return [key, value];
}
