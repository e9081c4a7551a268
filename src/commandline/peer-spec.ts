import { Address } from "../base/address.js";
import type { Mac } from "../base/mac.js";
import { quoted } from "../base/printable.js";
import { DEFAULT_VXLAN_PORT } from "../config/cluster-config.js";
import { requireValidName } from "../config/names.js";
import type { Params } from "../rpc/messages.js";
import { interfaceMac, memberAddresses } from "./parsing/addresses.js";
import type { Reader } from "./parsing/option.js";
import { readPort } from "./parsing/store.js";
import { wrong } from "./parsing/values.js";

/** A machine without Slipway that is to be a member, checked as far as that does not depend on its network. */
export interface CheckedPeer {
  /** At most one of each family; at least one for a VTEP. */
  readonly addresses: readonly Address[];
  /** null: one is made of its addresses. */
  readonly mac: Mac | null;
  readonly location:
    | { readonly kind: "wireguard" }
    /** The VXLAN device of the machine. */
    | { readonly kind: "vtep"; readonly address: Address; readonly port: number };
}

/**
 * Checks a new peer. The command line is checked by it, and the daemon checks every client's.
 * @throws UserError for the first thing that is wrong
 */
export function checkPeer({ name, addresses, mac, vtep }: Params<"peer.add">): CheckedPeer {
  requireValidName("name", "a member's name", name);
  const own = memberAddresses(addresses, "--ip");
  const ethernet = mac === null ? null : interfaceMac(mac, "--mac");
  if (vtep === null) {
    if (ethernet === null) return { addresses: own, mac: null, location: { kind: "wireguard" } };
    throw wrong("--mac is for --vtep: a WireGuard client has no Ethernet address");
  }
  const location = vtepPlace(vtep, "--vtep");
  if (own.length > 0 && ethernet !== null) return { addresses: own, mac: ethernet, location };
  throw wrong(
    "--vtep needs --ip and --mac: give the addresses that the machine's VXLAN device has",
  );
}

/** ADDRESS[:PORT] */
export const vtepPlace: Reader<Extract<CheckedPeer["location"], { readonly kind: "vtep" }>> = (
  text,
  name,
) => {
  const plain = Address.parse(text);
  const [, bracketed, open = "", port = ""] =
    /^(?:\[(.*)\]|([^:[\]]+))(?::(.*))?$/s.exec(text) ?? [];
  const address = plain ?? Address.parse(bracketed ?? open);
  if (
    address === null ||
    (plain === null && (bracketed !== undefined) !== (address.family === 6))
  ) {
    throw wrong(
      `${name} ${quoted(text)}: write the address of its VXLAN device, such as 192.0.2.9 or [2001:db8::9]:${DEFAULT_VXLAN_PORT}`,
    );
  }
  const { isUnspecified, isMulticast, isBroadcast, isLinkLocal } = address;
  if (isUnspecified || isMulticast || isBroadcast || isLinkLocal) {
    throw wrong(
      `${name} ${address} is not an address of one machine: give that of its VXLAN device`,
    );
  }
  const isPlain = plain !== null || port === "";
  return {
    kind: "vtep",
    address,
    port: isPlain ? DEFAULT_VXLAN_PORT : readPort(port, `${name} port`),
  };
};
