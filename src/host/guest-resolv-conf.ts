import { Address } from "../base/address.js";
import { MOST_NAME_SERVERS } from "../config/constants.js";
import type { GivenAttachment } from "../rpc/messages.js";

/**
 * The guest's resolv.conf: our DNS in the place of the host's, all else as on the host unless it
 * was given.
 *
 * @param hostText the host's
 * @param servers what the guest shall ask
 */
export function guestResolvConf(
  hostText: string,
  servers: readonly Address[],
  search: readonly string[],
  options: readonly string[],
): string {
  const kept = hostText
    .split("\n")
    .filter((line) => /^options\s/.test(line) || (search.length === 0 && isSearch(line)));
  return [
    ...servers.map((server) => `nameserver ${server}`),
    ...(search.length > 0 ? [`search ${search.join(" ")}`] : []),
    ...kept,
    ...(options.length > 0 ? [`options ${options.join(" ")}`] : []),
    "",
  ].join("\n");
}

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

function isSearch(line: string): boolean {
  return /^(search|domain)\s/.test(line);
}
