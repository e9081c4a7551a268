import { Address, formatEndpoint } from "../base/address.js";
import {
  formatPortRange,
  HIGHEST_PORT,
  type PortSet,
  parsePortRange,
  parsePortSet,
} from "../base/port-set.js";
import { quoted } from "../base/printable.js";
import type { Reader } from "./parsing/option.js";
import { wrong } from "./parsing/values.js";

/** Which ports of the guest are published. */
export interface PublishOptions {
  readonly ports: readonly PublishOption[];
  /**
   * Publishes each port on which the guest listens, but for `exclude`, at these addresses of the host, of which none means
   * all; null: does not.
   */
  readonly auto: { readonly exclude: PortSet; readonly hosts: readonly Address[] } | null;
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

/** A text in its parts, unchecked. */
interface Parts {
  readonly address: string;
  /** What colons separate behind the address. */
  readonly ports: readonly string[];
  readonly protocol: string;
}

/** Reads docker's `[HOST_IP:][HOST_PORT]:GUEST_PORT[-RANGE][/udp]`. */
export const readPublish: Reader<PublishOption> = asReader("8080:80", (text) => {
  const { address, ports, protocol } = partsOf(text, 2);
  const [guestText = "", hostText = ""] = ports.toReversed();
  if (guestText === "") fail("the port of the guest is missing: write it like 8080:80");
  const guest = rangeOf(guestText);
  // Docker's 0 is for a free port, too.
  const isAnyPort = hostText === "" || hostText === "0";
  const host = isAnyPort ? { first: 0, count: guest.count } : rangeOf(hostText);
  if (guest.count === 1 && host.count > 1) {
    fail(
      `a free port of ${hostText} is not chosen: give one, or none, as in :${guestText}, for any`,
    );
  }
  if (host.count !== guest.count) {
    fail(`${hostText} and ${guestText} differ in length: give as many ports of both`);
  }
  return {
    protocol: protocolOf(protocol),
    host: addressOf(address),
    hostPort: host.first,
    guestPort: guest.first,
    count: guest.count,
  };
});

/** Reads `[HOST_IP:]PORT[-RANGE][/udp]`. */
export const readPublishedPlace: Reader<PublishedPlace> = asReader("8080", (text) => {
  const { address, ports, protocol } = partsOf(text, 1);
  if (/^[\d-]+$/.test(address)) fail(`give the port of the host alone, as in ${address}`);
  const { first, count } = rangeOf(ports[0] ?? "");
  return { protocol: protocolOf(protocol), host: addressOf(address), hostPort: first, count };
});

/** @param read throws a RangeError with the reason */
function asReader<T>(example: string, read: (text: string) => T): Reader<T> {
  return (text, name) => {
    if (text === "") throw wrong(`${name} is empty: write it like ${example}`);
    try {
      return read(text);
    } catch (error) {
      if (error instanceof RangeError) throw wrong(`${name} ${quoted(text)}: ${error.message}`);
      throw error;
    }
  };
}

function fail(reason: string): never {
  throw new RangeError(reason);
}

/** @param most how many ports there may be behind the address */
function partsOf(text: string, most: 1 | 2): Parts {
  const slash = text.indexOf("/");
  const protocol = slash < 0 ? "tcp" : text.slice(slash + 1);
  const place = slash < 0 ? text : text.slice(0, slash);
  const example = most === 1 ? "8080" : "8080:80";
  if (place.startsWith("[")) {
    const [, address = "", rest] = /^\[([^\]]+)\]:(.*)$/s.exec(place) ?? [];
    const ports = rest?.split(":") ?? [];
    if (rest !== undefined && ports.length <= most) return { address, ports, protocol };
    return fail(`write an IPv6 address like [::1]:${example}`);
  }
  const words = place.split(":");
  const address = words.slice(0, -most).join(":");
  if (!address.includes(":")) return { address, ports: words.slice(-most), protocol };
  const isIpv6 = Address.parse(address) !== null || address.includes("::");
  const kind = isIpv6 ? "an IPv6 address needs brackets" : "there are too many colons";
  return fail(`${kind}: write it like ${isIpv6 ? "[::1]" : "127.0.0.1"}:${example}`);
}

function protocolOf(text: string): "tcp" | "udp" {
  const protocol = text.toLowerCase();
  if (protocol === "tcp" || protocol === "udp") return protocol;
  return fail(`${quoted(text)} ports cannot be published: write tcp or udp behind the slash`);
}

/** @param text nothing, or an address */
function addressOf(text: string): Address | null {
  if (text === "") return null;
  const address = Address.parse(text);
  if (address === null) {
    return fail(
      `${quoted(text)} is not an address: give one of this host, such as 127.0.0.1, or none`,
    );
  }
  if (address.family === 4 || !address.isLinkLocal) return address;
  return fail(
    `${text} is link-local, which is not one address of this host: give another, or none`,
  );
}

function rangeOf(text: string): Range {
  const [, from, to = from] = /^(\d+)(?:-(\d+))?$/.exec(text) ?? [];
  if (from === undefined || to === undefined) {
    return fail(`${quoted(text)} is not a port: give a number, or a range such as 8000-8010`);
  }
  const range = parsePortRange(text);
  if (range !== null) return { first: range.first, count: range.last - range.first + 1 };
  const [first, last] = [Number(from), Number(to)];
  if (first > last) return fail(`the range ${text} is backwards: write ${to}-${from}`);
  return fail(`there is no port ${first === 0 ? 0 : to}: ports are 1 to ${HIGHEST_PORT}`);
}

/**
 * The ports, without those that are given twice.
 * @param name of the option, for the message
 * @throws UserError for two that take the same port of the host
 */
export function distinctPorts(ports: readonly PublishOption[], name: string): PublishOption[] {
  const distinct: PublishOption[] = [];
  for (const port of ports) {
    const other = distinct.find((each) => overlap(each, port));
    if (other === undefined) distinct.push(port);
    else if (formatPublish(other) !== formatPublish(port)) {
      const shared = Math.max(other.hostPort, port.hostPort);
      throw wrong(
        `${name} ${formatPublish(other)} and ${formatPublish(port)} both take port ${shared} of the host: choose another for one of them`,
      );
    }
  }
  return distinct;
}

function overlap(a: PublishOption, b: PublishOption): boolean {
  if (a.hostPort === 0 || b.hostPort === 0 || a.protocol !== b.protocol) return false;
  if (a.hostPort + a.count <= b.hostPort || b.hostPort + b.count <= a.hostPort) return false;
  if (a.host === null || b.host === null) return true;
  const isWildcard = a.host.isUnspecified || b.host.isUnspecified;
  return a.host.equals(b.host) || (isWildcard && a.host.family === b.host.family);
}

/** The value of --publish-exclude. */
export const readPortSet: Reader<PortSet> = (text, name) => {
  const parsed = parsePortSet(text);
  if (parsed !== null) return parsed;
  throw wrong(`${name} ${quoted(text)}: write it like 22,8000-8010,53/udp`);
};

/** The inverse of readPublish. */
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
