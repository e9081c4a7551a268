import { beforeEach, expect, test } from "vitest";
import { Address } from "../../src/base/address.js";
import type { PublishedPort, PublishedRule } from "../../src/nat/published-port.js";
import { type Forward, ForwardTable } from "../../src/publish/forward-table.js";
import { Errno } from "../../src/sys/constants.js";

const V4 = Address.ofIpv4Word(0);
const V6 = Address.ofWords(0, 0, 0, 0);

const PORT: Forward = {
  protocol: "tcp",
  address: null,
  interface: null,
  port: 8_080,
  target: 80,
  targetAddress: null,
  isAuto: false,
};

/** Errnos of sockets by name. */
const refused = new Map<string, number>();
let tried: string[] = [];
let rules: PublishedRule[] = [];
let table: ForwardTable;

function nameOf({ host, isDualStack }: PublishedPort): string {
  return isDualStack ? "both" : `${host}`;
}

beforeEach(() => {
  refused.clear();
  tried = [];
  rules = [];
  const forwards = {
    get rules() {
      return rules;
    },
    add: (port: PublishedPort) => {
      tried.push(nameOf(port));
      const errno = refused.get(nameOf(port));
      if (errno !== undefined) return -errno;
      rules.push({ ...port, id: tried.length });
      return tried.length;
    },
    remove: (id: number) => {
      rules = rules.filter((rule) => rule.id !== id);
      return true;
    },
  };
  table = new ForwardTable(forwards, ({ protocol, port, target }) => {
    const socket = { protocol, hostPort: port, guest: V4, guestPort: target };
    const each = [V4, V6].map((host) => ({ ...socket, host }));
    return [[{ ...socket, host: V6, isDualStack: true }], each];
  });
});

test("one dual-stack socket; where it cannot be had, what can", () => {
  expect(table.add(PORT)).toBe(0);
  expect(rules.map(nameOf)).toEqual(["both"]);
  table.remove(PORT);
  expect(rules).toEqual([]);
  refused.set("both", Errno.EADDRINUSE);
  refused.set("0.0.0.0", Errno.EADDRINUSE);
  expect(table.add(PORT)).toBe(0);
  expect(rules.map(nameOf)).toEqual(["::"]);
  expect([table.has("tcp", 8_080), table.has("udp", 8_080)]).toEqual([true, false]);
});

test.each([Errno.EACCES, Errno.EMFILE, Errno.ENOSPC])(
  "errno %i would meet every socket",
  (errno) => {
    refused.set("both", errno);
    expect([table.add(PORT), tried]).toEqual([-errno, ["both"]]);
  },
);

test("the same port again is no second socket; another target is an error", () => {
  table.add(PORT);
  expect([table.add(PORT), rules.length]).toEqual([0, 1]);
  expect(table.add({ ...PORT, target: 81 })).toBe(-Errno.EADDRINUSE);
  expect(table.add({ ...PORT, address: V4 })).toBe(0);
  expect(table.all).toHaveLength(2);
  table.remove(PORT);
  expect(table.has("tcp", 8_080)).toBe(true);
  expect([table.remove(PORT), table.at(PORT)]).toEqual([false, null]);
});
