import type { Address } from "../base/address.js";
import { formatEndpoint } from "../base/address.js";
import { formatMac, type Mac } from "../base/mac.js";

/*
 * The keys of a cluster, below the store's prefix; docs/overlay.md says what each has for a value. Names are in lower
 * case in keys: they are there once, however they are written.
 */

/** Below it: a host by its id. */
export const HOSTS = "hosts/";
/** Below it: a network by its id. */
export const NETWORKS = "networks/";
/** Below it: the members of all networks, by network and id. */
export const MEMBERS = "members/";
/** Below it: the owner of each address, by network. */
export const ADDRESSES = "addresses/";
/** Changed by whoever creates or removes a network: who chose a subnet by an older one chose by what was not so. */
export const REVISION = "revision";

export function hostKey(id: string): string {
  return `${HOSTS}${id}`;
}

/** UDP ports of an address belong to one host. Users of one machine share its address. */
export function endpointKey(address: Address, port: number): string {
  return `endpoints/${formatEndpoint(address, port)}`;
}

export function networkKey(id: string): string {
  return `${NETWORKS}${id}`;
}

export function networkNameKey(name: string): string {
  return `network-names/${name.toLowerCase()}`;
}

export function addressesOf(network: string): string {
  return `${ADDRESSES}${network}/`;
}

export function addressKey(network: string, address: Address): string {
  return `${addressesOf(network)}${address}`;
}

export function macsOf(network: string): string {
  return `macs/${network}/`;
}

export function macKey(network: string, mac: Mac): string {
  return `${macsOf(network)}${formatMac(mac)}`;
}

/** Names of members and peers are there once in the cluster. */
export function nameKey(name: string): string {
  return `names/${name.toLowerCase()}`;
}

export function membersOf(network: string): string {
  return `${MEMBERS}${network}/`;
}

export function memberKey(network: string, id: string): string {
  return `${membersOf(network)}${id}`;
}

export function peersOf(network: string): string {
  return `peers/${network}/`;
}

export function peerKey(network: string, name: string): string {
  return `${peersOf(network)}${name.toLowerCase()}`;
}

/** What follows a prefix in a key. */
export function below(prefix: string, key: string): string {
  return key.slice(prefix.length);
}
