import { type NetworkInterfaceInfo, networkInterfaces } from "node:os";
import { Address, type Family } from "../base/address.js";
import { UserError } from "../base/errors.js";

/** Whether the host has an IPv6 address that is neither loopback nor link-local. */
export function hostHasIpv6(): boolean {
  return Object.values(networkInterfaces()).some((infos) =>
    (infos ?? []).some((info) => !info.internal && addressOf(info, 6) !== null),
  );
}

/**
 * The address of this machine that an option names, by itself or by its interface.
 * @param option for the message
 * @throws UserError when the machine does not have it
 */
export function outboundAddress(option: string, text: string, family: Family): Address {
  const interfaces = networkInterfaces();
  const named = interfaces[text];
  const candidates = (named ?? Object.values(interfaces).flatMap((infos) => infos ?? []))
    .map((info) => addressOf(info, family))
    .filter((address) => address !== null);
  const wanted = Address.parse(text);
  const found =
    named === undefined
      ? candidates.find((candidate) => wanted?.equals(candidate) === true)
      : candidates[0];
  if (found !== undefined) return found;
  throw new UserError(
    `${option} ${text} is neither an IPv${family} address of this machine nor an interface with one: see ip address`,
  );
}

/** Link-local addresses do not count: they lead no further than the link. */
function addressOf(info: NetworkInterfaceInfo, family: Family): Address | null {
  const address = Address.parse(info.address);
  return address === null || address.family !== family || address.isLinkLocal ? null : address;
}
