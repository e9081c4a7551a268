import type { AttachmentSpec } from "../rpc/messages.js";
import { wrong } from "./parsing/values.js";

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
  const [{ addresses = [], aliases = [], mac = null, ...rest }, ...others] = attachments;
  const both = {
    ...rest,
    addresses: [...addresses, ...first.ip],
    aliases: [...aliases, ...first.alias],
    mac: first.macAddress ?? mac,
  };
  return { kind: "networks", attachments: [both, ...others] };
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
  const [, network = "", list = ""] = /^([^:]+)(?::(.+))?$/.exec(text) ?? [];
  if (network === "" || modeOf(text) !== null) {
    throw wrong(
      `${option} ${text}: write it like web or web:ip=10.89.1.5,alias=db; ${MODES.join(", ")} and container: cannot be combined`,
    );
  }
  const pairs =
    list === "" ? [] : list.split(",").map((pair) => parsePair(`${option} ${text}`, pair));
  const values = (key: Key): string[] =>
    pairs.filter(([name]) => name === key).map(([, value]) => value);
  return {
    network,
    addresses: [...values("ip"), ...values("ip6")],
    aliases: values("alias"),
    mac: values("mac").at(-1) ?? null,
    ifname: values("ifname").at(-1) ?? null,
  };
}

function parsePair(where: string, pair: string): readonly [Key, string] {
  const [, name = "", value = ""] = /^([a-z0-9]+)=(.+)$/.exec(pair) ?? [];
  const key = KEYS.find((each) => each === name);
  if (key !== undefined) return [key, value];
  throw wrong(`${where}: "${pair}" is not one of ${KEYS.join("=, ")}=`);
}
