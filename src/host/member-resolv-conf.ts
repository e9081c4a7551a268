import { Address } from "../base/address.js";
import { MOST_NAME_SERVERS } from "../config/constants.js";
import type { GivenAttachment } from "../rpc/messages.js";
import { guestResolvConf } from "./guest-config.js";

/**
 * The resolv.conf of a network's member: its gateways are the name servers, and names have one label and
 * are asked for as they are.
 * @param before what it is made from, as guestResolvConf() has it
 * @param options further lines of options
 */
export function memberResolvConf(
  before: string,
  attachments: readonly GivenAttachment[],
  search: readonly string[],
  options: readonly string[],
): string {
  const gateways = attachments.flatMap(({ addresses }) => addresses.map(({ gateway }) => gateway));
  const servers = gateways.flatMap((gateway) => Address.parse(gateway) ?? []);
  return guestResolvConf(before, servers.slice(0, MOST_NAME_SERVERS), search, [
    "ndots:0",
    ...options,
  ]);
}
