import { Address } from "../base/address.js";
import { MOST_NAME_SERVERS } from "../config/constants.js";
import type { GivenAttachment } from "../rpc/messages.js";

/**
 * The guest's resolv.conf: the host's with other name servers, and with search domains and options added or replaced.
 * @param hostText the host's
 * @param servers name servers of the guest
 * @param search replaces the host's search domains; empty: keeps them
 * @param options added to the host's
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
 * The resolv.conf of a network's member. Its gateways are the name servers. With ndots:0 names of one label, as members
 * have them, are looked up as they are.
 * @param before the text that it is made from
 * @param options further options; an ndots among them takes the place of ours
 */
export function memberResolvConf(
  before: string,
  attachments: readonly GivenAttachment[],
  search: readonly string[],
  options: readonly string[],
): string {
  const gateways = attachments.flatMap(({ addresses }) => addresses.map(({ gateway }) => gateway));
  const servers = gateways.flatMap((gateway) => Address.parse(gateway) ?? []);
  const ndots = options.some((option) => option.startsWith("ndots:")) ? [] : ["ndots:0"];
  return guestResolvConf(before, servers.slice(0, MOST_NAME_SERVERS), search, [
    ...ndots,
    ...options,
  ]);
}

function isSearch(line: string): boolean {
  return /^(search|domain)\s/.test(line);
}
