import { describe, expect, test } from "vitest";
import { Address } from "../../src/base/address.ts";
import { canBePublic, NetworkNames } from "../../src/network/names.ts";

describe("NetworkNames", () => {
  test("a member is found by its name and aliases, and by its addresses", () => {
    const names = new NetworkNames();
    const addresses = [addressOf("10.89.0.2"), addressOf("fd00::2")];
    names.add({ names: ["db", "postgres"], addresses });
    expect(names.addressesOf("db", "A")).toEqual(addresses);
    expect(names.addressesOf("postgres", "AAAA")).toEqual(addresses);
    expect(names.nameOf(addressOf("fd00::2"))).toBe("db");
    expect(names.addressesOf("app", "A")).toBeUndefined();
  });

  test("members with one alias answer in turn, separately for each type of record", () => {
    const names = new NetworkNames();
    const members = ["10.89.0.2", "10.89.0.3"].map((text, index) => ({
      names: [`app${index}`, "api"],
      addresses: [addressOf(text)],
    }));
    for (const member of members) names.add(member);
    const ask = (type: string) => `${names.addressesOf("api", type)}`;
    // As resolvers do: a query for A, and one for AAAA.
    const answers = [1, 2, 3].map(() => [ask("A"), ask("AAAA")]);
    expect(answers).toEqual([
      ["10.89.0.2", "10.89.0.2"],
      ["10.89.0.3", "10.89.0.3"],
      ["10.89.0.2", "10.89.0.2"],
    ]);
  });

  test("a member that has left is no longer found; others with its alias are", () => {
    const names = new NetworkNames();
    const [a, b] = ["10.89.0.2", "10.89.0.3"].map((text) => ({
      names: ["api"],
      addresses: [addressOf(text)],
    }));
    names.add(a);
    names.add(b);
    names.remove(a);
    expect(`${names.addressesOf("api", "A")}`).toBe("10.89.0.3");
    expect(names.nameOf(addressOf("10.89.0.2"))).toBeUndefined();
    names.remove(b);
    expect(names.addressesOf("api", "A")).toBeUndefined();
  });
});

test.each([
  ["web", true],
  ["com", true],
  ["xn--p1ai", true],
  ["my_net.dev", true],
  ["br0", false],
  ["proj_default", false],
  ["proj-default", false],
  ["dev.br0", false],
])("a name below %s may be public: %s", (domain, expected) => {
  expect(canBePublic(domain)).toBe(expected);
});

function addressOf(text: string): Address {
  const address = Address.parse(text);
  if (address === null) throw new Error(text);
  return address;
}
