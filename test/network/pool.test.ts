import { describe, expect, test } from "vitest";
import { Address, Prefix } from "../../src/base/address.ts";
import { AddressPool } from "../../src/network/pool.ts";

describe("AddressPool", () => {
  test.each([
    [
      "192.0.2.0/29",
      "192.0.2.1",
      ["192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5", "192.0.2.6"],
    ],
    ["2001:db8::/125", "2001:db8::1", Array.from({ length: 6 }, (_, i) => `2001:db8::${i + 2}`)],
  ])("gives out all of %s but the network, the gateway and broadcast", (network, gateway, all) => {
    const pool = poolOf(network, gateway);
    expect(all.map(() => `${pool.allocate()}`)).toEqual(all);
    expect(pool.allocate()).toBeNull();
  });

  test("a released address is given out again after all others", () => {
    const pool = poolOf("192.0.2.0/29", "192.0.2.1");
    const first = pool.allocate();
    pool.release(addressOf("192.0.2.2"));
    const others = [1, 2, 3, 4].map(() => `${pool.allocate()}`);
    expect(others).not.toContain(`${first}`);
    expect(`${pool.allocate()}`).toBe(`${first}`);
  });

  test("allocates from the range only", () => {
    const pool = poolOf("192.0.2.0/24", "192.0.2.1", "192.0.2.128/31");
    expect([`${pool.allocate()}`, `${pool.allocate()}`, pool.allocate()]).toEqual([
      "192.0.2.128",
      "192.0.2.129",
      null,
    ]);
  });

  test.each([
    ["198.51.100.1", "outside"],
    ["192.0.2.0", "reserved"],
    ["192.0.2.1", "reserved"],
    ["192.0.2.255", "reserved"],
    ["192.0.2.7", "taken"],
    ["192.0.2.8", null],
  ])("asked for %s it says: %s", (text, refusal) => {
    const pool = poolOf("192.0.2.0/24", "192.0.2.1");
    pool.take(addressOf("192.0.2.7"));
    expect(pool.take(addressOf(text))).toBe(refusal);
  });

  test("finds the free address of a large network behind many that are taken", () => {
    const pool = poolOf("2001:db8::/64", "2001:db8::1");
    for (let index = 2; index < 40; index += 1) pool.take(addressOf("2001:db8::").plus(index));
    expect(`${pool.allocate()}`).toBe("2001:db8::28");
  });
});

function poolOf(network: string, gateway: string, range = network): AddressPool {
  return new AddressPool(Prefix.parse(network), addressOf(gateway), Prefix.parse(range));
}

function addressOf(text: string): Address {
  const address = Address.parse(text);
  if (address === null) throw new Error(text);
  return address;
}
