import { beforeEach, expect, test } from "vitest";
import { Address } from "../../src/base/address.js";
import { portSpecifier } from "../../src/commandline/pasta/port-specifier.js";
import type { Protocol } from "../../src/commandline/pasta/ports.js";
import type { PublishedPort, PublishedRule } from "../../src/nat/published-port.js";
import { FollowedPorts } from "../../src/publish/followed-ports.js";
import { ForwardTable } from "../../src/publish/forward-table.js";
import { Errno } from "../../src/sys/constants.js";
import type { Listener } from "../../src/wire/inet-diag.js";

const ANY = Address.ofIpv4Word(0);

/** The host's ports; those in `taken` cannot be had. */
const taken = new Map<number, number>();
let rules: PublishedRule[] = [];
let tries = 0;
let table: ForwardTable;

beforeEach(() => {
  taken.clear();
  rules = [];
  tries = 0;
  const forwards = {
    get rules() {
      return rules;
    },
    add: (port: PublishedPort) => {
      tries += 1;
      const errno = taken.get(port.hostPort);
      if (errno !== undefined) return -errno;
      rules.push({ ...port, id: tries });
      return tries;
    },
    remove: (id: number) => {
      rules = rules.filter((rule) => rule.id !== id);
      return true;
    },
  };
  table = new ForwardTable(forwards, ({ protocol, port, target }) => {
    const socket = { protocol, host: ANY, hostPort: port, guest: ANY, guestPort: target };
    return [[socket], [socket, socket]];
  });
});

function follow(specifier: string, counts = (_: Listener) => true): FollowedPorts {
  const entries = () => portSpecifier("-t", "inbound", specifier);
  return new FollowedPorts({ table, entries: { tcp: entries(), udp: entries() }, counts });
}

function listener(protocol: Protocol, port: number): Listener {
  return { protocol, address: ANY, port, isIpv6Only: false };
}

function forwarded(): readonly string[] {
  return rules.map(({ protocol, hostPort, guestPort }) => `${protocol} ${hostPort}>${guestPort}`);
}

test("what listens is forwarded at its number, and UDP at that of TCP, until it ends", () => {
  const followed = follow("auto");
  followed.update([listener("tcp", 80), listener("udp", 53)], 0);
  expect(forwarded()).toEqual(["tcp 80>80", "udp 80>80", "udp 53>53"]);
  followed.update([listener("udp", 53)], 100);
  expect(forwarded()).toEqual(["udp 53>53"]);
});

test("neither exclusions nor clients of UDP, nor what does not count", () => {
  const followed = follow("auto,~81-82", ({ port }) => port !== 84);
  const ports = [80, 81, 82, 83, 84].map((port) => listener("udp", port));
  followed.update([...ports, listener("udp", 40_000), listener("udp", 68)], 0);
  expect(forwarded()).toEqual(["udp 80>80", "udp 83>83"]);
});

test("a port that is in use is tried once, left alone, and tried again after 2 s", () => {
  taken.set(80, Errno.EADDRINUSE);
  const followed = follow("80-90,auto", ({ protocol }) => protocol === "udp");
  followed.update([listener("udp", 80)], 0);
  followed.update([listener("udp", 80)], 1_999);
  // Not even in one family: the host has it in use.
  expect([tries, forwarded()]).toEqual([1, []]);
  taken.clear();
  followed.update([listener("udp", 80)], 2_000);
  expect(forwarded()).toEqual(["udp 80>80"]);
});

test("a port that was forwarded by name stays when its listener ends", () => {
  const followed = follow("auto");
  const forward = {
    protocol: "udp",
    address: null,
    interface: null,
    port: 53,
    target: 5_353,
  } as const;
  table.add({ ...forward, targetAddress: null, isAuto: false });
  followed.update([listener("udp", 53)], 0);
  followed.update([], 100);
  expect(forwarded()).toEqual(["udp 53>5353"]);
});

test("one that is named while it is followed stays, too", () => {
  const followed = follow("auto");
  followed.update([listener("udp", 53)], 0);
  const forward = {
    protocol: "udp",
    address: null,
    interface: null,
    port: 53,
    target: 53,
  } as const;
  expect(table.add({ ...forward, targetAddress: null, isAuto: false })).toBe(0);
  followed.update([], 100);
  expect(forwarded()).toEqual(["udp 53>53"]);
});

test("a guest that listens everywhere gets 1,024 ports, and a scan tries 128", () => {
  const followed = follow("auto");
  const all = Array.from({ length: 60_000 }, (_, index) => listener("tcp", 1 + index));
  followed.update(all, 0);
  expect(tries).toBe(128);
  for (let scan = 1; scan < 40; scan += 1) followed.update(all, scan);
  expect(rules).toHaveLength(1_024);
  for (let port = 1; port <= 65_535; port += 1) taken.set(port, Errno.EADDRINUSE);
  followed.update([], 100);
  expect(rules).toEqual([]);
  tries = 0;
  followed.update(all, 101);
  expect(tries).toBe(128);
});

test("scans become rarer while nothing changes, up to a second", () => {
  const followed = follow("auto");
  const waits = [0, 1, 2, 3, 4, 5].map((now) => followed.update([], now));
  expect(waits).toEqual([200, 400, 800, 1_000, 1_000, 1_000]);
  expect(followed.update([listener("tcp", 80)], 6)).toBe(100);
});
