export const HIGHEST_PORT = 65_535;

/** A set of TCP and UDP ports. */
export interface PortSet {
  has(protocol: "tcp" | "udp", port: number): boolean;
  /** The text that parsePortSet() parsed; empty for no ports. */
  readonly text: string;
}

export const NO_PORTS: PortSet = { has: () => false, text: "" };

/** Parses `PORT` or `FIRST-LAST`; null for anything else. */
export function parsePortRange(text: string): { first: number; last: number } | null {
  const [, from, to] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text) ?? [];
  const first = Number(from);
  const last = to === undefined ? first : Number(to);
  return first >= 1 && first <= last && last <= HIGHEST_PORT ? { first, last } : null;
}

/** `8000`, or `8000-8010`: the inverse of parsePortRange(). @param count number of ports, at least 1 */
export function formatPortRange(first: number, count: number): string {
  return count === 1 ? `${first}` : `${first}-${first + count - 1}`;
}

/** Parses a list such as `22,8000-8010,53/udp`; ports without a protocol are of both. Null when malformed. */
export function parsePortSet(text: string): PortSet | null {
  const ports = { tcp: new Set<number>(), udp: new Set<number>() };
  for (const part of text.split(",")) {
    const [, numbers = "", protocol] = /^([\d-]+)(?:\/(tcp|udp))?$/.exec(part.trim()) ?? [];
    const range = parsePortRange(numbers);
    if (range === null) return null;
    for (let port = range.first; port <= range.last; port += 1) {
      if (protocol !== "udp") ports.tcp.add(port);
      if (protocol !== "tcp") ports.udp.add(port);
    }
  }
  return { has: (protocol, port) => ports[protocol].has(port), text };
}
