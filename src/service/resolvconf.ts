import { Address } from "../base/address.js";

/**
 * The servers that a resolv.conf(5) names, in its order. Lines that name none are skipped, also those
 * with an address of a zone (fe80::1%eth0), which Address cannot hold.
 */
export function parseResolvers(text: string): Address[] {
  return text
    .split("\n")
    .map(nameserver)
    .filter((address) => address !== null);
}

/** The keyword starts the line, and what follows the address is ignored, as in glibc. */
function nameserver(line: string): Address | null {
  const [, text] = /^nameserver[ \t]+([^ \t\r]+)/.exec(line) ?? [];
  return text === undefined ? null : Address.parse(text);
}
