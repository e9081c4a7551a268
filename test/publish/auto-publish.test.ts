import fc from "fast-check";
import { expect, test } from "vitest";
import { Address } from "../../src/base/address.js";
import { NO_PORTS, parsePortSet } from "../../src/base/port-set.js";
import { DEFAULT_PREFIX, planFor } from "../../src/config/address-plan.js";
import type { PublishedPort, PublishedRule } from "../../src/nat/published-port.js";
import { AutoPublish, type AutoPublishOptions } from "../../src/publish/auto-publish.js";
import { Errno } from "../../src/sys/constants.js";
import type { Listener } from "../../src/wire/inet-diag.js";

const plans = [planFor(DEFAULT_PREFIX[4]), planFor(DEFAULT_PREFIX[6])];

/** A table in place of the host's ports; those in `refused` cannot be published. */
class Table {
  rules: PublishedRule[] = [];
  refused = new Map<number, number>();
  /** Given for port 0, and counted up. */
  freePort = 32_768;
  #id = 0;

  add(port: PublishedPort): number {
    const errno = this.refused.get(port.hostPort);
    if (errno !== undefined) return -errno;
    this.#id += 1;
    const hostPort = port.hostPort === 0 ? this.freePort++ : port.hostPort;
    this.rules.push({ ...port, hostPort, id: this.#id });
    return this.#id;
  }

  remove(id: number): boolean {
    const before = this.rules.length;
    this.rules = this.rules.filter((rule) => rule.id !== id);
    return this.rules.length < before;
  }

  get words(): string[] {
    return this.rules.map(
      ({ protocol, host, hostPort, guest, guestPort }) =>
        `${protocol} ${host} ${hostPort} > ${guest} ${guestPort}`,
    );
  }
}

function make(changes: Partial<Pick<AutoPublishOptions, "exclude" | "hosts" | "toLoopback">> = {}) {
  const table = new Table();
  const told: string[] = [];
  const auto = new AutoPublish({
    plans,
    exclude: NO_PORTS,
    hosts: [],
    toLoopback: false,
    forwards: table,
    ...changes,
    onPublished: ({ hostPort }) => told.push(`+${hostPort}`),
    onEnded: ({ hostPort }) => told.push(`-${hostPort}`),
    onFailure: ({ hostPort }, errno) => told.push(`!${hostPort} ${errno}`),
  });
  return { table, told, auto };
}

function listener(text: string, protocol: "tcp" | "udp" = "tcp", isIpv6Only = false): Listener {
  const [, address = "", port] = /^(.*) (\d+)$/.exec(text) ?? [];
  const parsed = Address.parse(address);
  if (parsed === null) throw new Error(text);
  return { protocol, address: parsed, port: Number(port), isIpv6Only };
}

test("at one address of the host, in its family alone", () => {
  const { table, auto } = make({ hosts: [Address.ofIpv4Word(0xc000_0207)] });
  auto.update([listener(":: 1001")], 0);
  expect(table.words).toEqual(["tcp 192.0.2.7 1001 > 10.0.2.100 1001"]);
});

test("families and addresses", () => {
  const { table, auto } = make();
  auto.update(
    [
      listener("0.0.0.0 1001"),
      listener(":: 1002"),
      listener(":: 1003", "tcp", true),
      listener("10.0.2.15 1004"),
      listener("172.17.0.1 1005"),
      listener("127.0.0.1 1006"),
      listener("fe80::1 1007"),
      listener("0.0.0.0 1001"),
    ],
    0,
  );
  expect(table.words).toEqual([
    "tcp 0.0.0.0 1001 > 10.0.2.100 1001",
    "tcp 0.0.0.0 1002 > 10.0.2.100 1002",
    "tcp :: 1002 > fd00::64 1002",
    "tcp :: 1003 > fd00::64 1003",
    "tcp 0.0.0.0 1004 > 10.0.2.15 1004",
  ]);
});

test("loopback listeners come second", () => {
  const { table, auto } = make({ toLoopback: true });
  auto.update([listener("0.0.0.0 1001"), listener("127.0.0.1 1001"), listener("127.0.0.53 53")], 0);
  auto.update([listener("127.0.0.1 1001"), listener("127.0.0.53 53")], 10);
  expect(table.words).toEqual([
    "tcp 0.0.0.0 53 > 127.0.0.53 53",
    "tcp 0.0.0.0 1001 > 127.0.0.1 1001",
  ]);
});

test("what is excluded, and clients of UDP", () => {
  const { table, auto } = make({ exclude: parsePortSet("1001,1002/udp") ?? NO_PORTS });
  const ports = [1001, 1002, 1003, 68, 32_768, 60_999, 61_000];
  auto.update(
    ports.map((port) => listener(`0.0.0.0 ${port}`, "udp")),
    0,
  );
  auto.update([...table.rules.map(({ guestPort }) => listener(`0.0.0.0 ${guestPort}`, "udp"))], 0);
  expect(table.rules.map(({ hostPort }) => hostPort)).toEqual([1003, 61_000]);
});

test("a failure is reported once, retried after 2 s, and forgotten with its listener", () => {
  const { table, told, auto } = make();
  table.refused.set(80, Errno.ENOSPC);
  const both = [listener(":: 80")];
  auto.update(both, 0);
  auto.update(both, 1_000);
  expect(told).toEqual([`!80 ${Errno.ENOSPC}`]);
  table.refused.clear();
  auto.update(both, 1_999);
  expect(table.rules).toEqual([]);
  auto.update(both, 2_000);
  expect(told).toEqual([`!80 ${Errno.ENOSPC}`, "+80", "+80"]);
});

test("a port that is not permitted is published 8000 above, in both families", () => {
  const { table, told, auto } = make();
  table.refused.set(80, Errno.EACCES);
  auto.update([listener(":: 80")], 0);
  expect(told).toEqual(["+8080", "+8080"]);
  expect(table.words).toEqual([
    `tcp 0.0.0.0 8080 > ${plans[0].guest} 80`,
    `tcp :: 8080 > ${plans[1].guest} 80`,
  ]);
  auto.update([], 1_000);
  expect([told.slice(2), table.rules]).toEqual([["-8080", "-8080"], []]);
});

test("a port that is in use is published at any free one, the same in both families", () => {
  const { table, told, auto } = make();
  table.refused.set(3000, Errno.EADDRINUSE);
  table.freePort = 40_000;
  auto.update([listener(":: 3000")], 0);
  expect(told).toEqual(["+40000", "+40000"]);
  auto.update([listener(":: 3000")], 10_000);
  expect(told).toHaveLength(2);
});

test("the port 8000 above is left to the guest's own server there, and to others of the host", () => {
  const { table, told, auto } = make();
  table.refused.set(80, Errno.EACCES);
  table.refused.set(443, Errno.EACCES);
  table.refused.set(8443, Errno.EADDRINUSE);
  table.freePort = 40_000;
  auto.update([listener("0.0.0.0 80"), listener("0.0.0.0 8080"), listener("0.0.0.0 443")], 0);
  expect(told).toEqual(["+40000", "+8080", "+40001"]);
});

test("if no port is permitted, the first failure is reported", () => {
  const { table, told, auto } = make();
  for (const port of [80, 8080, 0]) table.refused.set(port, Errno.EACCES);
  auto.update([listener("0.0.0.0 80")], 0);
  expect([told, table.rules]).toEqual([[`!80 ${Errno.EACCES}`], []]);
});

test("published by name: left alone, and a rule of ours that is removed does not come back", () => {
  const { table, told, auto } = make();
  const [plan] = plans;
  const named = { hostPort: 8080, guestPort: 80, protocol: "tcp" as const };
  table.add({ ...named, host: Address.ofIpv4Word(0), guest: plan.guest });
  auto.update([listener("0.0.0.0 80"), listener("0.0.0.0 81")], 0);
  expect(told).toEqual(["+81"]);
  table.remove(2);
  auto.update([listener("0.0.0.0 80"), listener("0.0.0.0 81")], 10_000);
  auto.update([listener("0.0.0.0 80")], 20_000);
  expect(told).toEqual(["+81"]);
  expect(table.words).toEqual(["tcp 0.0.0.0 8080 > 10.0.2.100 80"]);
});

test("a guest gets at most 1,024 ports", () => {
  const { table, told, auto } = make();
  const many = Array.from({ length: 3_000 }, (_, index) => listener(`0.0.0.0 ${index + 1}`));
  auto.update(many, 0);
  expect(table.rules).toHaveLength(128); // what is tried after one scan
  for (let now = 100; now <= 1_000; now += 100) auto.update(many, now);
  expect(table.rules).toHaveLength(1_024);
  expect(told.filter((line) => line.startsWith("!"))).toEqual([`!1025 ${Errno.ENFILE}`]);
});

test("at most 32 unavailable ports are reported, whatever the guest listens on", () => {
  const { table, told, auto } = make();
  const ports = Array.from({ length: 1_000 }, (_, index) => index + 1);
  for (const port of ports) table.refused.set(port, Errno.ENOSPC);
  const many = ports.map((port) => listener(`0.0.0.0 ${port}`));
  for (let now = 0; now < 10_000; now += 2_000) auto.update(many, now);
  expect(told).toHaveLength(32);
});

test("scans become rarer while nothing changes", () => {
  const { auto } = make();
  const waits = Array.from({ length: 6 }, () => auto.update([], 0));
  expect(waits).toEqual([200, 400, 800, 1_600, 2_000, 2_000]);
  expect(auto.update([listener("0.0.0.0 80")], 0)).toBe(100);
});

test("in the end the published ports are those listened on", () => {
  const port = fc.integer({ min: 1, max: 12 });
  fc.assert(
    fc.property(fc.array(fc.array(port, { maxLength: 8 }), { minLength: 1 }), (steps) => {
      const { table, auto } = make();
      for (const ports of steps) {
        auto.update(
          ports.map((each) => listener(`0.0.0.0 ${each}`)),
          0,
        );
      }
      const last = [...new Set(steps.at(-1))].sort((a, b) => a - b);
      expect(table.rules.map(({ hostPort }) => hostPort).sort((a, b) => a - b)).toEqual(last);
    }),
  );
});

test.each(["", "x", "0", "65536", "80-79", "80/sctp", "80,,81", "1-2-3"])(
  "%j is no list of ports",
  (text) => {
    expect(parsePortSet(text)).toBe(null);
  },
);
