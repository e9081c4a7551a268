import { expect, test } from "vitest";
import { Address } from "../../src/base/address.ts";
import { MemberNames, type NamedNetwork } from "../../src/daemon/workers/member-names.ts";
import { NetworkNames } from "../../src/network/names.ts";

const at = (text: string): Address => {
  const address = Address.parse(text);
  if (address === null) throw new Error(text);
  return address;
};

function network(name: string, members: Readonly<Record<string, string>>): NamedNetwork {
  const names = new NetworkNames();
  for (const [own, address] of Object.entries(members)) {
    names.add({ names: own.split(" "), addresses: [at(address)] });
  }
  return { name, names };
}

const long = `${"a".repeat(63)}.${"b".repeat(63)}`;
const networks = [
  network("br0", { "db postgres": "10.89.0.2", "a.b": "10.89.0.3", "example.com": "10.89.0.4" }),
  network("b.br0", { a: "10.89.1.2" }),
  network("com", { db: "10.89.2.2" }),
  network(long, { [long]: "10.89.3.2" }),
];
const names = new MemberNames({
  networks: () => networks,
  isInside: (address) => `${address}`.startsWith("10.89."),
  hosts: new Map([["db.com", [at("192.0.2.1")]]]),
  host: () => [at("10.89.0.1")],
});

test.each([
  ["db", "10.89.0.2"],
  ["db.br0", "10.89.0.2"],
  ["postgres.br0", "10.89.0.2"],
  ["a.b.br0", "10.89.0.3"],
  ["a.b", "10.89.0.3"],
  ["a", "10.89.1.2"],
  ["example.com", "10.89.0.4"],
  ["example.com.br0", "10.89.0.4"],
  ["db.com", "192.0.2.1"],
  ["host.docker.internal", "10.89.0.1"],
  ["a.br0", undefined],
  ["db.br1", undefined],
  ["br0", undefined],
  ["xbr0", undefined],
])("%s is %s", (name, expected) => {
  expect(names.get(name, "A")?.join()).toBe(expected);
});

test.each([
  ["a.br0", true],
  ["a.b.c.br0", true],
  ["br0", false],
  ["other.com", false],
  ["nobody", false],
  ["nobody.example", false],
])("whether %s exists is ours to say: %s", (name, expected) => {
  expect(names.isOurs(name)).toBe(expected);
});

test("an address is its owner's name on that network, as long as DNS can ask for it", () => {
  expect(names.nameOf(at("10.89.0.2"))).toBe("db.br0");
  expect(names.nameOf(at("10.89.2.2"))).toBe("db.com");
  expect(names.nameOf(at("10.89.3.2"))).toBe(long);
  expect(names.nameOf(at("10.89.0.9"))).toBeUndefined();
  expect(names.isOurs(at("10.89.0.9"))).toBe(true);
  expect(names.isOurs(at("192.0.2.9"))).toBe(false);
});
