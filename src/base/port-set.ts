export const HIGHEST_PORT = 65_535;

/** Ports of both protocols. */
export interface PortSet {
  has(protocol: "tcp" | "udp", port: number): boolean;
  /** As parsePortSet reads it; empty for no ports. */
  readonly text: string;
}

export const NO_PORTS: PortSet = { has: () => false, text: "" };

/** Port, or first and last of a range in a row; null when it is none. */
export function parsePortRange(text: string): { first: number; last: number } | null {
  const [, from, to] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text) ?? [];
  const first = Number(from);
  const last = to === undefined ? first : Number(to);
  return first >= 1 && first <= last && last <= HIGHEST_PORT ? { first, last } : null;
}

/** Reads `22,8000-8010,53/udp`: what names no protocol is of both. Null when it is no such list. */
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
