import { readFileSync } from "node:fs";
import { type NetworkInterfaceInfo, networkInterfaces } from "node:os";
import { Address, type Family } from "../base/address.js";
import { UserError } from "../base/errors.js";

/** The machine's IPv6 addresses. The sandbox lets the daemon read it, and not open the socket of getifaddrs(3). */
const IPV6_ADDRESSES = "/proc/net/if_inet6";
/** LOOPBACK_IFINDEX of linux/net_namespace.h, in each network namespace. */
const LOOPBACK = 1;

/** Whether the host has an IPv6 address that is neither loopback nor link-local. */
export function hostHasIpv6(): boolean {
  return hasGlobalIpv6(readIpv6Addresses());
}

/** @param table /proc/net/if_inet6: address, interface, prefix length, scope, flags and name; numbers in hexadecimal */
export function hasGlobalIpv6(table: string): boolean {
  return table.split("\n").some((line) => {
    const [digits = "", index = ""] = line.split(/\s+/);
    const address = Address.parse(digits.match(/.{4}/g)?.join(":") ?? "");
    return address !== null && Number.parseInt(index, 16) !== LOOPBACK && !address.isLinkLocal;
  });
}

function readIpv6Addresses(): string {
  try {
    return readFileSync(IPV6_ADDRESSES, "utf8");
  } catch {
    // The kernel lacks IPv6.
    return "";
  }
}

/**
 * The address of this machine that an option names, by itself or by its interface. Not for the daemon, whose sandbox
 * forbids the socket of getifaddrs(3).
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
