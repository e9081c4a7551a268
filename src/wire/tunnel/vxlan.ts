import type { Family } from "../../base/address.js";
import { ETHERNET_HEADER_LENGTH } from "../ethernet.js";
import { ipHeaderLength } from "../ip.js";
import { UDP_HEADER_LENGTH } from "../udp.js";

/** The VXLAN header: flags, network identifier, and reserved bytes (RFC 7348 §5). wasm/ writes and reads it. */
export const VXLAN_HEADER_LENGTH = 8;

/**
 * What VXLAN adds to an IP packet: outer IP and UDP headers, its own, and the inner Ethernet header.
 * @param family of the underlay
 */
export function vxlanOverhead(family: Family): number {
  return ipHeaderLength(family) + UDP_HEADER_LENGTH + VXLAN_HEADER_LENGTH + ETHERNET_HEADER_LENGTH;
}
