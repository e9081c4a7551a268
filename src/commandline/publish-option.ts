import { Address, formatEndpoint } from "../base/address.js";
import { formatPortRange, type PortSet, parsePortRange, parsePortSet } from "../base/port-set.js";
import type { Reader } from "./parsing/option.js";
import { wrong } from "./parsing/values.js";

/** Which ports of the guest are published. */
export interface PublishOptions {
  readonly ports: readonly PublishOption[];
  /** Publishes each port on which the guest listens, but for `exclude`; null: does not. */
  readonly auto: { readonly exclude: PortSet } | null;
  /** Whether ports lead to 127.0.0.1 and ::1 of the guest, not to its address. */
  readonly toLoopback: boolean;
}

/** One `--publish`. */
export interface PublishOption {
  readonly protocol: "tcp" | "udp";
  /** null for every address of the host. */
  readonly host: Address | null;
  /** First port of the host; 0: the kernel chooses a free one. */
  readonly hostPort: number;
  readonly guestPort: number;
  /** Number of consecutive ports, at least 1. */
  readonly count: number;
}

/** Published ports of the host. */
export interface PublishedPlace {
  readonly protocol: "tcp" | "udp";
  /** null: whatever address they are published at. */
  readonly host: Address | null;
  readonly hostPort: number;
  readonly count: number;
}

interface Range {
  readonly first: number;
  readonly count: number;
}

const SYNTAX =
  /^(?:(?:(?<host>\[[^\]]+\]|[^:[\]]*):)?(?<hostPorts>[\d-]*):)?(?<guestPorts>[\d-]+)(?:\/(?<protocol>tcp|udp))?$/;

/** @param text nothing, or an address, which may be in brackets */
function parseHost(text: string): Address | null {
  return text === "" ? null : Address.parse(text.replace(/^\[(.*)\]$/, "$1"));
}

/** Reads docker's `[HOST_IP:][HOST_PORT]:GUEST_PORT[-RANGE][/udp]`; null when it is malformed. */
export function parsePublish(text: string): PublishOption | null {
  const groups = SYNTAX.exec(text)?.groups;
  if (groups === undefined) return null;
  const { host = "", hostPorts = "", guestPorts = "", protocol = "tcp" } = groups;
  const address = parseHost(host);
  const guest = parseRange(guestPorts);
  const ports = hostPorts === "" ? { first: 0, count: guest?.count } : parseRange(hostPorts);
  if (guest === null || ports === null || (host !== "" && address === null)) return null;
  if (ports.count !== guest.count) return null;
  return {
    protocol: protocol === "udp" ? "udp" : "tcp",
    host: address,
    hostPort: ports.first,
    guestPort: guest.first,
    count: guest.count,
  };
}

/** The value of --publish. */
export const readPublish: Reader<PublishOption> = (text, name) => {
  const parsed = parsePublish(text);
  if (parsed !== null) return parsed;
  throw wrong(
    `${name} ${text}: write it like 8080:80, 127.0.0.1:8000-8010:8000-8010 or [::1]:53:53/udp`,
  );
};

/** The value of --publish-exclude. */
export const readPortSet: Reader<PortSet> = (text, name) => {
  const parsed = parsePortSet(text);
  if (parsed !== null) return parsed;
  throw wrong(`${name} ${text}: write it like 22,8000-8010,53/udp`);
};

const PLACE_SYNTAX =
  /^(?:(?<host>\[[^\]]+\]|[^:[\]]*):)?(?<ports>[\d-]+)(?:\/(?<protocol>tcp|udp))?$/;

/** Reads `[HOST_IP:]PORT[-RANGE][/udp]`; null when it is malformed. */
export function parsePublishedPlace(text: string): PublishedPlace | null {
  const groups = PLACE_SYNTAX.exec(text)?.groups;
  if (groups === undefined) return null;
  const { host = "", ports: portsText = "", protocol = "tcp" } = groups;
  const address = parseHost(host);
  const ports = parseRange(portsText);
  if (ports === null || (host !== "" && address === null)) return null;
  return {
    protocol: protocol === "udp" ? "udp" : "tcp",
    host: address,
    hostPort: ports.first,
    count: ports.count,
  };
}

/** The inverse of parsePublish. */
export function formatPublish({
  protocol,
  host,
  hostPort,
  guestPort,
  count,
}: PublishOption): string {
  const range = (first: number): string => formatPortRange(first, count);
  const ports = `${hostPort === 0 ? "" : range(hostPort)}:${range(guestPort)}`;
  return `${host === null ? ports : formatEndpoint(host, ports)}/${protocol}`;
}

function parseRange(text: string): Range | null {
  const range = parsePortRange(text);
  return range === null ? null : { first: range.first, count: range.last - range.first + 1 };
}
