/** What docker writes into every container's /etc/hosts. */
const COMMON = `127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
ff00::0\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
`;

/** A line: an address and its names. */
export interface HostsEntry {
  readonly address: string;
  readonly names: readonly string[];
}

/** The text of an /etc/hosts as docker writes it: the usual lines, then the entries. */
export function hostsFile(entries: readonly HostsEntry[]): string {
  return COMMON + hostsLines(entries);
}

export function hostsLines(entries: readonly HostsEntry[]): string {
  return entries.map(({ address, names }) => `${address}\t${names.join(" ")}\n`).join("");
}
